"""The binding of the C core: base and order, which any part of this package may import; nodes, read
and write, which know the schema.

    base    errors, codes and limits, hashes, files in memory, dictionaries
    order   permutations, windows, mixes
    nodes   a schema compiled to what an example is made of
    read    shards, examples, batches, rows
    write   columns, blocks, digest, chunks
    records named tuples for what crosses the border; they are imported from there

What lies below schema imports a module of these by name, and not this package's names.
"""

from atlas_ds._core.base import (
    Codec,
    Dictionary,
    Layout,
    LeafFlags,
    LeafKind,
    Literals,
    PageFlags,
    Pins,
    Region,
    States,
    Verify,
    copy_block,
    hash64,
    hash128,
    punch_hole,
    train_dictionary,
)
from atlas_ds._core.nodes import Node, Projection, Slice
from atlas_ds._core.order import MixOrder, Permutation, Windows, order_key
from atlas_ds._core.read import Batch, Context, Rows, Shard, ShardSet, block_rows, check_block, good_chunks
from atlas_ds._core.write import (
    Block,
    Column,
    Digest,
    Encoder,
    PageSpecs,
    RowBuilder,
    RowState,
    encode_all,
    footer_bytes,
    header_bytes,
    layout_bytes,
    seal_chunk,
    trailer_bytes,
    trial,
)

__all__ = [
    "Batch",
    "Block",
    "Codec",
    "Column",
    "Context",
    "Dictionary",
    "Digest",
    "Encoder",
    "Layout",
    "LeafFlags",
    "LeafKind",
    "Literals",
    "MixOrder",
    "Node",
    "PageFlags",
    "PageSpecs",
    "Permutation",
    "Pins",
    "Projection",
    "Region",
    "RowBuilder",
    "RowState",
    "Rows",
    "Shard",
    "ShardSet",
    "Slice",
    "States",
    "Verify",
    "Windows",
    "block_rows",
    "check_block",
    "copy_block",
    "encode_all",
    "footer_bytes",
    "good_chunks",
    "hash64",
    "hash128",
    "header_bytes",
    "layout_bytes",
    "order_key",
    "punch_hole",
    "seal_chunk",
    "trailer_bytes",
    "train_dictionary",
    "trial",
]
