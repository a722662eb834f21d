"""Classifies a folder's files by their names, for the rules that choose its format. A .json file
is opened, since it may be a table."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from atlas_ds.bridge.files.encodings import find_encoding
from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import extension_of, is_archive, is_documentation, is_media, is_metadata, is_tar, table_format
from atlas_ds.bridge.files.sample_keys import Parts, split_names
from atlas_ds.bridge.opening import open_binary
from atlas_ds.errors import AtlasError

MAX_OPENED = 20  # .json files
HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Seen:
    """papers: files about the data. others: files of no other kind. parts: key and extension of
    each file that is not a paper."""

    folder: Folder
    media: list[PurePosixPath]
    tables: list[PurePosixPath]
    metadata: list[PurePosixPath]
    tars: list[PurePosixPath]
    archives: list[PurePosixPath]
    others: list[PurePosixPath]
    papers: list[PurePosixPath]
    parts: Parts
    partners: Counter[str]  # files of each key

    @property
    def strangers_to_media(self) -> list[PurePosixPath]:
        return [*self.tables, *self.others, *self.archives]

    def paired(self, files: list[PurePosixPath]) -> list[PurePosixPath]:
        """The files that share their key with another file."""
        return [file for file in files if self.partners[self.parts[file].key] > 1]


def look_at(folder: Folder) -> Seen:
    """Puts every file into exactly one kind."""
    kinds: dict[str, list[PurePosixPath]] = {name: [] for name in ("media", "tables", "metadata", "tars", "archives", "others", "papers")}
    for file in folder.files:
        kinds[_kind(file)].append(file)
    if not any(files for kind, files in kinds.items() if kind != "papers"):
        kinds["others"], kinds["papers"] = kinds["papers"], []
    if kinds["metadata"] and not kinds["media"]:
        kinds["tables"], kinds["metadata"] = sorted(kinds["tables"] + kinds["metadata"]), []
    papers = set(kinds["papers"])
    parts = split_names(file for file in folder.files if file not in papers)
    partners = Counter(key for key, _ in parts.values())
    jsons = [file for file in kinds["others"] if extension_of(file) == "json" and (partners[parts[file].key] == 1 or not kinds["media"])]
    if jsons and all(file not in folder.trouble and is_json_table(folder, file) for file in jsons[:MAX_OPENED]):
        found = set(jsons)
        kinds["tables"] = sorted(kinds["tables"] + jsons)
        kinds["others"] = [file for file in kinds["others"] if file not in found]
    return Seen(folder, **kinds, parts=parts, partners=partners)


def _kind(file: PurePosixPath) -> str:
    if is_media(file):
        return "media"
    if table_format(file):
        return "metadata" if is_metadata(file) else "tables"
    for name, test in (("tars", is_tar), ("archives", is_archive), ("papers", is_documentation)):
        if test(file):
            return name
    return "others"


def is_json_table(folder: Folder, file: PurePosixPath) -> bool:
    """Whether a .json file has many rows: an array of objects, or an object on each of several
    lines."""
    try:
        with open_binary(folder.path(file)) as opened:
            data = opened.read(HEAD)
    except (AtlasError, OSError):
        return False
    head = data.decode(find_encoding(data), "replace").lstrip("\ufeff \t\r\n")
    if head.startswith("["):
        return head[1:].lstrip().startswith("{")
    first, _, rest = head.partition("\n")
    if not (first.startswith("{") and rest.lstrip().startswith("{")):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False
