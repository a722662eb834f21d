"""Small good sources of every format that `convert` reads, as the files they have: what the fuzz of sources breaks. No tests here."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import zstandard

from atlas_ds import AtlasDatasetWriter
from support import PNG
from unit.bridge.conftest import idx_bytes
from unit.bridge.streaming import LEAF, chunk_bytes, shard_bytes, shard_entry, spec
from unit.bridge.tars import tar_bytes
from unit.bridge.v1_writer import NONE, OWN, PLAIN, SHARED, write_v1

Files = dict[str, bytes]  # by path below the source; "" where the source is one file
PACK = {
    "gz": lambda data: gzip.compress(data, mtime=0), "bz2": bz2.compress, "xz": lzma.compress, "lz4": lz4.frame.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}  # fmt: skip
UNPACK = {
    "gz": gzip.decompress, "bz2": bz2.decompress, "xz": lzma.decompress, "lz4": lz4.frame.decompress,
    "zst": lambda data: zstandard.ZstdDecompressor().decompress(data),
}  # fmt: skip
TABLE = {"n": [1, 2, None, 4, 5], "x": [0.5, 1.5, 2.5, -1.0, 9.0], "s": ["a", "ü", "", None, "long" * 20], "l": [[1], [], [2, 3], [4], [5]]}
CSV = b'n,x,s,flag\n1,0.5,one,true\n2,1.5,"two, three",false\n,2.5,,true\n4,-1e3,"a ""b""\nc",false\n'
JSONL = b"".join(json.dumps({"n": i, "x": i / 2, "s": "t" * i, "o": {"a": [i, None]}}).encode() + b"\n" for i in range(6))
META = json.dumps({"a": [1, {"b": None}], "c": "x"}).encode()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, x=np.arange(12, dtype=np.float32).reshape(4, 3), y=np.arange(4))
    return out.getvalue()


def columns_of_arrow() -> dict[str, Any]:
    """What lies in several buffers: dictionaries, run ends, views, structs, maps."""
    words = pa.array(["u", "v", None, "u", "w"])
    return TABLE | {
        "d": words.dictionary_encode(), "r": pa.RunEndEncodedArray.from_arrays(pa.array([2, 5], pa.int32()), pa.array([1, 7])), "w": words.cast(pa.string_view()),
        "t": pa.array([{"x": 1, "y": "a"}, None, {"x": None, "y": "b"}, {"x": 3, "y": None}, {"x": 4, "y": "c"}]),
        "m": pa.array([[("k", 1)], [], None, [("a", None)], [("b", 2)]], pa.map_(pa.string(), pa.int64())), "f": pa.array([[1, 2]] * 5, pa.list_(pa.int8(), 2)),
    }  # fmt: skip


def arrow(*, stream: bool, several: bool = False) -> bytes:
    table, out = pa.table(columns_of_arrow() if several else TABLE), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, 2)
    return out.getvalue()


def parquet(*, several: bool = False, **options: object) -> bytes:
    table, out = pa.table({name: value for name, value in columns_of_arrow().items() if name != "r"} if several else TABLE), io.BytesIO()
    pq.write_table(table, out, row_group_size=3, **options)
    return out.getvalue()


def saved() -> Files:
    info = {"features": {"n": {"dtype": "int64", "_type": "Value"}}}
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "f", "_split": "train"}
    inner = {"state.json": json.dumps(state).encode(), "dataset_info.json": json.dumps(info).encode(), "data-00000-of-00001.arrow": arrow(stream=True)}
    return {"dataset_dict.json": b'{"splits": ["train"]}'} | {f"train/{name}": data for name, data in inner.items()}


def mds(packed: str | None = None) -> Files:
    samples = [struct.pack("<I", i) + struct.pack("<q", i) + b"s" * i for i in range(5)]
    files, entries = {}, []
    for number in range(2):
        name, data = f"shard.0000{number}.mds", shard_bytes(samples, b'{"a": 1}')
        changes: dict[str, object] = {}
        files[name] = data
        if packed is not None:
            small = pack_mds(packed, data)
            files = {key: value for key, value in files.items() if key != name} | {f"{name}.{packed}": small}
            changes = {"compression": packed, "zip_data": {"basename": f"{name}.{packed}", "bytes": len(small), "hashes": {}}}
        entries.append(shard_entry(data, name, len(samples), **changes))
    return files | {"index.json": json.dumps({"version": 2, "shards": entries}).encode()}


def pack_mds(name: str, data: bytes) -> bytes:
    if name == "zstd":
        return zstandard.ZstdCompressor().compress(data)
    if name == "br":
        return pa.compress(data, codec="brotli", asbytes=True)
    return pa.compress(data, codec="snappy", asbytes=True) if name == "snappy" else PACK[name](data)


def typed_mds() -> Files:
    """Arrays whose dtype only a sample tells, JSON, pictures."""
    array = bytes((66,)) + bytes((1 << 2, 2)) + np.array([1.5, 2.5]).tobytes()
    samples = [struct.pack("<3I", len(array), len(META), len(PNG)) + array + META + PNG for _ in range(3)]
    data = shard_bytes(samples)
    entry = shard_entry(data, column_names=["a", "j", "p"], column_encodings=["ndarray", "json", "png"], column_sizes=[None] * 3)
    return {"shard.00000.mds": data, "index.json": json.dumps({"version": 2, "shards": [entry]}).encode()}


ITEMS = [struct.pack("<2I", 8, i) + struct.pack("<q", i) + b"s" * i for i in range(6)]


def litdata(form: str = "plain") -> Files:
    data = chunk_bytes(ITEMS)
    config = {"compression": None, "data_format": ["int", "str"], "data_spec": spec("n", "s"), "encryption": None, "item_loader": "PyTreeLoader"}
    size = len(data)
    if form == "whole":
        data, config["compression"] = zstandard.ZstdCompressor().compress(data), "zstd"
    elif form == "items":
        data = chunk_bytes([zstandard.ZstdCompressor().compress(item) for item in ITEMS])
        size, config["compression"], config["compression_level"] = len(data), "zstd", "sample"
    elif form == "framed":
        data = framed()
        size = len(data)
    elif form == "tables":
        out, table = io.BytesIO(), pa.table({"n": list(range(6)), "s": ["s" * i for i in range(6)]})
        with pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table, 3)
        data = data + out.getvalue() + struct.pack("<I", len(out.getvalue())) + b"LDARW01\0"
        size, config["types"] = len(data), {"n": "int", "s": "str"}
    index = {"chunks": [{"chunk_bytes": size, "chunk_size": 6, "dim": None, "filename": f"chunk-0-{k}.bin"} for k in range(2)], "config": config}
    return {"chunk-0-0.bin": data, "chunk-0-1.bin": data, "index.json": json.dumps(index).encode()}


def framed() -> bytes:
    offsets = np.cumsum([0, *map(len, ITEMS)]).astype("<u4")
    frames, table, start = [], b"", 28 - 4 + 4 * 7 + 24 * 2
    for first in (0, 3):
        raw = b"".join(ITEMS[first : first + 3])
        packed = zstandard.ZstdCompressor().compress(raw)
        table += struct.pack("<2IQ2I", first, 3, start, len(packed), len(raw))
        start += len(packed)
        frames.append(packed)
    return struct.pack("<8s2H3I", b"LDFZ01\0\0", 1, 0, 6, 3, 2) + offsets.tobytes() + table + b"".join(frames)


def json_litdata() -> Files:
    """Leaves inside each other, arrays whose dtype only an item tells, nested values."""
    array = struct.pack("<2I", 9, 1) + struct.pack("<I", 2) + np.array([1, 2], "<f4").tobytes()
    nested = b"\x05" + struct.pack("<I", 1) + struct.pack("<I", 1) + b"k" + b"\x08" + struct.pack("<q", 7)
    items = [struct.pack("<2I", len(array), len(nested)) + array + nested for _ in range(3)]
    data = chunk_bytes(items)
    tree = json.dumps([1, {"type": "builtins.dict", "context": json.dumps(["a", "b"]), "children_spec": [LEAF, LEAF]}])
    config = {"compression": None, "data_format": ["numpy", "json"], "data_spec": tree, "encryption": None, "item_loader": "PyTreeLoader"}
    index = {"chunks": [{"chunk_bytes": len(data), "chunk_size": 3, "dim": None, "filename": "chunk-0-0.bin"}], "config": config}
    return {"chunk-0-0.bin": data, "index.json": json.dumps(index).encode()}


def written(make: Callable[[Path], object]) -> Files:
    """The files that a writer leaves."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "made"
        make(root)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock"}


def atlas(root: Path) -> None:
    with AtlasDatasetWriter(root, 8, 4, metadata={"names": ["a", "b"]}, workers=0) as writer:
        for i in range(20):
            writer.add_example({"n": i, "s": f"text {i}" * 5, "o": {"k": [i]}}, split="train" if i < 15 else "val")


def v1(strategy: int) -> Callable[[Path], object]:
    return lambda root: write_v1(root, [{"i": i, "s": "t" * i} for i in range(40)], shard_size=20, block_size=2, strategy=strategy)


MEMBERS = [
    part
    for i in range(4)
    for part in (
        (f"a/{i}.png", PNG), (f"a/{i}.cls", b"%d" % i), (f"a/{i}.json", META), (f"a/{i}.txt", b"text"), (f"a/{i}.npy", npy(np.arange(3))),
        (f"a/{i}.npz", npz()), (f"a/{i}.mp", b"\x82\xa1a\x01\xa1b\x93\x01\x02\xc0"), (f"a/{i}.cbor", b"\xa2aa\x01ab\x83\x01\x02\xf6"),
    )
]  # fmt: skip


def folder_of_samples() -> Files:
    """Without what pickles or has several arrays."""
    out = {f"{i}.{name}": data for i in range(4) for name, data in (("png", PNG), ("json", META), ("cls", b"%d" % i), ("txt", b"t"), ("npy", npy(np.arange(3.0))))}
    return out | {f"{i}.mp": b"\x81\xa1a\x01" for i in range(4)} | {"0.cbor": b"\xa1aa\x01", "1.npz": npz()}


SOURCES: dict[str, Callable[[], Files]] = {
    "classes": lambda: {f"{name}/{i}.png": PNG for name in ("cat", "dog") for i in range(3)},
    "splits": lambda: {f"{split}/{name}/{i}.png": PNG for split in ("train", "val") for name in ("cat", "dog") for i in range(2)},
    "samples": folder_of_samples,
    "csv": lambda: {"": CSV},
    "csv.gz": lambda: {"": PACK["gz"](CSV)},
    "jsonl": lambda: {"": JSONL},
    "jsonl.gz": lambda: {"": PACK["gz"](JSONL)},
    "parquet": lambda: {"": parquet()},
    "parquet.zstd": lambda: {"": parquet(compression="zstd", data_page_version="2.0")},
    "parquets": lambda: {f"{split}-0000{i}.parquet": parquet() for split in ("train", "test") for i in range(2)},
    "parquet.several": lambda: {"": parquet(several=True)},
    "arrow.several": lambda: {"": arrow(stream=False, several=True)},
    "arrow-stream.several": lambda: {"": arrow(stream=True, several=True)},
    "arrow": lambda: {"": arrow(stream=False)},
    "arrow-stream": lambda: {"": arrow(stream=True)},
    "save_to_disk": saved,
    "npy": lambda: {"": npy(np.arange(24).reshape(4, 6))},
    "npy-records": lambda: {"": npy(np.array([(1, "ab"), (2, "c")], [("i", "<i4"), ("t", "<U4")]))},
    "npz": lambda: {"": npz()},
    "idx": lambda: {"": idx_bytes(np.arange(24, dtype=np.uint8).reshape(4, 6))},
    "idx.gz": lambda: {"": PACK["gz"](idx_bytes(np.arange(24, dtype=np.int32).reshape(4, 6)))},
    "mnist": lambda: {
        f"{part}-{what}-ubyte.gz": PACK["gz"](idx_bytes(np.zeros(shape, np.uint8)))
        for part in ("train", "t10k")
        for what, shape in (("images-idx3", (3, 4, 4)), ("labels-idx1", (3,)))
    },
    "mds": mds,
    "mds.typed": typed_mds,
    **{f"mds.{name}": lambda name=name: mds(name) for name in ("zstd", "gz", "bz2", "br", "snappy")},  # type: ignore[misc]
    **{f"litdata.{form}": lambda form=form: litdata(form) for form in ("plain", "whole", "items", "framed", "tables")},  # type: ignore[misc]
    "litdata.json": json_litdata,
    "atlas": lambda: written(atlas),
    **{f"atlas-v1.{name}": lambda kind=kind: written(v1(kind)) for name, kind in (("none", NONE), ("plain", PLAIN), ("shared", SHARED), ("own", OWN))},  # type: ignore[misc]
    "tar": lambda: {"": tar_bytes(MEMBERS)},
    **{f"tar.{name}": lambda pack=pack: {"": pack(tar_bytes(MEMBERS))} for name, pack in PACK.items()},  # type: ignore[misc]
    "imagefolder.csv": lambda: {"metadata.csv": b"file_name,caption,n\na/0.png,one,1\na/1.png,two,2\n"} | {f"a/{i}.png": PNG for i in range(2)},
    "imagefolder.jsonl": lambda: {
        f"{split}/{name}": data
        for split in ("train", "test")
        for name, data in (("metadata.jsonl", b'{"file_name": "0.png", "o": {"x": [1]}}\n{"file_name": "1.png"}\n'), ("0.png", PNG), ("1.png", PNG))
    },
    "json": lambda: {"": json.dumps([json.loads(line) for line in JSONL.splitlines()]).encode()},
    "csv.utf16": lambda: {"": CSV.decode().encode("utf-16")},
    "csvs": lambda: {f"year=20{k}/part.csv": CSV for k in (19, 20)},
    "hub": lambda: {"README.md": b"# data", **{f"data/{split}-00000-of-00001.parquet": parquet() for split in ("train", "test")}},
    "jsonls": lambda: {f"{split}.jsonl.gz": PACK["gz"](JSONL) for split in ("train", "val")},
    "beside": lambda: {f"{name}/{i}.png": PNG for name in ("cat", "dog") for i in range(2)} | {"README.md": b"# pets", "labels.txt": b"cat\ndog\n", "_SUCCESS": b""},
    "split_tars": lambda: {f"{split}/{k}.tar": tar_bytes((f"{k}{name}", data) for name, data in MEMBERS[:8]) for split in ("train", "val") for k in "ab"},
    "tars": lambda: {f"{k}.tar": tar_bytes((f"{k}{name}", data) for name, data in MEMBERS) for k in "ab"},
}
ONE_FILE = {  # what the file is called
    "csv": "t.csv", "csv.gz": "t.csv.gz", "jsonl": "t.jsonl", "jsonl.gz": "t.jsonl.gz", "parquet": "t.parquet", "parquet.zstd": "t.parquet", "parquet.several": "t.parquet", "arrow.several": "t.arrow", "arrow": "t.arrow", "json": "t.json", "csv.utf16": "t.csv",
    "arrow-stream": "t.arrow", "arrow-stream.several": "t.arrow", "npy": "t.npy", "npy-records": "t.npy", "npz": "t.npz", "idx": "t.idx", "idx.gz": "t.idx.gz", "tar": "t.tar",
} | {f"tar.{name}": f"t.tar.{name}" for name in PACK}  # fmt: skip
