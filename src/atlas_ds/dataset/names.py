"""The names of a dataset's files, each once: functions that make a name and functions that parse one. It opens no file.

The store names its own files: temporary ones in store/temporary.py, locks in store/lock.py.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from atlas_ds.store.lock import is_lock
from atlas_ds.store.paths import TAR
from atlas_ds.store.temporary import TEMPORARY, is_temporary

MANIFEST = "atlas.json"
SUFFIX = ".atlas"  # of shards, and of the indexes of tars
PARTS = ".parts"  # folder of the parts that several writers write
PART_DONE = "done.json"  # in a part's folder: a conversion has finished it
PARTS_MERGED = "merged.json"  # in the folder of the parts: which of them are merged, and being removed
TAR_INDEX_FOLDER = f"{TEMPORARY}index-"  # begins the name of a folder in which an index of a tar is written

_JOURNAL = ".writing"
_JOURNAL_NAME = re.compile(r"\.writing(-(?P<token>[0-9a-f]{16}))?\.json")
_SHARD_NAME = re.compile(r"(?P<ordinal>[0-9]{5,15})-(?P<root>[0-9a-f]{16})\.atlas")
_UNFINISHED = re.compile(re.escape(TEMPORARY) + "[0-9]")
_PART_NAME = re.compile("[0-9]{5,10}")
_TAR_INDEX = re.compile(TAR.pattern.removesuffix("$") + r"\.atlas$", TAR.flags)


class ShardName(NamedTuple):
    """What the name of a shard says."""

    ordinal: int
    root: str  # 16 hex digits


def shard_name(ordinal: int, root: str) -> str:
    return f"{shard_label(ordinal)}-{root}{SUFFIX}"


def shard_label(ordinal: int) -> str:
    """Begins the name of a shard: its number."""
    return f"{ordinal:05d}"


def parse_shard_name(name: str) -> ShardName | None:
    """None for a name that no shard has."""
    found = _SHARD_NAME.fullmatch(name)
    return None if found is None else ShardName(int(found["ordinal"]), found["root"])


def resembles_shard(name: str) -> bool:
    """Whether a file is a shard by its name, or one that was never finished."""
    return is_shard_name(name) or _UNFINISHED.match(name) is not None


def is_shard_name(name: str) -> bool:
    return _SHARD_NAME.fullmatch(name) is not None


def ordinal_of(name: str) -> int:
    """The number of a shard, by the name of its file."""
    found = parse_shard_name(name)
    assert found is not None, name
    return found.ordinal


def journal_name(token: str | None) -> str:
    """Of the journal of a writer: with the token of one that others may append beside, or None for one that has the folder to itself."""
    return f"{_JOURNAL}.json" if token is None else f"{_JOURNAL}-{token}.json"


def is_journal(name: str) -> bool:
    return _JOURNAL_NAME.fullmatch(name) is not None


def resembles_journal(name: str) -> bool:
    """Whether a name is a journal's, or similar enough to say that a writer uses the folder."""
    return name.startswith(_JOURNAL) and name.endswith(".json")


def part_name(number: int) -> str:
    """Of a part's folder, in PARTS."""
    return f"{number:05d}"


def parse_part_name(name: str) -> int | None:
    """None for a name that no part's folder has."""
    return int(name) if _PART_NAME.fullmatch(name) else None


def is_of_writer(name: str) -> bool:
    """Whether the name is one that writers give to files. Others in a part's folder are never removed."""
    return is_shard_name(name) or name in (MANIFEST, PART_DONE) or is_lock(name) or is_journal(name) or is_temporary(name)


def tar_index_name(tar: str) -> str:
    """Of the index that is kept beside a tar, or of one in the cache."""
    return tar + SUFFIX


def is_tar_index(name: str) -> bool:
    return _TAR_INDEX.search(name) is not None
