"""Says what a file is by its first bytes, and what to do with one that is not read. Folders are folders.py's business."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.arrow.files import FILE_MAGIC, STREAM_MAGIC
from atlas_ds.bridge.compression.reading import NAMES, packing
from atlas_ds.bridge.files.idx import looks_like_idx
from atlas_ds.bridge.files.roles import is_tar, table_format
from atlas_ds.bridge.opening import POINTER, POINTER_HINT, open_binary, unreadable
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.bridge.streaming.indexed import indexed_kind
from atlas_ds.bridge.tar.archive import BLOCK, is_header
from atlas_ds.bridge.values.media import kind_of, sniff
from atlas_ds.errors import AtlasError, CorruptError, UnsupportedError

HEAD = 1 << 12
Test = Callable[[Path, bytes, str], bool]  # path, first bytes (decompressed), suffix
KNOWN: tuple[tuple[str, Test, str], ...] = (
    ("parquet", lambda path, head, suffix: head.startswith(b"PAR1"), "it begins with PAR1"),
    ("arrow", lambda path, head, suffix: head.startswith((FILE_MAGIC, STREAM_MAGIC)), "it begins as Arrow files or streams do"),
    ("npy", lambda path, head, suffix: head.startswith(b"\x93NUMPY"), "it begins as NumPy's arrays do"),
    ("npz", lambda path, head, suffix: head.startswith(b"PK") and (suffix == ".npz" or b".npy" in head[:64]), "a zip of NumPy's arrays"),
    ("idx", lambda path, head, suffix: looks_like_idx(head), "it begins as MNIST's files do"),
    ("atlas", lambda path, head, suffix: head.startswith(b"\x89ATL\r\n\x1a\n"), "a shard of an Atlas dataset"),
)
STRANGERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF", "HDF5; write rows with h5py and AtlasDatasetWriter"),
    (0, POINTER, POINTER_HINT),
    (0, b"%PDF", "PDF; no table, and not media"),
    (0, b"SQLite format 3\0", "an SQLite database; export a table as CSV, or write its rows with AtlasDatasetWriter"),
    (0, b"FEA1", "Feather, version 1; write it again with pyarrow.feather.write_feather (version 2)"),
    (0, b"Obj\x01", "Avro; write it as Parquet"),
    (0, b"ORC", "ORC; write it as Parquet: pyarrow.parquet.write_table(pyarrow.orc.read_table(...), ...)"),
    (0, b"MATLAB 5.0", "a MATLAB file; scipy.io.loadmat reads it, numpy.savez writes what convert reads"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first (7z x), and convert the folder"),
    (0, b"Rar!", "a rar archive; unpack it first (unrar x), and convert the folder"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office file; save the table as CSV"),
)
OFFICE = (".xlsx", ".docx", ".pptx", ".ods", ".xlsm")


def format_of_file(path: Path, options: ReadOptions) -> tuple[str, str]:
    """Format and reason; UnsupportedError says what a file is that is not read."""
    _refuse_index(path)
    if holds_tar(path):
        return "webdataset", "a tar"
    head = _head(path, options)
    plain = path.with_suffix("") if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst", ".lz4") else path
    suffix = plain.suffix.lower()
    if not head:
        raise CorruptError(f"{path}: byte 0: the file is empty; nothing to convert")
    for name, test, why in KNOWN:
        if test(path, head, suffix):
            return name, why
    for offset, magic, what in STRANGERS:
        if head[offset:].startswith(magic):
            raise UnsupportedError(f"{path}: {what}")
    if head.startswith(b"PK\x03\x04"):
        raise UnsupportedError(f"{path}: {_zip(path, head, suffix)}")
    if kind_of(suffix[1:]) and sniff(head):
        kind = kind_of(suffix[1:])
        way = "convert the folder it lies in: a folder per class (cat/1.jpg), or files of one base name (1.jpg, 1.json)"
        raise UnsupportedError(f"{path}: one {kind} file; {way}")
    if (packed := packing(head)) is not None:
        raise UnsupportedError(f"{path}: compressed with {NAMES[packed]}, and no tar inside; unpack it first")
    return _text(path, head, suffix, options)


def _refuse_index(path: Path) -> None:
    """A file that stands for its folder."""
    what = "an Atlas dataset" if path.name == "atlas.json" else None
    if path.name == "index.json":
        what = {"mds": "MosaicML Streaming", "litdata": "LitData"}.get(indexed_kind(path.parent) or "")
    if what:
        raise UnsupportedError(f"{path}: the index of {what}; name its folder: {path.parent}")


def _zip(path: Path, head: bytes, suffix: str) -> str:
    if suffix in OFFICE:
        return "an Office file; save the table as CSV"
    if suffix in (".pt", ".pth", ".ckpt") or b"/data.pkl" in head:
        return "a checkpoint of PyTorch, no dataset; write its examples with AtlasDatasetWriter"
    return f"a zip archive; unpack it first (unzip {path.name} -d {path.stem}), and convert the folder"


def holds_tar(path: Path) -> bool:
    """Whether a file is a tar, packed or not: its first block is a header with the right checksum, or an end mark."""
    try:
        with open_binary(path) as inner:
            return is_header(inner.read(BLOCK))
    except AtlasError:
        return False
    except (EOFError, zlib.error):
        return is_tar_name(path)
    except OSError as error:
        if error.errno is None:
            return is_tar_name(path)
        raise unreadable(path, error) from error


def is_tar_name(path: Path) -> bool:
    """Whether a damaged file was meant to be a tar; its reader then says where the damage is."""
    return is_tar(PurePosixPath(path.name))


def _text(path: Path, head: bytes, suffix: str, options: ReadOptions) -> tuple[str, str]:
    text = _decoded(head, options.encoding)
    if text is None and is_tar_name(path):  # an empty one, or one whose first header is damaged: its reader says where
        return "webdataset", "called like a tar"
    if text is None:
        raise UnsupportedError(f"{path}: begins with {head[:8].hex(' ')}, which is no format known here; {_advice()}")
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith("{"):
        return "jsonl", "it begins with {"
    if text.startswith("[") and suffix not in (".csv", ".tsv", ".tab"):
        if text[1:].lstrip()[:1] not in ("{", "]", ""):
            raise UnsupportedError(f"{path}: a JSON array, but not of objects, which would be the rows; write one object per row: [{{...}}, {{...}}]")
        return "jsonl", "it begins with [{: an array of objects"
    first = text.split("\n", 1)[0]
    if table_format(PurePosixPath(path.name)) == "csv":
        return "csv", f"text, called {suffix}"
    mark = next((name for mark, name in ((",", "commas"), ("\t", "tabs"), (";", "semicolons"), ("|", "bars")) if mark in first), None)
    if mark is not None:
        return "csv", f"text with {mark} in its first line"
    raise UnsupportedError(
        f"{path}: text, but neither a table nor JSON lines of objects; if each line is a row, in Python: writer.extend({{'text': line}} for line in open(...));"
        f" else {_advice()}"
    )


def _decoded(head: bytes, encoding: str | None) -> str | None:
    """The first bytes as text; None for what is no text."""
    if encoding is None and head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding is not None:
        return head.decode(encoding, "replace")
    return None if b"\0" in head else head.removeprefix(BOM_UTF8).decode("utf-8", "replace")


def _head(path: Path, options: ReadOptions) -> bytes:
    try:
        with open_binary(path, options.max_expansion) as file:
            return file.read(HEAD)
    except (EOFError, zlib.error) as error:
        raise CorruptError(f"{path}: the compressed stream is damaged: {error}; fetch the file again") from error
    except OSError as error:
        if error.errno is None:
            raise CorruptError(f"{path}: the gzip stream is damaged: {error}; fetch the file again") from error
        raise unreadable(path, error) from error


def _advice() -> str:
    return "say --from with its format (atlas-ds convert --help lists them), or write its rows with AtlasDatasetWriter"
