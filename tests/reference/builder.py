"""A plain-Python writer of Atlas shards, written from FORMAT.md alone, for tests: it writes any legal layout on request, and
illegal ones with correct hashes. It does not choose encodings well, and shares only the field tables with the reader.

`Plan` says what to write, `build(plan)` writes it. `patch(name, key, value)` sees every piece before its hash is taken and
returns what shall be written instead. `value` is bytes or a dict of the fields of a table; `key` says which piece:

    header schm_layout foot trailer stats                    key ()             dict, but stats: bytes
    leaf group dictionary                                    key (position,)    dict
    schema, schm (whole body), footer (whole body)           key ()             bytes
    dict (body)                                              key (number,)      bytes
    validity content (before the codec), cell, stored        key (group, block, leaf id[, row])    bytes
    page (table entry)                                       key (group, block, leaf id)           dict
    block (head)  index                                      key (group, block) dict
    chunk (header)                                           key (kind[, ...])  dict
    gap (padding after a chunk)                              key (kind[, ...])  bytes
    whole (chunks put before a chunk)                        key (kind[, ...])  b"", bytes to insert, a multiple of 64

Where a patch sets a `hash` (or `offset`, `root`, ...) itself, that value stays.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lz4.block
import rfc8785
import zstandard

from . import wire
from .reader import Shard
from .wire import (
    BLOCK,
    CELLS,
    CHUNK,
    CONST,
    DICTIONARY,
    ENUM,
    FIXED,
    FIXED_LEAF,
    FOOT,
    GROUP,
    H128,
    HEADER,
    INDEX,
    LAYOUT,
    LEAF,
    LZ4,
    NARROW,
    NONE,
    NULLABLE,
    PAGE,
    SHORT,
    TRAILER,
    VALIDITY,
    VAR,
    VARIABLE_LEAF,
    H,
    pad,
)

Cell = bytes | None
Patch = Callable[[str, tuple[Any, ...], Any], Any]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one page is written. `dictionary` uses the leaf's; element and number are for NARROW (bytes)."""

    layout: int
    codec: int = NONE
    cells: bool = False
    short: bool = False
    dictionary: bool = False
    element: int = 4
    number: int = 2
    base: int | None = None  # of NARROW; None: the smallest element
    code_bytes: int = 0  # of ENUM; 0: as few as will do
    together: int = 1  # values of a cell


@dataclass(frozen=True, slots=True)
class Leaf:
    id: int
    kind: int
    width: int = 0
    group: int = 0
    dictionary: int = 0
    flags: int = 0


def no_patch(name: str, key: tuple[Any, ...], value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Plan:
    leaves: tuple[Leaf, ...]
    columns: dict[int, list[Cell]]
    schema: bytes
    groups: tuple[int, ...] = (4,)  # rows_per_block of each
    dictionaries: tuple[bytes, ...] = ()
    encodings: dict[Any, Encoding] = field(default_factory=dict)  # by leaf id, or by (leaf id, block)
    stats: bytes = b"{}"
    nonce: int = 0x1234
    interleave: bool = True  # write block 0 of all groups, then block 1, ...
    patch: Patch = no_patch

    def with_patch(self, patch: Patch) -> Plan:
        return replace(self, patch=patch)


# Pages

def pack(codec: int, data: bytes, dictionary: bytes) -> bytes:
    if codec == LZ4:
        return lz4.block.compress(data, store_size=False, dict=dictionary[-65536:] or None)
    given = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_AUTO) if dictionary else None
    return zstandard.ZstdCompressor(3, dict_data=given, write_checksum=False, write_dict_id=False).compress(data)


def make_cell(codec: int, value: bytes, dictionary: bytes) -> bytes:
    if not value:
        return b""
    packed = pack(codec, value, dictionary)
    block = packed if codec == LZ4 else _frame_block(packed, len(value))
    if block and len(value) <= 65535:
        cell = struct.pack("<H", len(value)) + block
    else:
        cell = struct.pack("<HBI", 0, 1, len(value)) + (packed if codec == LZ4 else packed[4:])
    return cell if len(cell) < len(value) else b"\0\0\0" + value


def _frame_block(frame: bytes, size: int) -> bytes:
    """The content of the one block of a frame whose headers a reader can make again; b"" if it is not such a frame."""
    head = 4 + (2 if size < 256 else 3)
    block = int.from_bytes(frame[head : head + 3], "little")
    body = frame[head + 3 :]
    alike = frame[4] == (0x20 if size < 256 else 0x60) and block in (5 + 8 * len(body), 3 + 8 * size)
    return body if alike and (block & 6 == 4) == (len(body) > 1) else b""


def _offsets(values: list[bytes], code: str) -> bytes:
    ends = [0]
    for value in values:
        ends.append(ends[-1] + len(value))
    return struct.pack(f"<{len(ends)}{code}", *ends)


def _zeros_to(data: bytes, k: int) -> bytes:
    return data + bytes(pad(len(data), k) - len(data))


def narrowed(cells: list[Cell], how: Encoding) -> tuple[bytes, list[Cell]]:
    """The head of a NARROW page, and its values as they are stored."""
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}
    rows = [None if cell is None else struct.unpack(f"<{len(cell) // how.element}{code[how.element]}", cell) for cell in cells]
    base = min((n for row in rows for n in row or ()), default=0) if how.base is None else how.base
    numbers = [None if row is None else [(n - base) % 256**how.element for n in row] for row in rows]
    return (struct.pack("<QBB6x", base, how.element, how.number),
            [None if row is None else struct.pack(f"<{len(row)}{code[how.number]}", *row) for row in numbers])


def page_content(cells: list[Cell], leaf: Leaf, how: Encoding) -> bytes:
    """The content of a page that has no cells (or of cells, as if they were values of a variable leaf)."""
    if how.layout == NARROW and not how.cells:
        head, cells = narrowed(cells, how)
        return head + page_content(cells, replace(leaf, width=leaf.width // how.element * how.number), replace(how, layout=FIXED))
    values = [cell if cell is not None else bytes(leaf.width) for cell in cells]
    if how.layout == CONST:
        real = {cell for cell in cells if cell is not None}
        assert len(real) <= 1, "CONST with two values"
        return real.pop() if real else bytes(leaf.width)
    if how.layout == ENUM:
        table = sorted({cell for cell in cells if cell is not None}) or [bytes(leaf.width)]
        size = how.code_bytes or (1 if len(table) <= 256 else 2)
        codes = [0 if cell is None else table.index(cell) for cell in cells]
        body = _zeros_to(struct.pack(f"<{len(codes)}{'B' if size == 1 else 'H'}", *codes), 8)
        heads = _offsets(table, "I") if leaf.kind == VARIABLE_LEAF else b""
        return struct.pack("<II", len(table), size) + body + heads + b"".join(table)
    if leaf.kind == FIXED_LEAF and not how.cells:
        return b"".join(values)
    return _zeros_to(_offsets(values, "H" if how.short else "I"), 64) + b"".join(values)


def cell_ends(values: list[Cell], together: int) -> bytes:
    """Where each value ends in what its cell yields."""
    ends = [sum(len(value or b"") for value in values[row - row % together : row + 1]) for row in range(len(values))]
    return _zeros_to(struct.pack(f"<{len(ends)}H", *ends), 64)


def make_page(plan: Plan, leaf: Leaf, cells: list[Cell], key: tuple[int, int, int]) -> tuple[dict[str, int], bytes]:
    """The page table entry (without offset and hash), and the stored bytes."""
    how = plan.encodings.get((leaf.id, key[1]), plan.encodings.get(leaf.id))
    how = how or Encoding(FIXED if leaf.kind == FIXED_LEAF else VAR)
    dictionary = plan.dictionaries[leaf.dictionary - 1] if how.dictionary else b""
    nulls = cells.count(None)
    validity = b""
    if nulls:
        bits = sum(1 << row for row, cell in enumerate(cells) if cell is not None)
        validity = plan.patch("validity", key, bits.to_bytes(pad(-(-len(cells) // 8), 64), "little"))
    if how.cells:
        head, values = narrowed(cells, how) if how.layout == NARROW else (b"", cells)
        empty = leaf.kind == FIXED_LEAF
        width = leaf.width // how.element * how.number if how.layout == NARROW else leaf.width
        pieces = values if how.together == 1 else [
            b"".join(bytes(width) if value is None else value for value in values[row : row + how.together]) for row in range(0, len(values), how.together)]
        packed = [plan.patch("cell", (*key, row), b"" if value is None or (empty and not any(value)) else make_cell(how.codec, value, dictionary))
                  for row, value in enumerate(pieces)]
        content = page_content(packed, replace(leaf, width=0), how)
        if how.together > 1 and not empty:
            at = pad((2 if how.short else 4) * (len(packed) + 1), 64)
            content = content[:at] + plan.patch("ends", key, cell_ends(values, how.together)) + content[at:]
        form = validity + plan.patch("content", key, head + content)
        plain = width * len(cells) if empty else pad(4 * (len(cells) + 1), 64) + sum(len(value or b"") for value in values)
        raw = len(validity) + len(head) + plain
        stored = form
    else:
        form = validity + plan.patch("content", key, page_content(cells, leaf, how))
        raw = len(form)
        stored = form if how.codec == NONE else pack(how.codec, form, dictionary)
    stored = plan.patch("stored", key, stored)
    if how.codec == NONE:
        raw = len(stored)
    flags = VALIDITY * bool(nulls) | CELLS * how.cells | SHORT * how.short
    return {"leaf": leaf.id, "layout": how.layout, "codec": how.codec, "flags": flags,
            "dictionary": leaf.dictionary if how.dictionary else 0, "cell_rows": how.together * how.cells, "stored": len(stored), "raw": raw, "nulls": nulls}, stored


# The shard

def build(plan: Plan) -> bytes:
    patch = plan.patch
    header = _hashed(HEADER, 56, patch("header", (), {"magic": wire.MAGIC, "major": 2, "header_bytes": 64, "nonce": plan.nonce}))
    nonce = HEADER.read(header[:40] + bytes(16) + header[56:]).nonce
    out = bytearray(header)
    rows = len(next(iter(plan.columns.values())))

    def append(kind: bytes, body: bytes, head_bytes: int, key: tuple[Any, ...] = ()) -> tuple[int, int, int]:
        """(offset, bytes, hash) of the chunk."""
        out.extend(patch("whole", (kind, *key), b""))
        at = len(out)
        fields = patch("chunk", (kind, *key), {"kind": kind, "body_bytes": len(body), "head_bytes": head_bytes})
        chunk = bytearray(CHUNK.pack(**fields) + body)
        if "hash" not in fields:
            chunk[:8] = H(bytes(chunk[8 : 32 + fields["head_bytes"]]), nonce ^ at).to_bytes(8, "little")
        out.extend(chunk)
        out.extend(patch("gap", (kind, *key), bytes(-len(out) % 64)))
        return at, len(chunk), int.from_bytes(chunk[:8], "little")

    schema = patch("schema", (), plan.schema)
    layout = LAYOUT.pack(**patch("schm_layout", (), {
        "leaf_count": len(plan.leaves), "group_count": len(plan.groups), "schema_bytes": len(schema)}))
    for position, leaf in enumerate(plan.leaves):
        layout += LEAF.pack(**patch("leaf", (position,), {
            "id": leaf.id, "kind": leaf.kind, "group": leaf.group, "dictionary": leaf.dictionary, "flags": leaf.flags,
            "width": leaf.width}))
    for number, size in enumerate(plan.groups):
        layout += GROUP.pack(**patch("group", (number,), {"rows_per_block": size}))
    layout += schema
    schm = patch("schm", (), layout)
    append(b"SCHM", schm, len(schm))

    table = b""
    for position, dictionary in enumerate(plan.dictionaries):
        body = patch("dict", (position + 1,), dictionary)
        at, _, _ = append(b"DICT", body, len(body), (position + 1,))
        table += DICTIONARY.pack(**patch("dictionary", (position,), {"offset": at, "bytes": len(body), "digest": H128(body)}))

    order = [(number, group) for group, size in enumerate(plan.groups) for number in range(-(-rows // size))]
    index: dict[tuple[int, int], bytes] = {}
    total = 0
    for number, group in sorted(order) if plan.interleave else order:
        size = plan.groups[group]
        first = number * size
        block_rows = min(size, rows - first)
        leaves = [leaf for leaf in plan.leaves if leaf.group == group]
        entries, body = b"", b""  # `body` begins where the page table ends
        base = 48 + 32 * len(leaves)
        raws = 0
        for leaf in leaves:
            key = group, number, leaf.id
            entry, stored = make_page(plan, leaf, plan.columns[leaf.id][first : first + block_rows], key)
            at = base + len(body)
            k = 64 if entry["codec"] == NONE or entry["flags"] & CELLS else 8
            body += bytes(pad(at, k) - at) + stored
            entry = patch("page", key, entry | {"offset": pad(at, k), "hash": H(stored)})
            raws += entry["raw"]
            entries += PAGE.pack(**entry)
        head = patch("block", (group, number), {"first_row": first, "rows": block_rows, "group": group, "pages": len(leaves)})
        at, length, code = append(b"DATA", BLOCK.pack(**head) + entries + body, 16 + len(entries), (group, number))
        total += raws
        index[group, number] = INDEX.pack(**patch("index", (group, number), {
            "offset": at, "bytes": length, "raw_bytes": raws % 2**32, "hash": code}))

    stats = patch("stats", (), plan.stats)
    foot = patch("foot", (), {
        "header": header, "row_count": rows, "raw_bytes": total, "digest": digest(plan), "layout_bytes": len(layout),
        "dictionary_count": len(plan.dictionaries), "block_count": len(index), "stats_bytes": len(stats)})
    footer = FOOT.pack(**foot) + _zeros_to(layout, 8) + table + b"".join(index[key] for key in sorted(index)) + stats
    footer = patch("footer", (), footer)
    at, length, root = append(b"FOOT", footer, len(footer))
    out.extend(_hashed(TRAILER, 48, patch("trailer", (), {
        "footer_offset": at, "footer_bytes": length, "file_bytes": at + pad(length, 64) + 64, "row_count": rows,
        "nonce": nonce, "footer_hash": root, "magic": wire.END_MAGIC})))
    return bytes(out)


def write_dataset(folder: Path, shards: list[bytes], schema: dict[str, Any], /, **more: Any) -> None:
    """A folder with these shards and their manifest; more: members of the manifest."""
    entries = []
    for number, data in enumerate(shards):
        shard = Shard(data)
        root = f"{shard.trailer.footer_hash:016x}"
        name = f"{number:05}-{root}.atlas"
        (folder / name).write_bytes(data)
        entries.append({"bytes": len(data), "path": name, "root": root, "rows": shard.rows,
                        "tail": len(data) - shard.trailer.footer_offset, "raw": shard.foot.raw_bytes, "chunk": shard.chunk_rows})
    manifest = {"atlas": 2, "features": [], "metadata": {}, "rows": sum(e["rows"] for e in entries), "schema": schema,
                "shards": entries, "splits": {}} | more
    manifest["hash"] = H128(rfc8785.dumps(manifest))[::-1].hex()
    (folder / "atlas.json").write_bytes(rfc8785.dumps(manifest))


def _hashed(table: wire.Table, length: int, fields: dict[str, Any]) -> bytes:
    return table.pack(**({"hash": H(table.pack(**fields)[:length])} | fields))


def digest(plan: Plan) -> bytes:
    parts = b""
    for leaf in plan.leaves:
        cells = plan.columns[leaf.id]
        if leaf.kind == VARIABLE_LEAF:
            lengths = struct.pack(f"<{len(cells)}I", *(0xFFFFFFFF if cell is None else len(cell) for cell in cells))
        else:
            lengths = bytes(cell is not None for cell in cells) if leaf.flags & NULLABLE else b""
        parts += H128(lengths) + H128(b"".join(bytes(leaf.width) if cell is None else cell for cell in cells))
    return H128(parts)


# Editing finished shards

@dataclass(frozen=True, slots=True)
class Places:
    """Where the tables of a good shard lie in the file."""

    trailer: int
    footer: int  # the FOOT chunk; its body begins 32 later
    layout: int  # the copy in the footer
    schm: int  # the SCHM chunk; its body begins 32 later
    dictionaries: tuple[int, ...]  # entries of the dictionary table
    index: tuple[int, ...]  # entries of the block index
    blocks: tuple[int, ...]  # DATA chunks, in the order of the index


def places(shard: bytes) -> Places:
    footer = TRAILER.read(shard, len(shard) - 64).footer_offset
    foot = FOOT.read(shard, footer + 32)
    layout = footer + 32 + FOOT.size
    at = layout + pad(foot.layout_bytes, 8)
    index_at = at + 32 * foot.dictionary_count
    index = tuple(range(index_at, index_at + 24 * foot.block_count, 24))
    return Places(len(shard) - 64, footer, layout, 64, tuple(range(at, index_at, 32)), index,
                  tuple(INDEX.read(shard, entry).offset for entry in index))


def put(shard: bytes, table: wire.Table, at: int, **fields: Any) -> bytes:
    """The shard with some fields of the table at `at` changed. No hash is touched: see `reseal`."""
    end = at + table.size
    record = dict(zip(table.fields, table.code.unpack(shard[at:end])))
    return shard[:at] + table.pack(**record | fields) + shard[end:]


def reseal_footer(shard: bytes) -> bytes:
    """Only the hashes of the footer and of the trailer computed again."""
    trailer = len(shard) - 64
    place = TRAILER.read(shard, trailer)
    chunk = CHUNK.read(shard, place.footer_offset)
    seed = HEADER.code.unpack_from(shard)[HEADER.fields.index("nonce")] ^ place.footer_offset
    root = H(shard[place.footer_offset + 8 : place.footer_offset + 32 + chunk.head_bytes], seed)
    shard = put(put(shard, CHUNK, place.footer_offset, hash=root), TRAILER, trailer, footer_hash=root)
    return put(shard, TRAILER, trailer, hash=H(shard[trailer : trailer + 48]))


def reseal(shard: bytes, content: bool = False) -> bytes:
    """All hashes computed again, from the pages up, as far as what is there can be made out; nothing else is changed.
    With `content` the content digest too, if the shard can still be decoded."""
    out = bytearray(shard)
    size = len(out)
    if size < 128 + 64:
        return shard

    def u(at: int, count: int) -> int:
        return int.from_bytes(out[at : at + count], "little")

    nonce = u(32, 8)
    footer = u(size - 64, 8)

    def seal(at: int) -> None:
        head = u(at + 24, 4)
        if at + 32 + head <= size:
            out[at : at + 8] = H(bytes(out[at + 8 : at + 32 + head]), nonce ^ at).to_bytes(8, "little")

    def seal_block(at: int) -> None:
        for entry in range(at + 48, min(at + 48 + 32 * u(at + 46, 2), size - 96), 32):
            start, length = at + u(entry + 8, 4), u(entry + 12, 4)
            if start + length <= size:
                out[entry + 24 : entry + 32] = H(bytes(out[start : start + length])).to_bytes(8, "little")

    out[56:64] = H(bytes(out[:56])).to_bytes(8, "little")
    chunks, at = [], 64
    while at + 32 <= min(footer, size - 64):
        chunks.append(at)
        at = pad(at + 32 + u(at + 16, 8), 64)
    if footer % 64 == 0 and 64 <= footer <= size - 64 - 32 - FOOT.size:
        body = footer + 32
        out[body + 56 : body + 64] = H(bytes(out[body : body + 56])).to_bytes(8, "little")
        tables = body + FOOT.size + pad(u(body + 96, 4), 8)
        index = tables + 32 * u(body + 100, 4)
        room = max(0, size - 64)
        dictionaries = list(range(tables, min(index, room - 31), 32))
        entries = list(range(index, min(index + 24 * u(body + 104, 4), room - 23), 24))
        chunks += [u(entry, 8) for entry in dictionaries + entries]
    else:
        dictionaries, entries = [], []
    for at in sorted({at for at in chunks if 64 <= at <= size - 96 and at != footer}):
        if out[at + 8 : at + 12] == b"DATA":
            seal_block(at)
        seal(at)
    for entry in dictionaries:
        at, length = u(entry, 8), u(entry + 8, 4)
        if at + 32 + length <= size:
            out[entry + 16 : entry + 32] = H128(bytes(out[at + 32 : at + 32 + length]))
    for entry in entries:
        if u(entry, 8) + 8 <= size:
            out[entry + 16 : entry + 24] = out[u(entry, 8) : u(entry, 8) + 8]
    if 64 <= footer <= size - 96:
        seal(footer)
        out[size - 24 : size - 16] = out[footer : footer + 8]
    out[size - 16 : size - 8] = H(bytes(out[size - 64 : size - 16])).to_bytes(8, "little")
    if content:
        try:
            right = Shard(bytes(out)).content_digest()
        except (wire.ShardError, MemoryError):
            return bytes(out)
        if out[footer + 32 + 80 : footer + 32 + 96] != right:
            out[footer + 32 + 80 : footer + 32 + 96] = right
            return reseal(bytes(out))
    return bytes(out)
