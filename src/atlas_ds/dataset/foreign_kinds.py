"""The kinds of files that are not Atlas, by first bytes and by name, and which call reads each. For error messages; no file is opened."""

from __future__ import annotations

import os
from typing import NamedTuple

from atlas_ds.dataset.names import SUFFIX
from atlas_ds.schema.media import sniff
from atlas_ds.store.paths import TAR

SHARD_MAGIC = b"\x89ATL\r\n\x1a\n"


class Kind(NamedTuple):
    """What something is, one and many, and which call reads it. In calls, {code} is the path as Python text, {word} as a word of a shell."""

    one: str
    many: str
    call: str
    call_many: str = ""  # of a folder of them, where it is another


CONVERT = "`atlas-ds convert {word} NEW` makes a dataset of it"
IN_PLACE = "atlas.open_tar({code}) reads it in place, and " + CONVERT
ALL_IN_PLACE = "atlas.open_tar({code}) reads them in place, and `atlas-ds convert {word} NEW` makes a dataset of them"
UNPACK = "unpack it, then `atlas-ds convert FOLDER NEW` makes a dataset of what was in it"
OPEN = "open it: atlas.AtlasDataset({code})"


def by_hand(library: str) -> str:
    return f"read it with {library}, and write its rows with atlas.AtlasDatasetWriter"


KINDS = {
    "tar": Kind("a tar", "tars", IN_PLACE, ALL_IN_PLACE),
    "packed tar": Kind("a compressed tar", "compressed tars", "atlas.import_webdataset({code}, NEW) makes a dataset of it"),
    "parquet": Kind("a Parquet file", "Parquet files", CONVERT),
    "arrow": Kind("an Arrow file", "Arrow files", CONVERT),
    "csv": Kind("a CSV table", "CSV tables", CONVERT),
    "jsonl": Kind("a file of JSON lines", "files of JSON lines", CONVERT),
    "json": Kind("a JSON file", "JSON files", CONVERT),
    "npy": Kind("a NumPy array (.npy)", "NumPy arrays (.npy)", CONVERT),
    "npz": Kind("a NumPy archive (.npz)", "NumPy archives (.npz)", CONVERT),
    "idx": Kind("an IDX file, as MNIST has them", "IDX files, as MNIST has them", CONVERT),
    "media": Kind("an image, audio or video file", "image, audio or video files", "`atlas-ds convert FOLDER NEW` makes a dataset of a folder of them", CONVERT),
    "mds shard": Kind("a shard of MosaicML Streaming (MDS)", "shards of MosaicML Streaming (MDS)", "`atlas-ds convert` takes its folder, with index.json"),
    "hdf5": Kind("an HDF5 file", "HDF5 files", by_hand("h5py")),
    "lmdb": Kind("an LMDB database", "LMDB databases", by_hand("lmdb")),
    "sqlite": Kind("an SQLite database", "SQLite databases", by_hand("sqlite3")),
    "zip": Kind("a zip archive", "zip archives", UNPACK),
    "rar": Kind("a RAR archive", "RAR archives", UNPACK),
    "7z": Kind("a 7z archive", "7z archives", UNPACK),
    "packed": Kind("a compressed file", "compressed files", f"`atlas-ds convert {{word}} NEW` reads compressed tars, CSV and JSON lines; else {UNPACK}"),
    "torch": Kind("a file of torch.save", "files of torch.save", by_hand("torch.load")),
    "safetensors": Kind("a safetensors file", "safetensors files", by_hand("safetensors")),
    "tfrecord": Kind("a TFRecord file", "TFRecord files", by_hand("tensorflow or the tfrecord package")),
    "array record": Kind("an ArrayRecord file", "ArrayRecord files", by_hand("array_record")),
    "bagz": Kind("a Bagz file", "Bagz files", by_hand("bagz")),
    "beton": Kind("an FFCV file", "FFCV files", by_hand("ffcv")),
    "orc": Kind("an ORC file", "ORC files", by_hand("pyarrow.orc")),
    "avro": Kind("an Avro file", "Avro files", by_hand("fastavro")),
    "pickle": Kind("a pickle", "pickles", by_hand("pickle, if you trust whoever made it,")),
    "matlab": Kind("a MATLAB file", "MATLAB files", by_hand("scipy.io.loadmat")),
    "pdf": Kind("a PDF", "PDFs", "Atlas does not read it"),
    "xlsx": Kind("an Excel sheet", "Excel sheets", "save it as CSV, then `atlas-ds convert FILE.csv NEW`"),
    "script": Kind("a script", "scripts", "give the folder of a dataset"),
    "atlas": Kind("an Atlas shard", "Atlas shards", OPEN),
}  # fmt: skip
SUFFIXES = {
    ".tar": "tar", ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl",
    ".ndjson": "jsonl", ".json": "json", ".npy": "npy", ".npz": "npz", ".mds": "mds shard", ".h5": "hdf5", ".hdf5": "hdf5", ".mdb": "lmdb", ".lmdb": "lmdb",
    ".db": "sqlite", ".sqlite": "sqlite", ".zip": "zip", ".rar": "rar", ".7z": "7z", ".gz": "packed", ".zst": "packed", ".xz": "packed", ".bz2": "packed",
    ".pt": "torch", ".pth": "torch", ".ckpt": "torch", ".safetensors": "safetensors", ".tfrecord": "tfrecord", ".tfrecords": "tfrecord",
    ".array_record": "array record", ".arrayrecord": "array record", ".bagz": "bagz", ".bag": "bagz", ".beton": "beton", ".orc": "orc", ".avro": "avro",
    ".pkl": "pickle", ".pickle": "pickle", ".mat": "matlab", ".pdf": "pdf", ".xlsx": "xlsx", ".xls": "xlsx", SUFFIX: "atlas",
    ".py": "script", ".ipynb": "script",
}  # fmt: skip
MAGIC = (
    (257, b"ustar", "tar"), (0, b"PAR1", "parquet"), (0, b"ARROW1", "arrow"), (0, b"FEA1", "arrow"), (0, b"\x93NUMPY", "npy"), (0, b"\x89HDF\r\n", "hdf5"),
    (16, b"\xde\xc0\xef\xbe", "lmdb"), (0, b"SQLite format 3\0", "sqlite"), (0, b"Rar!", "rar"), (0, b"7z\xbc\xaf", "7z"), (0, b"\x1f\x8b", "packed"),
    (0, b"\x28\xb5\x2f\xfd", "packed"), (0, b"\xfd7zXZ\0", "packed"), (0, b"BZh", "packed"), (0, b"\x04\x22\x4d\x18", "packed"), (0, b"ORC", "orc"),
    (0, b"Obj\x01", "avro"), (0, b"%PDF", "pdf"), (0, b"MATLAB ", "matlab"), (0, b"#!", "script"), (0, b"PK", "zip"), (0, SHARD_MAGIC, "atlas"),
)  # fmt: skip
ZIPS = (".npz", ".pt", ".pth", ".ckpt", ".xlsx")  # zip archives that have another name
NAMED = {  # files that describe their folder
    "index.json": "MosaicML or LitData shards", "state.json": "a Hugging Face dataset", "dataset_info.json": "a Hugging Face dataset",
    "dataset_dict.json": "a Hugging Face dataset", "meta.json": "a dataset of torch-atlas-ds (version 1)",
}  # fmt: skip


def kind_of(name: str, head: bytes) -> str | None:
    """A key of KINDS, by a file's first bytes, else by its name."""
    suffix = os.path.splitext(name)[1].lower()
    found = next((kind for at, magic, kind in MAGIC if head.startswith(magic, at)), None)
    if found == "packed":
        return by_name(name) or found
    if found == "zip":
        return SUFFIXES[suffix] if suffix in ZIPS else "npz" if b".npy" in head else "torch" if b"/data.pkl" in head else "zip"
    if found is not None:
        return found
    if is_tar_header(head[:512]):
        return "tar"
    if len(head) > 4 and head[:2] == b"\0\0" and head[2] in (8, 9, 11, 12, 13, 14) and 1 <= head[3] <= 8:
        return "idx"
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "torch" if suffix in (".pt", ".pth") else "pickle"
    if sniff(head) is not None:
        return "media"
    if suffix in SUFFIXES and suffix != ".tar" and head:
        return SUFFIXES[suffix]
    return "media" if sniff(b"", name) is not None else kind_of_text(head)


def kind_of_text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in head or not text:
        return None
    if text[:1] == b"{":
        return "jsonl"
    if text[:1] == b"[":
        return "json"
    lines = text.split(b"\n")[:3]
    marks = [max(line.count(mark) for mark in (b",", b"\t", b";", b"|")) for line in lines[:2]]
    return "csv" if len(marks) == 2 and marks[0] == marks[1] > 0 else None


def is_tar_header(block: bytes) -> bool:
    """Whether a block is a header of a tar without a magic, as the oldest have it: its checksum is right."""
    field = block[148:156].strip(b" \0")
    if len(block) < 512 or not field or not field.isdigit() or not block[0]:
        return False
    return int(field, 8) == sum(block) - sum(block[148:156]) + 8 * 32 if b"8" not in field and b"9" not in field else False


def by_name(name: str) -> str | None:
    lower = name.lower()
    if TAR.search(lower):
        return "tar" if lower.endswith(".tar") else "packed tar"
    if lower.endswith((".csv.gz", ".jsonl.gz")):
        return lower.split(".")[-2]
    if "-ubyte" in lower:
        return "idx"
    return SUFFIXES.get(os.path.splitext(lower)[1]) or ("media" if sniff(b"", name) is not None else None)
