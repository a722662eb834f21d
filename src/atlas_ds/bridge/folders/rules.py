"""Chooses the format of a folder: rules in a fixed order, each with a sentence that gives the
reason. It reads no examples.

The most frequent kind of file decides; the reader leaves out the other files and lists them. If a
guess could lose labels or rows, the rule is an error that names the choices.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from atlas_ds.bridge.arrow.files import is_arrow_folder
from atlas_ds.bridge.atlas_v1.files import looks_like_v1
from atlas_ds.bridge.files.classes import in_class, layout_of, links_to_classes
from atlas_ds.bridge.files.idx import idx_files
from atlas_ds.bridge.files.listing import Folder, require_files
from atlas_ds.bridge.files.roles import extension_of, is_media, table_format
from atlas_ds.bridge.files.samples import group
from atlas_ds.bridge.files.split_folders import half_splits
from atlas_ds.bridge.folders.file_kinds import Seen, look_at
from atlas_ds.bridge.folders.imagefolder import is_of_media
from atlas_ds.bridge.folders.media_tables import find_naming
from atlas_ds.bridge.folders.undecided import (
    IMAGE_FOLDERS,
    ambiguous,
    count_of,
    data_choices,
    listed,
    media_advice,
    no_containers,
    no_list_of_media,
    no_masks_among_images,
    no_parallel_folders,
    of_camera,
    one_config,
)
from atlas_ds.bridge.streaming.indexed import indexed_kind
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import SchemaError, UnsupportedError

FEW = 3  # other files next to a table that are simply left out
MAX_OPENED = 5  # tables, to look for names of media
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|_success)([-_. ]|$)", re.IGNORECASE)
GENERIC = IMAGE_FOLDERS | {"data", "files", "media", "samples", "all", "input", "raw", "dcim", "camera", "screenshots", "downloads", "scans"}


def mark_of(path: Path) -> tuple[str, str] | None:
    """Format and reason of a folder if one file at its top identifies it; no other file is read."""
    if (path / MANIFEST).is_file():
        return "atlas", f"its {MANIFEST} is a dataset's"
    if (path / "_delta_log").is_dir():  # deleted and replaced files are next to the current ones
        raise UnsupportedError(f"{path}: a Delta table, whose log says which files count; write it as Parquet first (deltalake, Spark or Polars read it)")
    return ("atlas-v1", "its meta.json is that of torch-atlas-ds, version 1") if looks_like_v1(path) else None


def rule_for(folder: Folder) -> tuple[str, str]:
    """Format and reason of a folder by the first rule that fits."""
    require_files(folder)
    seen = look_at(folder)
    for rule in RULES:
        found = rule(seen)
        if found is not None:
            return found
    raise AssertionError("the last rule takes every folder")


def _idx(seen: Seen) -> tuple[str, str] | None:
    named = [file for file in seen.others if len(file.parts) == 1 and file not in seen.folder.trouble]
    if len(named) < 2 or len(named) > 64:
        return None
    found = idx_files(seen.folder.root)
    return ("idx", f"{len(found)} files begin as MNIST's do") if len(found) > 1 else None


def _indexed(seen: Seen) -> tuple[str, str] | None:
    kind = indexed_kind(seen.folder.root)
    return None if kind is None else (kind, f"its index.json is that of {'MosaicML Streaming' if kind == 'mds' else 'LitData'}")


def _saved(seen: Seen) -> tuple[str, str] | None:
    return ("arrow", "Hugging Face's save_to_disk wrote it") if is_arrow_folder(seen.folder.root) else None


def _tars(seen: Seen) -> tuple[str, str] | None:
    if not seen.tars:
        return None
    if seen.media or seen.tables:
        other = "files of images, audio or video" if seen.media else "tables"
        raise ambiguous(seen, f"{count_of(seen.tars, 'tar')} and {len(seen.media or seen.tables):,} {other}", {
            "webdataset": "reads the tars", **data_choices(seen),
        })  # fmt: skip
    return "webdataset", f"{count_of(seen.tars, 'tar')}"


def _imagefolder(seen: Seen) -> tuple[str, str] | None:
    if not any(is_of_media(seen.folder, file) for file in seen.metadata):
        seen.tables.extend(seen.metadata)  # called so, but a table like others
        return None
    names = ", ".join(map(str, seen.metadata[:3]))
    return "imagefolder", f"{names} next to {count_of(seen.media, 'media file')}: a row per file that it names"


def _tables(seen: Seen) -> tuple[str, str] | None:
    tables = seen.tables
    if not tables or 2 * len(seen.paired(tables)) > len(tables):
        return None
    if seen.media and (len(seen.media) > min(FEW, len(tables)) or find_naming(seen.folder, tables[:MAX_OPENED], seen.media)):
        return None
    formats = Counter(table_format(file) or "jsonl" for file in tables)
    if len(formats) > 1:
        raise ambiguous(seen, f"tables of different kinds ({listed(formats)})", {name: f"reads the {count}" for name, count in formats.items()})
    format = next(iter(formats))
    strangers = seen.others + seen.archives + seen.media
    if len(strangers) > max(len(tables), FEW):
        raise ambiguous(seen, f"{count_of(tables, 'table')} and {count_of(strangers, 'other file')}", {
            format: "reads the tables only", "samples": "makes an example of the files of each base name",
        })  # fmt: skip
    one_config(seen)
    return format, f"{len(tables):,} {'table' if len(tables) == 1 else 'tables'} ({format})"


def _table_of_media(seen: Seen) -> tuple[str, str] | None:
    """Never chooses a format: SchemaError if the information in a table about the media would be
    lost."""
    tables = [file for file in seen.tables if seen.partners[seen.parts[file].key] < 2]
    if not (seen.media and tables):
        return None
    naming = find_naming(seen.folder, tables[:MAX_OPENED], seen.media)
    if naming is not None:
        raise SchemaError(media_advice(seen.folder.root, naming))
    if len(tables) >= len(seen.media):
        raise ambiguous(seen, f"{count_of(tables, 'table')} and {count_of(seen.media, 'media file')}", {
            table_format(tables[0]) or "jsonl": "reads the tables", **data_choices(seen),
        })  # fmt: skip
    return None


def _classes(seen: Seen) -> tuple[str, str] | None:
    if not seen.media:
        return None
    strangers = seen.strangers_to_media
    if 2 * len(seen.paired(strangers)) >= len(seen.media):
        return None
    no_parallel_folders(seen, strangers)
    no_masks_among_images(seen)
    layout = layout_of(seen.media)
    inside = [file for file in seen.media if in_class(file, layout)]
    links = links_to_classes(seen.folder, layout)
    loose = [file for file in seen.media if not in_class(file, layout) and file not in links]
    names = {file.parts[layout.label] for file in inside}
    if not inside or (len(names) == 1 and min(names).lower() in GENERIC) or of_camera(seen, names):
        return None
    if len(names) == 1:
        no_list_of_media(seen)
    splits, others = half_splits(names)
    if splits and layout.split is None:
        raise ambiguous(seen, f"the folders {', '.join(splits[:3])} have names of splits, but {', '.join(others[:3])} do not", {
            "classes": "takes all of them as classes",
        }, "move the others away to have splits")  # fmt: skip
    if loose:
        raise ambiguous(seen, f"{count_of(inside, 'media file')} in class folders and {len(loose):,} in none (such as {loose[0]})", {
            "classes": "leaves out those in none", "samples": "makes an example of every file, without labels",
        })  # fmt: skip
    if len(strangers) >= len(seen.media):
        raise ambiguous(seen, f"{count_of(seen.media, 'media file')} in class folders and {count_of(strangers, 'other file')}", {
            "classes": "leaves out the other files", "samples": "makes a column per extension",
        })  # fmt: skip
    return "classes", "every media file is in a class folder"


def _one_npz(seen: Seen) -> tuple[str, str] | None:
    if len(seen.others) != 1 or seen.media or seen.tables or seen.archives or extension_of(seen.others[0]) != "npz":
        return None
    return "npz", f"{seen.others[0]} is its only file"


def _samples(seen: Seen) -> tuple[str, str] | None:
    no_containers(seen)
    if all(_ABOUT.match(file.name) for file in seen.folder.files):
        names = ", ".join(map(str, seen.folder.files[:3]))
        raise SchemaError(f"{seen.folder.root}: only files about the data ({names}); nothing to convert; --from samples stores them as texts")
    if seen.archives and not (seen.media or seen.tables or seen.others):
        first = seen.archives[0]
        raise UnsupportedError(f"{seen.folder.root / first}: an archive, which is not read; unpack it first: unzip {first.name} -d FOLDER")
    samples, _, _ = group(seen.folder)
    extensions = Counter(extension for fields in samples.values() for extension in fields)
    if any(len(fields) > 1 for fields in samples.values()):
        return "samples", "files of one base name are one sample"
    kinds = {"media" if is_media(file) else extension for fields in samples.values() for extension, file in fields.items()}
    if len(kinds) > 1:
        raise ambiguous(seen, f"files of different kinds without common names ({listed(extensions)})", {
            "samples": "makes an example of each file, with a column per extension",
        })  # fmt: skip
    if seen.media:
        no_list_of_media(seen)
        where = "in no class folder" if not of_camera(seen, {file.parent.name for file in seen.media}) else "in a camera's folders, which are not classes"
        return "samples", f"media files {where}: each is an example, and none has a label"
    return "samples", f"only .{next(iter(extensions), '')} files: each is an example"


RULES: tuple[Callable[[Seen], tuple[str, str] | None], ...] = (
    _indexed,  # index.json of MosaicML Streaming or LitData, here or in each folder
    _saved,  # what save_to_disk of Hugging Face wrote
    _idx,  # MNIST's files
    _tars,  # at any depth; an error next to media or tables
    _imagefolder,  # metadata.csv, .jsonl or .parquet next to media
    _tables,  # few other files, and a few images that no table names
    _table_of_media,  # an error if a table names the media
    _classes,  # media in class folders, fewer other files
    _one_npz,  # a single .npz, whose arrays become columns
    _samples,  # any other files with extensions
)
"""In this order; the first that returns a format decides."""
