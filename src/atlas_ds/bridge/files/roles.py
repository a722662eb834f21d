"""What a file is by its name: media, a table, an archive, an accompanying paper, litter. It opens nothing; contents decide elsewhere."""

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
    """Hidden files and what systems and file managers leave behind: never data, never told of one by one."""
    return _LITTER.fullmatch(name) is not None or is_tar_index(name.lower())


def extension_of(file: PurePosixPath) -> str:
    """The last part of the name, in lower case; of a compressed table the one before: "csv" of a.CSV.gz."""
    _, *parts = file.name.lower().split(".")
    if len(parts) > 1 and parts[-1] in PACKED:
        parts.pop()
    return parts[-1] if parts else ""


def is_media(file: PurePosixPath) -> bool:
    return kind_of(file.suffix[1:]) is not None


def table_format(file: PurePosixPath) -> str | None:
    """"parquet", "arrow", "csv" or "jsonl" for a file that is called like a table. JSON can be one, too; its content says so."""
    name = _TABLE_OF.get(extension_of(file))
    return None if name in ("parquet", "arrow") and file.suffix[1:].lower() in PACKED else name


def is_metadata(file: PurePosixPath) -> bool:
    """Whether a table is called as that of an imagefolder is: metadata.csv, .jsonl or .parquet."""
    return file.name.lower().partition(".")[0] == "metadata" and table_format(file) in ("csv", "jsonl", "parquet")


def is_tar(file: PurePosixPath) -> bool:
    return TAR.search(file.name) is not None


def is_archive(file: PurePosixPath) -> bool:
    """An archive that is not read: it is to be unpacked first."""
    return file.suffix[1:].lower() in _ARCHIVES


def is_paper(file: PurePosixPath) -> bool:
    """A file about the data: README, LICENSE, _SUCCESS, checksums; at the top also lists of classes."""
    if is_media(file) or table_format(file) or is_tar(file):
        return False
    return _PAPERS.fullmatch(file.name) is not None or (len(file.parts) == 1 and _LISTS.fullmatch(file.name) is not None)


def reason_left_out(file: PurePosixPath, again: Mapping[PurePosixPath, PurePosixPath], other: str) -> str:
    """Why a file is left out. again: names by links of files that are read under another name. other: what to say of any other file."""
    if file in again:
        return f"the same file as {again[file]}, by a link"
    return "about the data" if is_paper(file) else other


def looks_like_data(file: PurePosixPath) -> bool:
    """Whether the name is that of an example's file: what is not read then is an example lost."""
    return extension_of(file) in EXTENSIONS or table_format(file) is not None or is_tar(file)
