"""MDS and LitData folders made by hand."""

import hashlib
import json
import struct

import numpy as np

from atlas_ds.bridge import open_source
from atlas_ds.bridge.source import Refused

LEAF = {"type": None, "context": None, "children_spec": []}


def shard_bytes(samples, config=b"{}"):
    start = 4 * (len(samples) + 2) + len(config)
    offsets = np.cumsum([start, *map(len, samples)]).astype("<u4")
    return struct.pack("<I", len(samples)) + offsets.tobytes() + config + b"".join(samples)


def shard_entry(data, name="shard.00000.mds", samples=3, **changes):
    entry = {"column_names": ["n", "s"], "column_encodings": ["int", "str"], "column_sizes": [8, None], "compression": None, "format": "mds", "hashes": ["sha1"],
             "raw_data": {"basename": name, "bytes": len(data), "hashes": {"sha1": hashlib.sha1(data).hexdigest()}}, "samples": samples, "size_limit": None,
             "version": 2, "zip_data": None}  # fmt: skip
    return entry | changes


def write_mds(folder, data, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "shard.00000.mds").write_bytes(data)
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": [shard_entry(data, **changes)]}))
    return folder


def spec(*names):
    return json.dumps([1, {"type": "builtins.dict", "context": json.dumps(names), "children_spec": [LEAF] * len(names)}])


def chunk_bytes(items):
    offsets = np.cumsum([4 * (len(items) + 2), *map(len, items)]).astype("<u4")
    return struct.pack("<I", len(items)) + offsets.tobytes() + b"".join(items)


def write_litdata(folder, data, *, items=3, entry=None, **config):
    folder.mkdir(exist_ok=True)
    (folder / "chunk-0-0.bin").write_bytes(data)
    chunk = {"chunk_bytes": len(data), "chunk_size": items, "dim": None, "filename": "chunk-0-0.bin"} | (entry or {})
    whole = {"compression": None, "data_format": ["int", "str"], "data_spec": spec("n", "s"), "encryption": None, "item_loader": "PyTreeLoader"} | config
    (folder / "index.json").write_text(json.dumps({"chunks": [chunk], "config": whole}))
    return folder


def rows(path):
    """The examples of a source; the error of the first that is refused."""
    out = [example for example, _ in open_source(path).examples()]
    for refused in (example for example in out if isinstance(example, Refused)):
        raise refused.error
    return out
