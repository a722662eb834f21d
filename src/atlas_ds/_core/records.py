"""What crosses the border between the binding and Python more than one value at a time: records
with names. They hold no behaviour."""

from __future__ import annotations

from typing import NamedTuple

from atlas_ds._core.base import Dictionary, Layout
from atlas_ds.schema.types import Leaf


class LeafEntry(NamedTuple):
    """A leaf of an open shard. kind: LeafKind; flags: LeafFlags; dictionary: its number, or 0;
    first_block: of its group, in the block index."""

    id: int
    kind: int
    width: int
    group: int
    dictionary: int
    flags: int
    rows_per_block: int
    first_block: int


class LeafSpec(NamedTuple):
    """A leaf of a shard to be written: an entry of the leaf table. kind: LeafKind; flags:
    LeafFlags; dictionary: its number, or 0."""

    id: int
    kind: int
    group: int
    dictionary: int
    flags: int
    width: int


class PageSpec(NamedTuple):
    """How the pages of a leaf are written. cell_rows: values that are compressed together, 1 each on its own, 0 none;
    whole: the page is compressed as a whole; light: CONST, NARROW and ENUM may be used. level: of zstd; of lz4 0, or that of its slow encoder.
    literals: Literals. number: of the dictionary in its shard."""

    leaf: Leaf
    codec: int
    cell_rows: int
    whole: bool
    light: bool
    level: int
    literals: int = 0
    number: int = 0
    dictionary: Dictionary | None = None


class PageWritten(NamedTuple):
    """What became of a page. layout: Layout; codec: Codec; flags: PageFlags; stored, raw: bytes."""

    layout: int
    codec: int
    flags: int
    stored: int
    raw: int


class Trial(NamedTuple):
    """What a page took: raw and stored bytes; layout: None where there was no row to try."""

    raw: int
    stored: int
    layout: Layout | None


class SealedChunk(NamedTuple):
    """A complete chunk, and its hash."""

    data: bytes
    hash: int


class DictionaryEntry(NamedTuple):
    """Where a dictionary's chunk is, the size of the dictionary, and its digest."""

    offset: int
    size: int
    digest: bytes


class IndexEntry(NamedTuple):
    """A block in the block index. size: bytes of its chunk, without padding."""

    offset: int
    size: int
    raw_bytes: int
    hash: int


class CodedBlock(NamedTuple):
    """Where a row's shard begins, and the rows of a block that is decoded as a whole there; 0 if
    none is."""

    first_row: int
    rows_per_block: int


class ChunkFound(NamedTuple):
    """A good chunk of a shard whose footer is gone: where it is, where its body begins and ends,
    its hash."""

    kind: bytes
    offset: int
    body: int
    end: int
    hash: int


class ChunksFound(NamedTuple):
    """The header's nonce, the good chunks after it, and where they end."""

    nonce: int
    chunks: list[ChunkFound]
    end: int


class BlockFound(NamedTuple):
    """What the head of a good DATA chunk says."""

    first_row: int
    rows: int
    group: int
    raw_bytes: int
