"""Small files that claim, or expand to, far more than memory: each is refused soon, with an error that names the file and, where there is one, the option."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib

import numpy as np
import pytest
import zstandard

from atlas_ds import AtlasDataset, bridge
from atlas_ds.errors import LimitError, SchemaError
from support import child
from unit.bridge.conftest import idx_bytes
from unit.bridge.streaming import chunk_bytes, shard_bytes, write_litdata, write_mds
from unit.bridge.tars import tar_bytes
from unit.bridge.v1_writer import write_blocks

BIG = 300 << 20
SOME = 40 << 20  # for what takes long to make
LIMIT = "--max-expansion"


def zeros(compressor, head=b"", size=BIG):
    """So many zero characters, compressed piece by piece."""
    piece = b"0" * (1 << 20)
    return b"".join([compressor.compress(head), *(compressor.compress(piece) for _ in range(size >> 20)), compressor.flush()])


def gz(head=b"", size=BIG):
    return zeros(zlib.compressobj(9, zlib.DEFLATED, 31), head, size)


def zst(head=b"", size=BIG):
    return zeros(zstandard.ZstdCompressor().compressobj(), head, size)


def announced(size):
    """A zstd frame that says it holds so many bytes, and holds none: RFC 8878, 3.1.1."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + b"\x01\x00\x00"


def npz(names=("a.npy",), size=BIG, shape=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(header(shape or f"({size},)"))
                for _ in range(size >> 20):
                    member.write(bytes(1 << 20))
    return out.getvalue()


def header(shape, descr="'|u1'"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def overlapping():
    """Twenty members of the directory that are all the one member of the archive."""
    data = npz(size=16 << 20)
    at = data.index(b"PK\x01\x02")
    entry, end = data[at : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    entries = b"".join(entry.replace(b"a.npy", b"%c.npy" % (97 + k)) for k in range(20))
    return data[:at] + entries + end[:8] + struct.pack("<HHII", 20, 20, len(entries), at) + end[20:]


def mds(folder, packed, compression, size=BIG):
    name = f"shard.00000.mds.{compression}"
    write_mds(folder, b"", compression=compression, zip_data={"basename": name, "bytes": len(packed), "hashes": {}},
              raw_data={"basename": "shard.00000.mds", "bytes": size, "hashes": {}})  # fmt: skip
    (folder / "shard.00000.mds").unlink()
    (folder / name).write_bytes(packed)


def litdata_items(folder):
    write_litdata(folder, chunk_bytes([announced(5 << 30)] * 3), compression="zstd", compression_level="sample")


def litdata_whole(folder, packed):
    write_litdata(folder, packed, entry={"chunk_bytes": BIG}, compression="zstd")


def v1(folder, block):
    folder.mkdir()
    write_blocks(folder, [block], 4)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"compression_strategy": 1}))


def write(data):
    return lambda path: path.write_bytes(data())


def in_tar(name, data):
    return write(lambda: tar_bytes([(name, data() if callable(data) else data)]))


BOMBS = {  # name: how it is made, what the error says, more options
    "t.csv.gz": (write(lambda: gz(b"a,b\n")), LIMIT, {}),
    "t.csv": (write(lambda: zst(b"a,b\n")), LIMIT, {"source_format": "csv"}),
    "bz2.csv": (write(lambda: zeros(bz2.BZ2Compressor(), b"a,b\n", SOME)), LIMIT, {"source_format": "csv"}),
    "xz.csv": (write(lambda: zeros(lzma.LZMACompressor(), b"a,b\n", SOME)), LIMIT, {"source_format": "csv"}),
    "t.jsonl.gz": (write(lambda: gz(b'{"a": "')), LIMIT, {}),
    "t.idx.gz": (write(lambda: gz(b"\0\0\x08\x01" + struct.pack(">I", BIG))), LIMIT, {}),
    "t.npz": (write(npz), LIMIT, {}),
    "overlapping.npz": (write(overlapping), LIMIT, {}),
    "claims.npz": (write(lambda: npz(size=1 << 20, shape=f"({1 << 60},)")), "claims.npz", {}),
    "claims.npy": (write(lambda: header(f"({1 << 60},)")), "claims.npy: byte", {}),
    "fields.npy": (write(lambda: header("(3,)", "('<f8', (2147483647, 2147483647))")), "fields.npy: byte", {}),
    "nested.npy": (write(lambda: header("(" * 4000)), "nested.npy: byte 10", {}),
    "minus.npy": (write(lambda: header("-" * 9000 + "1")), "minus.npy: byte 10", {}),
    "long.npy": (write(lambda: b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b" " * 100), "long.npy: byte 8", {}),
    "mds.zstd": (lambda path: mds(path, zst(), "zstd"), LIMIT, {}),
    "mds.gz": (lambda path: mds(path, gz(), "gz"), LIMIT, {}),
    "mds.bz2": (lambda path: mds(path, zeros(bz2.BZ2Compressor(), size=SOME), "bz2", SOME), LIMIT, {}),
    "mds.claims": (lambda path: mds(path, announced(5 << 30), "zstd", 5 << 30), LIMIT, {}),
    "lit.items": (litdata_items, LIMIT, {}),
    "lit.whole": (lambda path: litdata_whole(path, zst()), LIMIT, {}),
    "v1.block": (lambda path: v1(path, announced(3 << 30)), LIMIT, {"trust_pickle": True}),
    "v1.real": (lambda path: v1(path, zst()), LIMIT, {"trust_pickle": True}),
    "t.tar.gz": (write(lambda: gz(tar_bytes([("a.txt", b"x")])[:512].replace(b"00000000001", b"%011o" % BIG))), "t.tar.gz", {}),
    "npz.tar": (in_tar("a.npz", npz), LIMIT, {"decode": True}),
    "mp.tar": (in_tar("a.mp", b"\x91" * 100_000 + b"\x01"), "mp.tar: a.mp", {"decode": True}),
    "many.tar": (in_tar("a.mp", b"\xdd\xff\xff\xff\xff"), "many.tar: a.mp", {"decode": True}),
    "cbor.tar": (in_tar("a.cbor", b"\x81" * 100_000 + b"\x01"), "cbor.tar: a.cbor", {"decode": True}),
    "json.tar": (in_tar("a.json", b"[" * 100_000 + b"]" * 100_000), "json.tar: a.json", {"decode": True}),
    "ten.tar": (in_tar("a.ten", b"~TenBin~" + struct.pack("<q", 1 << 60)), "ten.tar: a.ten", {"decode": True}),
    "npy.tar": (in_tar("a.npy", header(f"({1 << 60},)")), "npy.tar: a.npy", {"decode": True}),
    "deep.json.tar": (in_tar("a.json", b'{"a":' * 100_000), "deep.json.tar: a.json", {"decode": True}),
}  # fmt: skip

CHILD = """
import json, resource, sys, warnings
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
from atlas_ds.bridge import convert, import_webdataset
found = {}
for src, options in json.load(open(sys.argv[1])):
    try:
        (import_webdataset if "decode" in options else convert)(src, src + ".out", **options)
        told = "converted"
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    found[src] = told
    json.dump(found, open(sys.argv[2], "w"))
print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])  # ru_maxrss has that of the parent, too
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of each, all in one process that may have 1.5 GiB of addresses."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (make, _, _) in BOMBS.items():
        make(folder / name)
    (folder / "list").write_text(json.dumps([(str(folder / name), options) for name, (_, _, options) in BOMBS.items()]))
    peak = child(CHILD, folder / "list", folder / "found")
    found = json.loads((folder / "found").read_text())
    return {name: found[str(folder / name)] for name in BOMBS}, int(peak.stdout) >> 10


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(outcomes, name):
    told = outcomes[0][name]
    kind, _, text = told.partition(": ")
    assert kind in ("LimitError", "CorruptError", "TruncatedError", "UnsupportedError"), told
    assert BOMBS[name][1] in text and name in text, told
    assert kind == "LimitError" or BOMBS[name][1] != LIMIT


def test_bombs_cost_little_memory(outcomes):
    assert outcomes[1] < 700, f"{outcomes[1]} MiB"


ROOM = 20 << 20
TRUSTED = {
    "t.jsonl.gz": (lambda path: path.write_bytes(gzip.compress(b'{"a": "' + b"0" * ROOM + b'"}\n')), {}),
    "t.idx.gz": (lambda path: path.write_bytes(gzip.compress(idx_bytes(np.zeros((2, ROOM // 2), np.uint8)))), {}),
    "t.npz": (lambda path: path.write_bytes(packed_npz()), {}),
    "t.mds": (lambda path: mds(path, *zipped(shard_bytes([struct.pack("<Iq", ROOM, 7) + b"0" * ROOM]))), {}),
    "t.tar.gz": (lambda path: path.write_bytes(gzip.compress(tar_bytes([("a.txt", b"0" * ROOM)]))), {"decode": True}),
}  # fmt: skip


def packed_npz():
    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros((2, ROOM // 2), np.uint8))
    return out.getvalue()


def zipped(data):
    return gzip.compress(data), "gz", len(data)


@pytest.mark.parametrize("name", TRUSTED)
def test_the_limit_can_be_raised(tmp_path, name):
    make, options = TRUSTED[name]
    make(tmp_path / name)
    if name == "t.mds":
        index = json.loads((tmp_path / name / "index.json").read_text())
        index["shards"][0]["samples"] = 1
        (tmp_path / name / "index.json").write_text(json.dumps(index))
    call = bridge.import_webdataset if options else bridge.convert
    with pytest.raises(LimitError, match=f"{name}.*max_expansion="):
        call(tmp_path / name, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    call(tmp_path / name, tmp_path / "out", max_expansion=5000, **options)
    assert len(AtlasDataset(tmp_path / "out")) in (1, 2)


WIDE = 30_000


def wide_csv(path):
    path.write_text(",".join(f"c{k}" for k in range(WIDE)) + "\n" + ",".join("1" * WIDE) + "\n")


def wide_object(path):
    path.write_text(json.dumps([{f"c{k}": 1 for k in range(WIDE)}]))


def wide_lines(path):
    path.write_text("".join(json.dumps({f"c{k}": 1}) + "\n" for k in range(WIDE)))


def wide_arrow(path):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({f"c{k}": [1] for k in range(WIDE)})
    with pa.ipc.new_stream(str(path), table.schema) as out:
        out.write_table(table)


def wide_parquet(path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({f"c{k}": [1] for k in range(5000)}), path)


@pytest.mark.parametrize(
    ("name", "make"),
    [("w.csv", wide_csv), ("w.json", wide_object), ("w.jsonl", wide_lines), ("w.arrow", wide_arrow), ("w.parquet", wide_parquet)],
)
def test_more_columns_than_a_dataset_has_are_refused_before_work_is_done_for_each(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(LimitError, match=rf"{name}: (30,000|5,000) columns, and a dataset has at most 4,096"):
        bridge.open_source(tmp_path / name)


def test_headers_that_announce_rows_without_values_are_refused(tmp_path):
    (tmp_path / "a-idx2-ubyte").write_bytes(struct.pack(">III", 0x802, (1 << 32) - 1, 0))
    np.save(tmp_path / "b.npy", np.zeros((1, 0)))
    data = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(data.replace(b"(1, 0), }" + b" " * 12, b"(1000000000000, 0), }"))
    assert b"(1000000000000, 0)" in (tmp_path / "b.npy").read_bytes()
    for name in ("a-idx2-ubyte", "b.npy"):
        with pytest.raises(SchemaError, match=f"{name}: .*rows without values"):
            bridge.convert(tmp_path / name, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_file_of_a_sample_without_end_is_refused_unread(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("0.txt", "1.txt"):
        (tmp_path / "in" / name).write_text("words")
    with open(tmp_path / "in" / "1.txt", "r+b") as file:
        file.truncate(2 << 30)
    with pytest.raises(LimitError, match=r"1\.txt: has 2,147,483,648 bytes, and at most"):
        bridge.convert(tmp_path / "in", tmp_path / "out", source_format="samples")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_line_without_end(tmp_path, name, monkeypatch):
    """Of a file with holes, which takes no room: refused once it is too long, not when memory is full."""
    from atlas_ds.bridge.files import text_files

    monkeypatch.setattr(text_files, "MAX_LINE", 1 << 20)
    path = tmp_path / name
    path.write_bytes(b'a,b\n1,"' if name == "t.csv" else b'{"a": 1}\n{"a": "')
    with path.open("r+b") as file:
        file.truncate(1 << 42)
    with pytest.raises(LimitError, match=f"{name}: a line of more than 1 MiB"):
        bridge.convert(path, tmp_path / "d", source_format=name[2:], progress=False)


def test_long_lines_that_end_are_read(tmp_path, monkeypatch):
    from atlas_ds.bridge.files import text_files

    monkeypatch.setattr(text_files, "MAX_LINE", 1 << 20)
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "t.csv").write_bytes(("a,b" + end + ("x" * 900_000 + ",y" + end) * 3).encode())
        assert bridge.convert(tmp_path / "t.csv", tmp_path / "d", overwrite=True, progress=False).rows == 3
    (tmp_path / "t.json").write_text(json.dumps([{"a": i} for i in range(300_000)]))  # an array on one line is read in pieces
    assert bridge.convert(tmp_path / "t.json", tmp_path / "d", overwrite=True, progress=False).rows == 300_000
