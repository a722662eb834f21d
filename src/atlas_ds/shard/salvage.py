"""Salvages a truncated shard: finds the complete chunks and writes them with a new footer."""

from __future__ import annotations

from pathlib import Path

from atlas_ds import _core
from atlas_ds._core.records import BlockFound, DictionaryEntry, IndexEntry
from atlas_ds.errors import CorruptError
from atlas_ds.store.span import open_mapped
from atlas_ds.store.store import Bytes, Store, place_of


def salvage(store: Store, name: str, target: Path) -> tuple[int, str]:
    """Writes the complete chunks of a truncated shard, with a new footer, to target; returns (rows that all groups have, what was lost).

    The result is opened with truncated=True: last blocks may hold more rows than the footer says.
    """
    path, memory = place_of(store, name), memoryview(all_bytes(store, name))
    nonce, chunks, end = _core.good_chunks(memory, path)
    if not chunks or chunks[0].kind != b"SCHM":
        raise CorruptError(f"{path}: the schema at the start of the file is damaged: nothing can be saved (byte 64)")
    first_chunk = chunks[0].offset
    layout = bytes(memory[chunks[0].body : chunks[0].end])
    rows_per_block = _core.block_rows(layout, path)
    found: list[dict[int, tuple[BlockFound, IndexEntry]]] = [{} for _ in rows_per_block]
    dictionaries = []
    for chunk in chunks:
        if chunk.kind == b"DICT":
            data = memory[chunk.body : chunk.end]
            dictionaries.append(DictionaryEntry(chunk.offset, len(data), _core.hash128(data)))
        block = _core.check_block(memory[chunk.offset : chunk.end]) if chunk.kind == b"DATA" else None
        if block is not None and block.group < len(found) and block.rows <= rows_per_block[block.group]:
            entry = IndexEntry(chunk.offset, chunk.end - chunk.offset, block.raw_bytes, chunk.hash)
            found[block.group][block.first_row] = block, entry
    kept = min((complete_rows(blocks, per) for blocks, per in zip(found, rows_per_block, strict=True)), default=0)
    index = [blocks[first][1] for blocks, per in zip(found, rows_per_block, strict=True) for first in range(0, kept, per)]
    foot = _core.footer_bytes(bytes(memory[:first_chunk]), kept, sum(entry.raw_bytes for entry in index), bytes(16), layout, dictionaries, index, b"{}")
    footer = _core.seal_chunk(b"FOOT", foot, nonce, end)
    with target.open("wb") as file:
        file.write(memory[:end])
        file.write(footer.data)
        file.write(_core.trailer_bytes(end, len(foot), kept, nonce, footer.hash))
    return kept, f"chunks are intact up to byte {end} of {len(memory)}"


def all_bytes(store: Store, name: str) -> Bytes:
    """The bytes of a file, mapped where the system can. ValueError if it is empty."""
    if store.folder is not None:
        return open_mapped(store.folder / name)
    with store.stream(name) as file:
        data = file.read()
    if not data:
        raise ValueError("empty")
    return data


def complete_rows(blocks: dict[int, tuple[BlockFound, IndexEntry]], per: int) -> int:
    """How many rows, from row 0 on, the blocks of a group hold without a gap."""
    row = 0
    while row in blocks:
        rows = blocks[row][0].rows
        row += rows
        if rows < per:
            break
    return row
