"""Detects the format of a path and selects its reader: files by their first bytes, folders by
the rules of folders/rules.py. It converts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from atlas_ds.bridge.arrow.files import is_arrow_folder
from atlas_ds.bridge.atlas import read_atlas
from atlas_ds.bridge.atlas_v1.reader import read_atlas_v1
from atlas_ds.bridge.files.arrays import read_npy, read_npz
from atlas_ds.bridge.files.classes import read_classes
from atlas_ds.bridge.files.encodings import known_encoding
from atlas_ds.bridge.files.idx import read_idx
from atlas_ds.bridge.files.listing import Folder, list_folder, require_files
from atlas_ds.bridge.files.roles import extension_of, is_tar
from atlas_ds.bridge.files.samples import read_samples
from atlas_ds.bridge.files.split_folders import is_split, split_name
from atlas_ds.bridge.files.splits import split_of
from atlas_ds.bridge.files.tables import read_table
from atlas_ds.bridge.first_bytes import format_of_file
from atlas_ds.bridge.folders.imagefolder import read_imagefolder
from atlas_ds.bridge.folders.rules import mark_of, rule_for
from atlas_ds.bridge.folders.table_folder import format_of_tables, read_table_folder
from atlas_ds.bridge.opening import hint_of, unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Source
from atlas_ds.bridge.streaming.litdata import read_litdata
from atlas_ds.bridge.streaming.mds import read_mds
from atlas_ds.errors import AtlasError
from atlas_ds.store.paths import local_path

LEFT_OUT = "files left out: "
NAMED = 5  # files in the note of what is left out
OfPath = Callable[[Path, ReadOptions], Source]
OfFolder = Callable[[Folder, ReadOptions], Source]


def _saved_or_tables(folder: Folder, options: ReadOptions) -> Source:
    """A folder written by save_to_disk has a list of its files; in other folders the names
    decide."""
    return read_table(folder.root, options, format="arrow") if is_arrow_folder(folder.root) else read_table_folder(folder, options, format="arrow")


def _only_file(folder: Folder, options: ReadOptions, *, format: str, reader: OfPath) -> Source:
    """An array that is the only one in its folder."""
    files = [file for file in folder.files if extension_of(file) == format]
    if len(files) != 1:
        raise AtlasError(f"{folder.root}: a folder with {len(files)} .{format} files, but {format} is read from a single file; give the file")
    left_out = tuple(f"{file}: not .{format}" for file in folder.files if file != files[0])
    return replace(reader(folder.path(files[0]), options), left_out=left_out)


FILES: Mapping[str, OfPath] = MappingProxyType(
    {name: partial(read_table, format=name) for name in ("parquet", "arrow", "csv", "jsonl")}
    | {"npy": read_npy, "npz": read_npz, "idx": read_idx, "mds": read_mds, "litdata": read_litdata, "atlas": read_atlas}
)
"""The readers of files. An index of mds or litdata is read as its folder."""
FOLDERS: Mapping[str, OfFolder] = MappingProxyType(
    {"classes": read_classes, "samples": read_samples, "imagefolder": read_imagefolder, "arrow": _saved_or_tables}
    | {name: partial(read_table_folder, format=name) for name in ("parquet", "csv", "jsonl")}
    | {"npy": partial(_only_file, format="npy", reader=read_npy), "npz": partial(_only_file, format="npz", reader=read_npz)}
)
"""The readers of folders whose files are listed first."""
WHOLE_FOLDERS: Mapping[str, OfPath] = MappingProxyType(
    {"idx": read_idx, "mds": read_mds, "litdata": read_litdata, "atlas": read_atlas, "atlas-v1": read_atlas_v1}
)
"""The readers of folders that have an index."""
READ = tuple(dict.fromkeys((*FOLDERS, *FILES, *WHOLE_FOLDERS)))
TARS = "webdataset"
FORMATS = (*READ, TARS)
"""All formats that can be converted. Tars are read by import_webdataset, since there may be
many."""
OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "encoding": frozenset(("csv", "jsonl", "samples", "imagefolder", TARS)),
        "media": frozenset(("csv", "jsonl", "parquet", "arrow")),
        "keep_names": frozenset(("classes", "samples", "imagefolder")),
        "follow_links": frozenset(READ) - {"atlas"} | {TARS},
        "max_expansion": frozenset(("csv", "jsonl", "idx", "npz", "samples", "imagefolder", "mds", "litdata", "atlas-v1", TARS)),
        "trust_pickle": frozenset(("atlas-v1",)),
        "missing": frozenset(("atlas-v1",)),
    }
)
"""The formats that each of ReadOptions applies to. For others it must have its default."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A path with its format and the reason. folder: its files, if the format needs them listed."""

    path: Path
    format: str
    why: str
    folder: Folder | None = None


def choose(src: str | Path, source_format: str | None = None, options: ReadOptions = DEFAULTS) -> Choice:
    """The format of `src`, detected from its content unless it is given, and the reason.
    AtlasError if none fits, or if the user must choose."""
    path = local_path(src, "src")
    if source_format is not None and source_format not in FORMATS:
        raise AtlasError(f"{source_format!r} is not a format that can be read; choose from {', '.join(FORMATS)}")
    try:
        path.stat()
    except FileNotFoundError:
        raise AtlasError(f"{path}: no such file or folder; check the path{hint_of(path)}") from None
    except OSError as error:
        raise unreadable(path, error) from error
    if options.encoding is not None:
        known_encoding(options.encoding, path)
    choice = _choose_folder(path, source_format, options) if path.is_dir() else _choose_file(path, source_format, options)
    check_options(path, choice.format, options)
    return choice


def _choose_folder(path: Path, given: str | None, options: ReadOptions) -> Choice:
    if given is not None:
        folder = list_folder(path, follow_links=options.follow_links) if given in FOLDERS or given == TARS else None
        if folder is not None:
            require_files(folder)
        return Choice(path, given, "set by --from", folder)
    mark = mark_of(path)
    if mark is not None:
        return Choice(path, *mark)
    folder = list_folder(path, follow_links=options.follow_links)
    tables = format_of_tables(folder) if options.media else None
    if tables is not None:
        return Choice(path, tables, "tables whose rows name the media files (--media)", folder)
    return Choice(path, *rule_for(folder), folder)


def _choose_file(path: Path, given: str | None, options: ReadOptions) -> Choice:
    if given is None:
        return Choice(path, *format_of_file(path, options))
    if given not in FILES and given != TARS:
        raise AtlasError(f"{path}: a file, but {given} is read from a folder; give the folder")
    return Choice(path, given, "set by --from")


def detect(src: str | Path) -> str:
    """The format's name, one of FORMATS."""
    return choose(src, None, DEFAULTS).format


def open_source(src: str | Path, source_format: str | None = None, options: ReadOptions = DEFAULTS) -> Source:
    """The source of `src`; the format is detected unless it is given. An option that does not
    apply to the format is an error."""
    return open_choice(choose(src, source_format, options), options)


def open_choice(choice: Choice, options: ReadOptions = DEFAULTS) -> Source:
    """The source of a choice, with the reason and the notes of the listing."""
    if choice.format == TARS:
        raise AtlasError(f"{choice.path}: WebDataset tars; use convert or import_webdataset, which read many")
    folder = choice.folder
    if folder is not None and choice.format in FOLDERS:
        source = FOLDERS[choice.format](folder, options)
        left_out = (*source.left_out, *folder.left_out)
        return replace(source, why=choice.why, notes=(*source.notes, *folder.notes, *left_out_note(left_out)), left_out=left_out)
    reader = WHOLE_FOLDERS if choice.path.is_dir() else FILES
    return replace(reader[choice.format](choice.path, options), why=choice.why)


def left_out_note(left_out: Sequence[str]) -> tuple[str, ...]:
    """The note that names the first files that are left out."""
    if not left_out:
        return ()
    more = f"; and {len(left_out) - NAMED:,} more" if len(left_out) > NAMED else ""
    return (LEFT_OUT + "; ".join(left_out[:NAMED]) + more,)


def tars_of(choice: Choice) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """The tars of a choice, each with its split, and the files left out. Splits are folders, or
    words in the names of all tars."""
    folder = choice.folder
    if folder is None:
        return {str(choice.path): None}, ()
    found = [file for file in folder.files if is_tar(file)]
    if not found:
        raise AtlasError(f"{folder.root}: a folder without .tar files; give the files")
    for file in found:
        if file in folder.trouble:
            raise folder.trouble[file]
    if all(len(file.parts) > 1 and is_split(file.parts[0]) for file in found):
        splits: list[str | None] = [split_name(file.parts[0]) for file in found]
    else:
        splits = [split_of(file) for file in found]
        if None in splits or len(set(splits)) < 2:
            splits = [None] * len(found)
    kept = set(found)
    left_out = (*(f"{file}: not a tar" for file in folder.files if file not in kept), *folder.left_out)
    return {str(folder.path(file)): split for file, split in zip(found, splits, strict=True)}, left_out


def check_options(path: Path | str, name: str, options: ReadOptions) -> None:
    """AtlasError for an option that does not apply to the format."""
    for option, formats in OPTIONS.items():
        if name not in formats and getattr(options, option) != getattr(DEFAULTS, option):
            flag = "--" + option.replace("_", "-")
            raise AtlasError(f"{path}: {flag} ({option}=) applies to {', '.join(sorted(formats))}, but this is {name}; leave it out, or set --from")
