"""Classifies a file by its name: media, a table, an archive, a file about the data, litter. It
opens nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from atlas_ds.bridge.values.by_extension import EXTENSIONS
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.dataset.names import is_tar_index
from atlas_ds.store.paths import TAR

PACKED = frozenset(("gz", "bz2", "xz", "zst", "zstd", "lz4"))
TABLES = {
    "parquet": ("parquet", "pq"),
    "arrow": ("arrow", "feather", "ipc"),
    "csv": ("csv", "tsv", "tab"),
    "jsonl": ("jsonl", "ndjson", "jsonlines"),
}
_TABLE_OF = {extension: name for name, extensions in TABLES.items() for extension in extensions}
_LITTER = re.compile(
    r"\..*|__MACOSX|__pycache__|(eh)?thumbs\.db|desktop\.ini|@eaDir|\$RECYCLE\.BIN|System Volume Information|lost\+found|Icon\r",
    re.IGNORECASE,
)
_PAPERS = re.compile(
    r"(readme|licen[cs]e|copying|changelog|changes|notice|authors|citation|contributing|dataset_?card|datacard|terms|copyright|disclaimer|about)([-_. ].*)?"
    r"|_(success|metadata|common_metadata|committed_.*|started_.*)"
    r"|.*\.(aae|md5|sha1|sha256|sha512|crc|crc32|sfv|asc|sig)|(md5|sha1|sha256|sha512)(sums?)?(\.txt)?|checksums?(\.txt)?"
    r"|(dataset_infos?|croissant|datapackage|dataset-metadata|data_?card)\.json|requirements\.txt|.*\.py|.*\.names|data\.ya?ml",
    re.IGNORECASE,
)
_LISTS = re.compile(
    r"(labels?|class(es)?|class_?names|categories|names|label_?map|id2label|label2id|class_to_idx|synsets?|wnids|words)\.(txt|json|pbtxt|ya?ml)",
    re.IGNORECASE,
)
CONTAINERS = frozenset(("h5", "hdf5", "xlsx", "xls", "ods", "sqlite", "sqlite3", "db", "mat", "tfrecord", "tfrecords", "orc", "avro", "mdb", "rec", "beton"))
"""Extensions of files that hold many examples and are not read."""
_ARCHIVES = frozenset(("zip", "7z", "rar"))


def is_litter(name: str) -> bool:
    """Hidden files, and files that systems and file managers create: never data, and only
    counted in reports."""
    return _LITTER.fullmatch(name) is not None or is_tar_index(name.lower())


def extension_of(file: PurePosixPath) -> str:
    """The last part of the name, in lower case; for a compressed table the part before it: "csv"
    for a.CSV.gz."""
    _, *parts = file.name.lower().split(".")
    if len(parts) > 1 and parts[-1] in PACKED:
        parts.pop()
    return parts[-1] if parts else ""


def is_media(file: PurePosixPath) -> bool:
    return kind_of(file.suffix[1:]) is not None


def table_format(file: PurePosixPath) -> str | None:
    """"parquet", "arrow", "csv" or "jsonl" for a file with a table's name. A .json file can also
    be a table; that depends on its content."""
    name = _TABLE_OF.get(extension_of(file))
    return None if name in ("parquet", "arrow") and file.suffix[1:].lower() in PACKED else name


def is_metadata(file: PurePosixPath) -> bool:
    """Whether a table has the name of an imagefolder's table: metadata.csv, .jsonl or .parquet."""
    return file.name.lower().partition(".")[0] == "metadata" and table_format(file) in ("csv", "jsonl", "parquet")


def is_tar(file: PurePosixPath) -> bool:
    return TAR.search(file.name) is not None


def is_archive(file: PurePosixPath) -> bool:
    """An archive that is not read and must be unpacked first."""
    return file.suffix[1:].lower() in _ARCHIVES


def is_documentation(file: PurePosixPath) -> bool:
    """A file about the data: README, LICENSE, _SUCCESS, checksums; at the top also lists of
    classes."""
    if is_media(file) or table_format(file) or is_tar(file):
        return False
    return _PAPERS.fullmatch(file.name) is not None or (len(file.parts) == 1 and _LISTS.fullmatch(file.name) is not None)


def reason_left_out(file: PurePosixPath, links: Mapping[PurePosixPath, PurePosixPath], other: str) -> str:
    """Why a file is left out. links: names of links to files that are read under another name.
    other: the reason for any other file."""
    if file in links:
        return f"the same file as {links[file]}, by a link"
    return "about the data" if is_documentation(file) else other


def looks_like_data(file: PurePosixPath) -> bool:
    """Whether the name is that of an example's file, so that a file which is not read is a lost
    example."""
    return extension_of(file) in EXTENSIONS or table_format(file) is not None or is_tar(file)
