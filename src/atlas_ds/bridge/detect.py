"""Says what a path holds, by magic bytes and by the shape of a folder, and which reader is for it. It converts nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from atlas_ds.bridge.again import read_atlas
from atlas_ds.bridge.arrow.files import FILE_MAGIC, STREAM_MAGIC, is_arrow_folder, read_arrow
from atlas_ds.bridge.arrow.parquet import read_parquet
from atlas_ds.bridge.atlas_v1.files import looks_like_v1
from atlas_ds.bridge.atlas_v1.reader import read_atlas_v1
from atlas_ds.bridge.compression.reading import NAMES, open_unpacked, packing
from atlas_ds.bridge.files.arrays import read_npy, read_npz
from atlas_ds.bridge.files.folder import folder_shape, list_files, read_folder
from atlas_ds.bridge.files.idx import idx_files, looks_like_idx, read_idx
from atlas_ds.bridge.files.text_tables import read_csv, read_jsonl
from atlas_ds.bridge.opening import open_binary, unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Source
from atlas_ds.bridge.streaming.indexed import indexed_kind
from atlas_ds.bridge.streaming.litdata import read_litdata
from atlas_ds.bridge.streaming.mds import read_mds
from atlas_ds.bridge.tar.archive import BLOCK, is_header
from atlas_ds.bridge.webdataset.urls import TAR
from atlas_ds.errors import AtlasError, CorruptError, UnsupportedError
from atlas_ds.store.paths import local_path

READERS: Mapping[str, Callable[..., Source]] = MappingProxyType(
    {
        "classes": partial(read_folder, shape="classes"),
        "samples": partial(read_folder, shape="samples"),
        "parquet": read_parquet,
        "arrow": read_arrow,
        "csv": read_csv,
        "jsonl": read_jsonl,
        "npy": read_npy,
        "npz": read_npz,
        "idx": read_idx,
        "mds": read_mds,
        "litdata": read_litdata,
        "atlas": read_atlas,
        "atlas-v1": read_atlas_v1,
    }
)
TARS = "webdataset"
FORMATS = (*READERS, TARS)
"""All that can be converted; tars are read by import_webdataset, since they may be many."""
OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "encoding": frozenset(("csv", "jsonl")),
        "media": frozenset(("csv", "jsonl", "parquet", "arrow")),
        "keep_names": frozenset(("classes", "samples")),
        "follow_links": frozenset(("classes", "samples", "csv", "jsonl", "parquet", "arrow")),
        "max_expansion": frozenset(("csv", "jsonl", "idx", "npz", "samples", TARS)),
        "trust_pickle": frozenset(("atlas-v1",)),
        "missing": frozenset(("atlas-v1",)),
    }
)
"""Which formats each of ReadOptions says something to. To others it must have its default."""
FOLDERS = frozenset(("classes", "samples", "parquet", "arrow", "idx", "mds", "litdata", "atlas", "atlas-v1"))
ONLY_FOLDERS = ("classes", "samples", "atlas-v1")
_STRANGERS = (
    (0, b"\x89HDF", "HDF5; write rows with h5py and AtlasDatasetWriter"),
    (0, b"%PDF", "PDF"),
)


def detect(src: str | Path) -> str:
    """The format's name, one of READERS. UnsupportedError says what was seen where none fits."""
    path = local_path(src, "src")
    try:
        if path.is_dir():
            return _folder(path)
        path.stat()
    except FileNotFoundError:
        raise AtlasError(f"{path}: no such file or folder; check the path") from None
    except OSError as error:
        raise unreadable(path, error) from error
    return _file(path)


def open_source(src: str | Path, source_format: str | None = None, options: ReadOptions = DEFAULTS) -> Source:
    """The reader's source for `src`; the format is detected unless it is given. An option that says nothing to the format is refused."""
    path = local_path(src, "src")
    if source_format is not None and source_format not in FORMATS:
        raise AtlasError(f"{source_format!r} is no format that can be read; choose from {', '.join(FORMATS)}")
    if not path.exists():
        raise AtlasError(f"{path}: no such file or folder; check the path")
    name = source_format or detect(path)
    if name == TARS:
        raise AtlasError(f"{path}: WebDataset tars; use convert or import_webdataset, which read many")
    if path.is_dir() and name not in FOLDERS:
        raise AtlasError(f"{path}: a folder, but {name} is read from a single file; name the file")
    if not path.is_dir() and name in ONLY_FOLDERS:
        raise AtlasError(f"{path}: a file, but {name} is read from a folder; name the folder")
    check_options(path, name, options)
    return READERS[name](path, options)


def check_options(path: Path, name: str, options: ReadOptions) -> None:
    for option, formats in OPTIONS.items():
        if name not in formats and getattr(options, option) != getattr(DEFAULTS, option):
            flag = "--" + option.replace("_", "-")
            raise AtlasError(f"{path}: {flag} ({option}=) is for {', '.join(sorted(formats))}, and this is {name}; leave it out, or say --from")


def _folder(path: Path) -> str:
    if (path / "atlas.json").is_file():
        return "atlas"
    if looks_like_v1(path):
        return "atlas-v1"
    if len(idx_files(path)) > 1:
        return "idx"
    indexed = indexed_kind(path)
    if indexed is not None:
        return indexed
    if is_arrow_folder(path):
        return "arrow"
    files = list_files(path)
    if any(TAR.search(file.name) for file in files if len(file.parts) == 1):
        return TARS
    suffixes = {file.suffix.lower() for file in files}
    if suffixes in ({".parquet"}, {".arrow"}):
        return suffixes.pop()[1:]
    return folder_shape(files)


def _file(path: Path) -> str:
    if holds_tar(path):
        return TARS
    head = _head(path)
    suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if not head:
        raise CorruptError(f"{path}: byte 0: the file is empty; nothing to convert")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((FILE_MAGIC, STREAM_MAGIC)):
        return "arrow"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK") and (suffix == ".npz" or b".npy" in head):
        return "npz"
    if looks_like_idx(head):
        return "idx"
    if head.startswith(b"\x89ATL\r\n\x1a\n"):
        return "atlas"
    for offset, magic, name in _STRANGERS:
        if head[offset:].startswith(magic):
            raise UnsupportedError(f"{path}: {name}")
    if (packed := packing(head)) is not None:
        raise UnsupportedError(f"{path}: compressed with {NAMES[packed]}, and no tar inside; unpack it first")
    return _text(path, head, suffix)


def holds_tar(path: Path) -> bool:
    """Whether a file is a tar, packed or not: its first block is a header with the right checksum, or an end mark."""
    try:
        with path.open("rb") as file, open_unpacked(file, str(path)) as inner:
            return is_header(inner.read(BLOCK))
    except AtlasError:
        return False
    except OSError as error:
        raise unreadable(path, error) from error


def _text(path: Path, head: bytes, suffix: str) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in head:
        raise UnsupportedError(f"{path}: begins with {head[:8].hex(' ')}, which is no format known here; {_advice()}")
    if text.startswith(b"{"):
        return "jsonl"
    if text.startswith(b"["):
        raise UnsupportedError(f"{path}: a JSON array; write one object per line, e.g. jq -c '.[]' a.json > a.jsonl")
    first = text.split(b"\n", 1)[0]
    if suffix in (".csv", ".tsv") or any(mark in first for mark in (b",", b"\t", b";", b"|")):
        return "csv"
    raise UnsupportedError(f"{path}: text, but neither a table nor JSON lines; {_advice()}")


def _head(path: Path) -> bytes:
    try:
        with open_binary(path) as file:
            return file.read(512)
    except (EOFError, zlib.error) as error:
        raise CorruptError(f"{path}: the gzip stream is damaged: {error}; fetch the file again") from error
    except OSError as error:
        if error.errno is None:
            raise CorruptError(f"{path}: the gzip stream is damaged: {error}; fetch the file again") from error
        raise unreadable(path, error) from error


def _advice() -> str:
    return f"say --from with one of {', '.join(FORMATS)}, or write it with AtlasDatasetWriter"
