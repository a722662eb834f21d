"""Reads a folder per class: root/cat/1.jpg -> {"image": media, "label": 0, "file_name":
"cat/1.jpg"}. The label is a class label, whose names are those of the folders, sorted.

Folders called train, val, test and so on, above or below the classes, are splits. Files that are
not media in a class folder are left out and listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import is_media, reason_left_out
from atlas_ds.bridge.files.split_folders import is_split, split_level, split_name
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.values.media import checked_media, kind_of
from atlas_ds.errors import AtlasError, SchemaError
from atlas_ds.schema.specs import class_label, media

OTHER = {True: "media, but not in a class folder", False: "not an image, audio or video file"}  # whether a file that is left out is media -> the reason
FILE_NAME = "file_name"


class Layout(NamedTuple):
    """Which part of a file's name is what. skip: folders at the top that hold all the others."""

    skip: int
    split: int | None
    label: int


def layout_of(files: Sequence[PurePosixPath]) -> Layout:
    """The layout of media files. Files directly at the top, or in a folder that holds all the
    classes, are ignored."""
    inner, skip = [file for file in files if len(file.parts) > 1], 0
    while deeper := _below_the_only(inner, skip):
        inner, skip = deeper, skip + 1
    level = split_level(inner, skip)
    return Layout(skip, None if level is None else skip + level, skip + 1 if level == 0 else skip)


def _below_the_only(files: list[PurePosixPath], skip: int) -> list[PurePosixPath]:
    """The files in the folders of the only folder at a level; none if it is itself a class or a
    split. A few files next to several such folders do not make it a class."""
    if len({file.parts[skip] for file in files}) != 1 or is_split(files[0].parts[skip]):
        return []
    deeper = [file for file in files if len(file.parts) > skip + 2]
    several = len({file.parts[skip + 1] for file in deeper}) > 1 or (bool(deeper) and bool(_below_the_only(deeper, skip + 1)))
    return deeper if len(deeper) == len(files) or (several and 2 * len(deeper) > len(files)) else []


def in_class(file: PurePosixPath, layout: Layout) -> bool:
    """Whether a file is in a class folder."""
    return len(file.parts) > max(layout.label, layout.split or 0) + 1


def read_classes(folder: Folder, options: ReadOptions = DEFAULTS) -> Source:
    """The examples of a folder per class, in the order of the files' names."""
    layout = layout_of([file for file in folder.files if is_media(file)])
    again = links_to_classes(folder, layout)
    files = [file for file in folder.files if is_media(file) and in_class(file, layout) and file not in again]
    if not files:
        raise SchemaError(f"{folder.root}: no image, audio or video file is in a class folder (cat/1.jpg); move the files into one, or use --from samples")
    kept = set(files)
    left_out = [f"{file}: {reason_left_out(file, again, OTHER[is_media(file)])}" for file in folder.files if file not in kept]
    names = {file.parts[layout.label] for file in files}
    empty = sorted({found.parts[layout.label] for found in folder.empty if _is_empty_class(found, layout)} - names)
    classes = sorted(names | set(empty))
    label = {name: number for number, name in enumerate(classes)}
    kinds = {kind_of(file.suffix[1:]) for file in files}
    column = str(kinds.pop()) if len(kinds) == 1 else "media"
    keep = options.keep_names is not False

    def examples() -> Iterator[Row]:
        for file in files:
            split = None if layout.split is None else split_name(file.parts[layout.split])
            try:
                if file in folder.trouble:
                    raise folder.trouble[file]
                row: dict[str, object] = {column: checked_media(folder.path(file)), "label": label[file.parts[layout.label]]}
            except AtlasError as error:
                yield Refused(error), split
                continue
            yield (row | {FILE_NAME: str(file)} if keep else row), split

    schema = {column: media(), "label": class_label(classes)} | ({FILE_NAME: "str"} if keep else {})
    return Source(
        "classes", examples, len(files), schema=schema, notes=tuple(_notes(files, layout, classes, empty)),
        left_out=tuple(left_out), refused=tuple(str(folder.trouble[file]) for file in files if file in folder.trouble),
    )  # fmt: skip


def links_to_classes(folder: Folder, layout: Layout) -> dict[PurePosixPath, PurePosixPath]:
    """Names of files that have another name in a class folder: in one of the same split, where
    the name is itself in a class, since a link to a class is no class of its own; in any, where
    it is in none. The name nearest to the top counts, then the file's own."""
    out = {}
    for names in folder.same:
        first: dict[str, PurePosixPath] = {}
        for name in sorted((name for name in names if is_media(name) and in_class(name, layout)), key=lambda name: len(name.parts)):
            split = "" if layout.split is None else name.parts[layout.split]
            if first.setdefault(split, name) != name:
                out[name] = first[split]
        if first:
            kept = next(iter(first.values()))
            out |= {name: kept for name in names if is_media(name) and not in_class(name, layout)}
    return out


def _is_empty_class(folder: PurePosixPath, layout: Layout) -> bool:
    if len(folder.parts) != layout.label + 1:
        return False
    return layout.split != layout.label - 1 or is_split(folder.parts[layout.label - 1])


def _notes(files: Sequence[PurePosixPath], layout: Layout, classes: list[str], empty: list[str]) -> Iterator[str]:
    shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    yield f"{len(classes):,} {'class' if len(classes) == 1 else 'classes'}: {shown}; the schema holds their names"
    if layout.skip:
        yield f"the classes are the folders in {PurePosixPath(*files[0].parts[: layout.skip])}/, which holds all the files"
    if layout.split is not None:
        yield f"splits by folder: {', '.join(sorted({split_name(file.parts[layout.split]) for file in files}))}"
    deep = max(layout.label, layout.split or 0) + 2
    nested = next((file for file in files if len(file.parts) > deep), None)
    if nested is not None:
        inner = PurePosixPath(*nested.parts[layout.label : -1])
        yield f"folders in class folders: {inner} has the label {nested.parts[layout.label]!r}; {FILE_NAME} has the complete path"
    if empty:
        yield f"classes without a file: {', '.join(empty[:10])}"
