"""Writes datasets of torch-atlas-ds (version 1) as its format says, for tests: every strategy, its fall-backs, both forms of meta. No checks."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import zstandard

NONE, PLAIN, SHARED, OWN = range(4)
FEW = 7  # below so many blocks no dictionary can be trained


def write_v1(root, examples, *, shard_size=40, block_size=4, strategy=PLAIN, old_meta=False, padded=True):
    """A dataset; returns its path. old_meta: the pre-release's two bools in place of compression_strategy."""
    root = Path(root)
    root.mkdir()
    shards = [examples[i : i + shard_size] for i in range(0, len(examples), shard_size)] or [[]]
    first = [pickle.dumps(part) for part in blocks_of(shards[0], block_size)]
    if strategy == SHARED and len(first) < FEW:
        strategy = PLAIN
    shared = None
    if strategy == SHARED:
        shared = train(first)
        (root / "zstd_dict.bin").write_bytes(shared)
    width = len(str(len(shards) - 1)) if padded else 0
    for number, shard in enumerate(shards):
        write_shard(root / f"{number:0{width}d}", shard, block_size, strategy, shared, old_meta)
    sizes = [len(shard) for shard in shards]
    (root / "meta.json").write_text(json.dumps({"version": 1, "shard_sizes": sizes, "compression_strategy": strategy}))
    return root


def write_shard(folder, examples, block_size=4, strategy=PLAIN, shared=None, old_meta=False):
    folder = Path(folder)
    folder.mkdir()
    blocks = [pickle.dumps(part) for part in blocks_of(examples, block_size)]
    write_blocks(folder, blocks, len(examples), block_size, strategy, shared, old_meta)
    return folder


def write_blocks(folder, blocks, rows, block_size=4, strategy=NONE, shared=None, old_meta=False):
    """The files of a shard whose blocks are these bytes, whatever they are."""
    dictionary = shared if strategy == SHARED else None
    if strategy == OWN:
        strategy = OWN if len(blocks) >= FEW else PLAIN
        if strategy == OWN:
            dictionary = train(blocks)
            (folder / "zstd_dict.bin").write_bytes(dictionary)
    if strategy != NONE:
        given = None if dictionary is None else zstandard.ZstdCompressionDict(dictionary)
        blocks = [zstandard.ZstdCompressor(level=3, dict_data=given).compress(block) for block in blocks]
    if blocks:
        (folder / "data.bin").write_bytes(b"".join(blocks))
    offsets = [0]
    for block in blocks:
        offsets.append(offsets[-1] + len(block))
    np.save(folder / "index.npy", np.array(offsets, np.min_scalar_type(offsets[-1])))
    kind = {"compression_strategy": strategy}
    if old_meta:
        kind = {"compression_enabled": strategy != NONE, "use_compression_dict": strategy in (SHARED, OWN)}
    meta = {"version": 1, "block_size": block_size, "stored_examples": rows, **kind, "compression_level": 3, "compression_dict_size": 0.01}
    (folder / "meta.json").write_text(json.dumps(meta, indent=4))


def blocks_of(examples, block_size):
    return [examples[i : i + block_size] for i in range(0, len(examples), block_size)]


def train(blocks):
    return zstandard.train_dictionary(1024, blocks).as_bytes()


class Payload:
    """Pickled, it makes a file when it is unpickled: what must never happen unasked."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")
