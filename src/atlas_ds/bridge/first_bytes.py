"""Detects a file's format by its first bytes, and says what to do about files that are not read.
Folders are recognized by folders/rules.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.arrow.files import FILE_MAGIC, STREAM_MAGIC
from atlas_ds.bridge.compression.reading import NAMES, packing
from atlas_ds.bridge.files.encodings import find_encoding
from atlas_ds.bridge.files.idx import looks_like_idx
from atlas_ds.bridge.files.roles import extension_of, is_tar, table_format
from atlas_ds.bridge.opening import POINTER, POINTER_HINT, open_binary, unreadable
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.bridge.streaming.indexed import indexed_kind
from atlas_ds.bridge.tar.checksum import BLOCK, is_header
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.dataset.foreign_kinds import SHARD_MAGIC
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import AtlasError, CorruptError, UnsupportedError
from atlas_ds.schema.media import sniff

HEAD = 1 << 12
Test = Callable[[Path, bytes, str], bool]  # path, first bytes (decompressed), suffix
KNOWN: tuple[tuple[str, Test, str], ...] = (
    ("parquet", lambda path, head, suffix: head.startswith(b"PAR1"), "it begins with PAR1"),
    ("arrow", lambda path, head, suffix: head.startswith((FILE_MAGIC, STREAM_MAGIC)), "it begins as Arrow files or streams do"),
    ("npy", lambda path, head, suffix: head.startswith(b"\x93NUMPY"), "it begins as NumPy's arrays do"),
    ("npz", lambda path, head, suffix: head.startswith(b"PK") and (suffix == ".npz" or b".npy" in head[:64]), "a zip of NumPy's arrays"),
    ("idx", lambda path, head, suffix: looks_like_idx(head), "it begins as MNIST's files do"),
    ("atlas", lambda path, head, suffix: head.startswith(SHARD_MAGIC), "a shard of an Atlas dataset"),
)
STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF", "HDF5; write rows with h5py and AtlasDatasetWriter"),
    (POINTER, POINTER_HINT),
    (b"%PDF", "PDF; neither a table nor media"),
    (b"SQLite format 3\0", "an SQLite database; export a table as CSV, or write its rows with AtlasDatasetWriter"),
    (b"FEA1", "Feather, version 1; write it again with pyarrow.feather.write_feather (version 2)"),
    (b"Obj\x01", "Avro; write it as Parquet"),
    (b"ORC", "ORC; write it as Parquet: pyarrow.parquet.write_table(pyarrow.orc.read_table(...), ...)"),
    (b"MATLAB 5.0", "a MATLAB file; scipy.io.loadmat reads it, numpy.savez writes what convert reads"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first (7z x), and convert the folder"),
    (b"Rar!", "a rar archive; unpack it first (unrar x), and convert the folder"),
    (b"\xd0\xcf\x11\xe0", "an old Office file; save the table as CSV"),
)
_ZERO = re.compile("\0")
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
OFFICE = (".xlsx", ".docx", ".pptx", ".ods", ".xlsm")


def format_of_file(path: Path, options: ReadOptions) -> tuple[str, str]:
    """Format and reason. UnsupportedError names the kind of a file that is not read."""
    _refuse_index(path)
    if holds_tar(path):
        return "webdataset", "a tar"
    head = _head(path, options)
    suffix = f".{extension_of(PurePosixPath(path.name))}"
    if not head:
        raise CorruptError(f"{path}: byte 0: the file is empty; nothing to convert")
    for name, test, why in KNOWN:
        if test(path, head, suffix):
            return name, why
    for magic, what in STRANGERS:
        if head.startswith(magic):
            raise UnsupportedError(f"{path}: {what}")
    if head.startswith(b"PK\x03\x04"):
        raise UnsupportedError(f"{path}: {_zip(path, head, suffix)}")
    if kind_of(suffix[1:]) and sniff(head):
        kind = kind_of(suffix[1:])
        way = "convert the folder it is in: a folder per class (cat/1.jpg), or files of one base name (1.jpg, 1.json)"
        raise UnsupportedError(f"{path}: one {kind} file; {way}")
    if (packed := packing(head)) is not None:
        raise UnsupportedError(f"{path}: compressed with {NAMES[packed]}, and not a tar inside; unpack it first")
    return _text(path, head, suffix, options)


def _refuse_index(path: Path) -> None:
    """UnsupportedError for the index file of a dataset: its folder is to be given."""
    what = "an Atlas dataset" if path.name == MANIFEST else None
    if path.name == "index.json":
        what = {"mds": "MosaicML Streaming", "litdata": "LitData"}.get(indexed_kind(path.parent) or "")
    if what:
        raise UnsupportedError(f"{path}: the index of {what}; give its folder: {path.parent}")


def _zip(path: Path, head: bytes, suffix: str) -> str:
    if suffix in OFFICE:
        return "an Office file; save the table as CSV"
    if suffix in (".pt", ".pth", ".ckpt") or b"/data.pkl" in head:
        return "a PyTorch checkpoint, not a dataset; write its examples with AtlasDatasetWriter"
    return f"a zip archive; unpack it first (unzip {path.name} -d {path.stem}), and convert the folder"


def holds_tar(path: Path) -> bool:
    """Whether a file is a tar, compressed or not: its first block is a header with the right
    checksum, or an end mark."""
    try:
        with open_binary(path) as inner:
            return is_header(inner.read(BLOCK))
    except AtlasError:
        return False
    except OSError as error:
        raise unreadable(path, error) from error


def _text(path: Path, head: bytes, suffix: str, options: ReadOptions) -> tuple[str, str]:
    text = _decoded(head, options.encoding)
    if text is None and is_tar(PurePosixPath(path.name)):  # empty, or its first header is damaged: the reader of tars reports where
        return "webdataset", "named like a tar"
    if text is None:
        raise UnsupportedError(f"{path}: begins with {head[:8].hex(' ')}, which is not a known format; {_advice()}")
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith("{"):
        return "jsonl", "it begins with {"
    if text.startswith("[") and suffix not in (".csv", ".tsv", ".tab"):
        if text[1:].lstrip()[:1] not in ("{", "]", ""):
            raise UnsupportedError(f"{path}: a JSON array, but not of objects, which would be the rows; write one object per row: [{{...}}, {{...}}]")
        return "jsonl", "it begins with [{: an array of objects"
    first = text.split("\n", 1)[0]
    if table_format(PurePosixPath(path.name)) == "csv":
        return "csv", f"text, with the extension {suffix}"
    mark = next((name for mark, name in ((",", "commas"), ("\t", "tabs"), (";", "semicolons"), ("|", "bars")) if mark in first), None)
    if mark is not None:
        return "csv", f"text with {mark} in its first line"
    raise UnsupportedError(
        f"{path}: text, but neither a table nor JSON lines of objects; if each line is a row, in Python: writer.extend({{'text': line}} for line in open(...));"
        f" else {_advice()}"
    )


def _decoded(head: bytes, given: str | None) -> str | None:
    """The first bytes as text; None if they are not text. Numbers of two bytes each look like
    UTF-16, except for their control characters."""
    encoding = given or find_encoding(head)
    text = head.decode(encoding, "replace")
    guessed = given is None and encoding in ("utf-16-le", "utf-16-be")
    return None if (_CONTROLS if guessed else _ZERO).search(text) else text


def _head(path: Path, options: ReadOptions) -> bytes:
    try:
        with open_binary(path, options.max_expansion) as file:
            return file.read(HEAD)
    except OSError as error:
        raise unreadable(path, error) from error


def _advice() -> str:
    return "set --from to its format (atlas-ds convert --help lists them), or write its rows with AtlasDatasetWriter"
