"""A plain-Python reader of Atlas shards and datasets, written from FORMAT.md alone: the oracle, and a decoder to learn from.

It reads whole files, checks everything and is slow; it shares no code with the C reader. `pages.py` decodes a page,
`schema.py` builds values, `wire.py` has the tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rfc8785
import xxhash

from . import schema as schemas
from . import totals
from .pages import Cell, decode_page
from .wire import (
    BLOCK,
    CELLS,
    CHUNK,
    DICTIONARY,
    END_MAGIC,
    FIXED_LEAF,
    FOOT,
    GROUP,
    H128,
    HEADER,
    INDEX,
    LAYOUT,
    LEAF,
    MAGIC,
    MAX_DICTIONARIES,
    MAX_DICTIONARY,
    MAX_FILE,
    MAX_FOOTER,
    MAX_GROUPS,
    MAX_LEAVES,
    MAX_PAGE,
    MAX_ROWS,
    MAX_SCHEMA,
    MIN_DICTIONARY,
    NONE,
    NULLABLE,
    OWN_PAGE_LIMIT,
    PAGE,
    PAGE_CODED,
    TRAILER,
    VALIDITY,
    VARIABLE_LEAF,
    Corrupt,
    H,
    Limit,
    ShardError,
    Truncated,
    Unsupported,
    check_dictionary,
    need,
    need_zero,
    pad,
    stored128,
)


def check_header(data: bytes) -> Any:
    header = HEADER.read(data)
    need(header.magic == MAGIC, "not an Atlas shard: magic")
    need(header.hash == H(data[:56]), "hash of the header")
    need(header.major == 2, f"format version {header.major}", Unsupported)
    unknown = [bit for bit in range(64) if header.incompat >> bit & 1]
    need(not unknown, f"feature bit {unknown and unknown[0]}", Unsupported)
    need(header.header_bytes == 64, "header_bytes")
    return header


class Shard:
    """One shard. Opening does step 1 of section 14; each leaf is checked as it is read; `verify` does section 15."""

    def __init__(self, source: bytes | str | Path, page_limit: int = OWN_PAGE_LIMIT) -> None:
        self.data = source if isinstance(source, bytes) else Path(source).read_bytes()
        self.page_limit = page_limit
        self.trailer = self._read_trailer()
        self._read_footer()
        self._read_layout()
        self._read_tables()
        self.rows: int = self.foot.row_count
        self._kept: dict[tuple[int, int], list[Cell]] = {}

    # Opening

    def _read_trailer(self) -> Any:
        data = self.data
        if len(data) < 128 or data[-8:] != END_MAGIC:
            need(data[:8] == MAGIC[: len(data)], "not an Atlas shard: magic")
            raise Truncated("the file does not end in a trailer")
        trailer = TRAILER.read(data, len(data) - 64)
        need(trailer.hash == H(data[-64:-16]), "hash of the trailer")
        need(trailer.file_bytes <= MAX_FILE, "file of more than 2^63 - 1 bytes", Limit)
        need(trailer.footer_bytes <= MAX_FOOTER, "footer too large", Limit)
        end = trailer.footer_offset + pad(trailer.footer_bytes, 64) + 64
        need(trailer.file_bytes <= len(data), "the file is shorter than its trailer says", Truncated)
        need(trailer.file_bytes == len(data), "the file is longer than its trailer says")
        need(trailer.file_bytes == end, "file_bytes does not follow from the footer's place")
        need(trailer.footer_offset % 64 == 0 and trailer.footer_offset >= 64, "footer_offset")
        return trailer

    def chunk(self, offset: int, end: int) -> tuple[Any, int]:
        """The checked header of the chunk at `offset`, and where the chunk ends."""
        need(offset % 64 == 0, "a chunk does not start at a multiple of 64")
        chunk = CHUNK.read(self.data[:end], offset)
        need(chunk.flags == 0, "flags of a chunk")
        need(chunk.head_bytes <= chunk.body_bytes <= end - offset - 32, "a chunk ends outside of its place")
        hashed = self.data[offset + 8 : offset + 32 + chunk.head_bytes]
        need(chunk.hash == H(hashed, self.trailer.nonce ^ offset), f"hash of the chunk at {offset}")
        return chunk, offset + 32 + chunk.body_bytes

    def _read_footer(self) -> None:
        trailer = self.trailer
        at = trailer.footer_offset
        chunk, end = self.chunk(at, at + trailer.footer_bytes)
        need(chunk.kind == b"FOOT" and chunk.head_bytes == chunk.body_bytes, "the footer is not a FOOT chunk")
        need(end == at + trailer.footer_bytes, "footer_bytes differs from the FOOT chunk")
        need(chunk.hash == trailer.footer_hash, "the trailer names another footer")
        self.footer = self.data[at + 32 : end]
        self.foot = FOOT.read(self.footer)
        self.header = check_header(self.foot.header)
        need(self.header.nonce == trailer.nonce, "nonce of header and trailer differ")
        need(self.foot.row_count == trailer.row_count, "row_count of footer and trailer differ")

    def _read_layout(self) -> None:
        size = self.foot.layout_bytes
        need(128 + pad(size, 8) <= len(self.footer), "the layout ends outside of the footer")
        need_zero(self.footer[128 + size : 128 + pad(size, 8)], "padding of the layout")
        body = self.footer[128 : 128 + size]
        layout = LAYOUT.read(body)
        need(layout.leaf_count and layout.group_count, "no leaves or no groups")
        need(layout.leaf_count <= MAX_LEAVES and layout.group_count <= MAX_GROUPS, "too many leaves or groups", Limit)
        need(layout.schema_bytes <= MAX_SCHEMA, "schema too long", Limit)
        groups_at = 16 + 16 * layout.leaf_count
        schema_at = groups_at + 8 * layout.group_count
        need(schema_at + layout.schema_bytes == size, "the layout's parts do not make its length")
        self.layout = body
        self.leaves = [LEAF.read(body, at) for at in range(16, groups_at, 16)]
        self.groups = [GROUP.read(body, at) for at in range(groups_at, schema_at, 8)]
        for leaf in self.leaves:
            need(leaf.kind in (FIXED_LEAF, VARIABLE_LEAF), f"unknown leaf kind {leaf.kind}")
            need(leaf.group < len(self.groups), "a leaf of a group that is not there")
            need(leaf.dictionary <= self.foot.dictionary_count, "a leaf of a dictionary that is not there")
            need(leaf.flags < 4, f"unknown leaf flags {leaf.flags}")
            need(leaf.kind == FIXED_LEAF or leaf.width == 0, "a variable leaf with a width")
            need(leaf.width <= MAX_PAGE, "a value of more than 2^30 bytes", Limit)
        self.positions = {leaf.id: position for position, leaf in enumerate(self.leaves)}
        need(len(self.positions) == len(self.leaves), "two leaves of one id")
        self.members = [[p for p, leaf in enumerate(self.leaves) if leaf.group == g] for g in range(len(self.groups))]
        need(all(self.members), "a group without leaves")
        for group in self.groups:
            need(group.rows_per_block, "rows_per_block is 0")
            need(group.rows_per_block <= MAX_ROWS, "rows_per_block too large", Limit)
        self.schema = schemas.parse_schema(body[schema_at:])
        schemas.check_leaves(self.schema, self.leaves)

    def _read_tables(self) -> None:
        foot, at = self.foot, 128 + pad(self.foot.layout_bytes, 8)
        need(foot.dictionary_count <= MAX_DICTIONARIES, "too many dictionaries", Limit)
        index_at = at + 32 * foot.dictionary_count
        stats_at = index_at + 24 * foot.block_count
        need(stats_at + foot.stats_bytes == len(self.footer), "the footer's parts do not make its length")
        counts = [-(-foot.row_count // group.rows_per_block) for group in self.groups]
        need(sum(counts) == foot.block_count, "block_count does not follow from row_count")
        self.dictionary_table = [DICTIONARY.read(self.footer, i) for i in range(at, index_at, 32)]
        entries = (INDEX.read(self.footer, i) for i in range(index_at, stats_at, 24))
        self.index = [[next(entries) for _ in range(count)] for count in counts]
        for entry in self.dictionary_table:
            need(entry.bytes <= MAX_DICTIONARY, "dictionary too large", Limit)
            need(entry.bytes >= MIN_DICTIONARY, "dictionary too short")
        for entry in (entry for blocks in self.index for entry in blocks):
            need(entry.raw_bytes <= MAX_PAGE and entry.bytes <= 2 * MAX_PAGE, "a block too large", Limit)
        for blocks in self.index:
            need(all(a.offset + a.bytes <= b.offset for a, b in zip(blocks, blocks[1:])), "offsets of a group do not ascend")
        for entry in (entry for blocks in self.index for entry in blocks):
            need(entry.offset >= 64 and entry.offset + entry.bytes <= self.trailer.footer_offset, "a block outside of its place")
        self.stats = self._read_stats(self.footer[stats_at:])

    def _read_stats(self, text: bytes) -> dict[str, Any]:
        """Whatever is not an object is nothing: stats are informational."""
        try:
            stats = schemas.load_json(text, "stats")
        except ShardError:
            return {}
        return stats if isinstance(stats, dict) else {}

    @property
    def chunk_rows(self) -> int:
        """`chunk` of the manifest."""
        coded = [self.groups[leaf.group].rows_per_block for leaf in self.leaves if leaf.flags & PAGE_CODED]
        return min(coded or [group.rows_per_block for group in self.groups])

    # Reading

    def dictionary(self, number: int) -> bytes:
        if not number:
            return b""
        entry = self.dictionary_table[number - 1]
        chunk, end = self.chunk(entry.offset, self.trailer.footer_offset)
        need(chunk.kind == b"DICT" and chunk.head_bytes == chunk.body_bytes == entry.bytes, "not the DICT chunk of the table")
        body = self.data[entry.offset + 32 : end]
        need(H128(body) == entry.digest, "digest of a dictionary")
        return body

    def block(self, group: int, number: int) -> tuple[Any, list[Any]]:
        """The block head and the page table, checked, with every page's place (steps 3 and half of 4)."""
        entry, ids = self.index[group][number], [self.leaves[p].id for p in self.members[group]]
        chunk, end = self.chunk(entry.offset, entry.offset + entry.bytes)
        need(chunk.kind == b"DATA" and end == entry.offset + entry.bytes, "not the DATA chunk of the index")
        need(chunk.hash == entry.hash, "the index names another chunk")
        need(chunk.head_bytes == 16 + 32 * len(ids), "head_bytes of a DATA chunk")
        head = BLOCK.read(self.data[:end], entry.offset + 32)
        size = self.groups[group].rows_per_block
        need((head.group, head.pages) == (group, len(ids)), "group or pages of a block")
        need(head.first_row == number * size and head.rows == min(size, self.rows - number * size), "rows of a block")
        pages = [PAGE.read(self.data[:end], entry.offset + 48 + 32 * i) for i in range(len(ids))]
        need([page.leaf for page in pages] == ids, "leaves of a block")
        need(all(page.raw <= self.page_limit and page.stored <= 2 * self.page_limit for page in pages), "a page too large", Limit)
        need(sum(page.raw for page in pages) <= MAX_PAGE, "a block too large", Limit)
        need(sum(page.raw for page in pages) == entry.raw_bytes, "raw_bytes of a block")
        at = 48 + 32 * len(pages)
        for page in pages:
            start = pad(at, 64 if page.codec == NONE or page.flags & CELLS else 8)
            need(page.offset == start, "a page is not where the one before it ends")
            need(start + page.stored <= entry.bytes, "a page ends outside of its block")
            need_zero(self.data[entry.offset + at : entry.offset + start], "padding before a page")
            at = start + page.stored
        need(at == entry.bytes, "a block does not end with its last page")
        return head, pages

    def page(self, position: int, number: int) -> list[Cell]:
        """All values of one leaf in one block of its group."""
        key = position, number
        if key not in self._kept:
            leaf = self.leaves[position]
            head, pages = self.block(leaf.group, number)
            page = pages[self.members[leaf.group].index(position)]
            start = self.index[leaf.group][number].offset + page.offset
            stored = self.data[start : start + page.stored]
            need(page.hash == H(stored), f"hash of a page of leaf {leaf.id}")
            need(leaf.flags & NULLABLE or not page.flags & VALIDITY, "nulls in a leaf that is not NULLABLE")
            need(leaf.flags & PAGE_CODED or page.codec == NONE or page.flags & CELLS, "a page of this leaf is not compressed")
            need(page.dictionary in (0, leaf.dictionary), "a page uses a dictionary that is not its leaf's")
            values = decode_page(stored, page, leaf, head.rows, self.dictionary(page.dictionary))
            self._kept = {k: v for k, v in self._kept.items() if k[0] != position} | {key: values}
        return self._kept[key]

    def leaf(self, position: int | None = None, *, id: int | None = None) -> list[Cell]:
        """All values of one leaf, named by position or by id."""
        where = position if id is None else self.positions[id]
        blocks = range(len(self.index[self.leaves[where].group]))
        return [value for number in blocks for value in self.page(where, number)]

    def cell(self, id: int, row: int) -> Cell:
        position = self.positions[id]
        number, place = divmod(row, self.groups[self.leaves[position].group].rows_per_block)
        return self.page(position, number)[place]

    def example(self, row: int) -> Any:
        if not 0 <= row < self.rows:
            raise IndexError(row)
        values = [schemas.build_value(field, lambda id: self.cell(id, row)) for field in self.schema.fields]
        return schemas.build_example(self.schema, values)

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Any]:
        return (self.example(row) for row in range(self.rows))

    # Verifying

    def content_digest(self) -> bytes:
        parts = b""
        for position, leaf in enumerate(self.leaves):
            lengths, values = xxhash.xxh3_128(), xxhash.xxh3_128()
            for cell in self.leaf(position):
                if leaf.kind == VARIABLE_LEAF:
                    lengths.update((0xFFFFFFFF if cell is None else len(cell)).to_bytes(4, "little"))
                elif leaf.flags & NULLABLE:
                    lengths.update(b"\0" if cell is None else b"\1")
                values.update(cell if cell is not None else bytes(leaf.width))
            parts += stored128(lengths.intdigest()) + stored128(values.intdigest())
        return H128(parts)

    def verify(self) -> None:
        """Section 15, and that every value is one of its type."""
        need(self.data[:8] == MAGIC, "not an Atlas shard: magic")
        check_header(self.data[:64])
        need(self.data[:64] == self.foot.header, "the header differs from its copy in the footer")
        self._verify_tiling()
        blocks = [self.block(g, number) for g, blocks in enumerate(self.index) for number in range(len(blocks))]
        need(sum(page.raw for _, pages in blocks for page in pages) == self.foot.raw_bytes, "raw_bytes of the shard")
        need(self.content_digest() == self.foot.digest, "content digest")
        for _ in self:
            pass

    def _verify_tiling(self) -> None:
        end, at, order = self.trailer.footer_offset, 64, []
        found: dict[bytes, list[tuple[int, int]]] = {b"SCHM": [], b"DICT": [], b"DATA": []}
        while at < end:
            chunk, stop = self.chunk(at, end)
            if chunk.kind in found:
                found[chunk.kind].append((at, stop - at))
                order.append(chunk.kind)
            else:
                need(chunk.kind != b"FOOT", "a second footer")
                need(chunk.kind[:1].islower(), f"unknown chunk kind {chunk.kind!r}", Unsupported)
                need(order, "the first chunk is not SCHM")
            need_zero(self.data[stop : pad(stop, 64)], "padding of a chunk")
            at = pad(stop, 64)
        need(at == end, "the chunks do not end at the footer")
        footer_end = end + self.trailer.footer_bytes
        need_zero(self.data[footer_end : len(self.data) - 64], "padding of the footer")
        need(order == sorted(order, key=[b"SCHM", b"DICT", b"DATA"].index), "chunks out of order")
        need(len(found[b"SCHM"]) == 1, "not one SCHM chunk")
        (offset, size), = found[b"SCHM"]
        schm, _ = self.chunk(offset, end)
        need(schm.head_bytes == schm.body_bytes, "head_bytes of SCHM")
        need(self.data[offset + 32 : offset + size] == self.layout, "SCHM differs from the layout in the footer")
        need(found[b"DICT"] == [(e.offset, 32 + e.bytes) for e in self.dictionary_table], "DICT chunks are not the table's")
        for number in range(len(self.dictionary_table)):
            check_dictionary(self.dictionary(number + 1))
        indexed = sorted((entry.offset, entry.bytes) for blocks in self.index for entry in blocks)
        need(found[b"DATA"] == indexed, "DATA chunks are not those of the index")


ENTRY = {"bytes", "chunk", "path", "raw", "root", "rows", "tail"}
MAX_INTEGER = 2**53 - 1
MAX_METADATA_DEPTH = 64


class Dataset:
    """A folder with a manifest. Shards are opened as they are reached."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        text = (self.folder / "atlas.json").read_bytes()
        self.manifest = schemas.load_json(text, "manifest")
        need(isinstance(self.manifest, dict), "the manifest is not an object")
        bare = {name: value for name, value in self.manifest.items() if name != "hash"}
        need(_canonical(self.manifest) == text, "the manifest is not canonical JSON")
        need(self.manifest.get("hash") == H128(_canonical(bare))[::-1].hex(), "hash of the manifest")
        need(self.manifest.get("atlas") == 2, "not a manifest of Atlas 2", Unsupported)
        features = self._member("features", list)
        need(all(isinstance(name, str) for name in features), "features are not text")
        need(not features, f"features {features}", Unsupported)
        need(_depth(self._member("metadata", dict)) <= MAX_METADATA_DEPTH, "metadata is nested too deep", Limit)
        self.schema = schemas.schema_of(self._member("schema", dict))
        self.entries = [_entry(entry) for entry in self._member("shards", list)]
        self.rows = sum(entry["rows"] for entry in self.entries)
        need(self.rows == self._member("rows", int) <= MAX_INTEGER, "rows of the manifest")
        paths = [entry["path"] for entry in self.entries]
        need(len(set(paths)) == len(paths), "a shard is named twice")
        likeness = self.manifest.get("icc", {})
        need(isinstance(likeness, dict) and all(type(v) in (int, float) and 0 <= v <= 1 for v in likeness.values()), "icc of the manifest")
        for ranges in self._member("splits", dict).values():
            need(isinstance(ranges, list) and all(isinstance(part, list) and len(part) == 2 for part in ranges), "ranges of a split")
            ends = [0, *(number for part in ranges for number in part)]
            need(all(type(number) is int for number in ends) and ends == sorted(ends) and ends[-1] <= self.rows, "a split outside of the rows, or not ascending")

    def _member(self, name: str, kind: type) -> Any:
        need(type(self.manifest.get(name)) is kind, f"the manifest has no member {name}, or one of another type")
        return self.manifest[name]

    def shards(self) -> Iterator[Shard]:
        notes = []
        for entry in self.entries:
            shard = Shard(self.folder / entry["path"])
            facts = {"bytes": len(shard.data), "rows": shard.rows, "root": f"{shard.trailer.footer_hash:016x}",
                     "tail": len(shard.data) - shard.trailer.footer_offset, "path": entry["path"],
                     "raw": shard.foot.raw_bytes, "chunk": shard.chunk_rows}
            need(entry == facts and entry["path"][-22:-6] == facts["root"], "a shard is not as the manifest has it")
            labels = {field.leaves[0]: field.names for field in schemas.walk(shard.schema.fields) if field.kind == "class_label"}
            for field in schemas.walk(self.schema.fields):
                if field.kind == "class_label":
                    names = labels.get(field.leaves[0], ())
                    need(field.names[: len(names)] == names, "the names of a shard's classes are not the first of the manifest's")
            notes.append(shard.stats)
            yield shard
        totals.check(self.manifest, notes)

    def examples(self) -> Iterator[Any]:
        for shard in self.shards():
            theirs = {id: field for field in schemas.walk(shard.schema.fields) for id in field.leaves[:1]}
            for row in range(shard.rows):
                values = [_read_field(field, theirs, shard, row) for field in self.schema.fields]
                yield schemas.build_example(self.schema, values)


def _depth(value: Any) -> int:
    """How many objects and lists are inside each other in this one, itself not counted."""
    inner = value.values() if isinstance(value, dict) else value
    return max((1 + _depth(one) for one in inner if isinstance(one, dict | list)), default=0)


def _entry(entry: Any) -> dict[str, Any]:
    """What the manifest says of a shard, without members that this reader does not know."""
    need(isinstance(entry, dict) and entry.keys() >= ENTRY, "a shard lacks a member, as the manifest has it")
    found = {name: entry[name] for name in ENTRY}
    numbers = [found[name] for name in ("bytes", "rows", "tail", "raw", "chunk")]
    need(all(type(number) is int and 0 <= number <= MAX_INTEGER for number in numbers) and 1 <= found["chunk"] <= MAX_ROWS, "numbers of a shard, as the manifest has it")
    path, root = found["path"], found["root"]
    need(isinstance(path, str) and re.fullmatch(r"[0-9]{5,15}-[0-9a-f]{16}\.atlas", path), "path of a shard")
    need(path[-22:-6] == root, "root of a shard is not that of its path")
    return found


def _canonical(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError, RecursionError) as error:
        raise Corrupt(f"the manifest has no canonical form: {error}") from error


def _read_field(field: schemas.Field, theirs: dict[int, schemas.Field], shard: Shard, row: int) -> Any:
    if field.kind == "struct":
        if field.nullable and field.leaves[0] in theirs:
            if shard.cell(field.leaves[0], row) != b"\1":
                return None
        elif not any(id in theirs for inner in schemas.walk(field.fields) for id in inner.leaves):
            return None
        return {inner.name: _read_field(inner, theirs, shard, row) for inner in field.fields}
    if field.leaves[0] not in theirs:
        return None
    value = schemas.build_value(theirs[field.leaves[0]], lambda id: shard.cell(id, row))
    return schemas.widen(value, field)
