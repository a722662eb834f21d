"""Salvages a truncated shard: finds the complete chunks and writes them with a new footer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atlas_ds import _core
from atlas_ds.errors import CorruptError
from atlas_ds.store.span import open_mapped


def salvage(path: Path, target: Path) -> tuple[int, str]:
    """Writes the complete chunks of a truncated shard, with a new footer, to target; returns (rows that all groups have, what was lost).

    The result is opened with truncated=True: last blocks may hold more rows than the footer says.
    """
    memory = open_mapped(path)
    nonce, chunks, end = _core.good_chunks(memory, str(path))
    if not chunks or chunks[0][0] != b"SCHM":
        raise CorruptError(f"{path}: the schema at the start of the file is damaged: nothing can be saved (byte 64)")
    _, first_chunk, body, stop, _ = chunks[0]
    layout = bytes(memory[body:stop])
    rows_per_block = _core.block_rows(layout, str(path))
    found: list[dict[int, tuple[int, tuple[int, int, int, int]]]] = [{} for _ in rows_per_block]
    dictionaries = []
    for kind, at, body, stop, hash in chunks:
        if kind == b"DICT":
            dictionaries.append((at, stop - body, _core.hash128(memory[body:stop])))
        if kind == b"DATA" and (block := _core.check_block(memory[at:stop])) is not None:
            first, rows, group, raw = block
            if group < len(found) and rows <= rows_per_block[group]:
                found[group][first] = rows, (at, stop - at, raw, hash)
    kept = min((complete_rows(blocks, per) for blocks, per in zip(found, rows_per_block, strict=True)), default=0)
    index = [blocks[first][1] for blocks, per in zip(found, rows_per_block, strict=True) for first in range(0, kept, per)]
    foot = _core.footer_bytes(bytes(memory[:first_chunk]), kept, sum(entry[2] for entry in index), bytes(16), layout, dictionaries, index, b"{}")
    footer, root = _core.seal_chunk(b"FOOT", foot, nonce, end)
    with target.open("wb") as file:
        file.write(memory[:end])
        file.write(footer)
        file.write(_core.trailer_bytes(end, len(foot), kept, nonce, root))
    return kept, f"chunks hold up to byte {end} of {len(memory)}"


def complete_rows(blocks: dict[int, tuple[int, Any]], per: int) -> int:
    """How many rows, from row 0 on, the blocks of a group hold without a gap."""
    row = 0
    while row in blocks:
        rows = blocks[row][0]
        row += rows
        if rows < per:
            break
    return row
