"""Reads a folder per class: root/cat/1.jpg -> {"image": media, "label": int, "file_name": "cat/1.jpg"}, the names in metadata["classes"].

Above or below the classes, folders called train, val, test and so on are splits. What is not media in a class folder is left out and listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import is_media, is_paper
from atlas_ds.bridge.files.split_folders import is_split, split_level, split_name
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.values.media import checked_media, kind_of
from atlas_ds.errors import AtlasError, SchemaError
from atlas_ds.schema.types import media

FILE_NAME = "file_name"


class Layout(NamedTuple):
    """Which part of a file's name is what. skip: folders at the top that hold all the others."""

    skip: int
    split: int | None
    label: int


def layout_of(files: Sequence[PurePosixPath]) -> Layout:
    """The layout of media files; those directly at the top do not count."""
    inner = [file for file in files if len(file.parts) > 1]
    skip = 0
    while inner and len({file.parts[skip] for file in inner}) == 1 and not is_split(inner[0].parts[skip]) and all(len(file.parts) > skip + 2 for file in inner):
        skip += 1
    level = split_level(inner, skip)
    return Layout(skip, None if level is None else skip + level, skip + 1 if level == 0 else skip)


def in_class(file: PurePosixPath, layout: Layout) -> bool:
    """Whether a file lies in a class folder."""
    return len(file.parts) > max(layout.label, layout.split or 0) + 1


def read_classes(folder: Folder, options: ReadOptions = DEFAULTS) -> Source:
    """The examples of a folder per class, in the order of the files' names."""
    layout = layout_of([file for file in folder.files if is_media(file)])
    again = _again(folder, layout)
    files = [file for file in folder.files if is_media(file) and in_class(file, layout) and file not in again]
    if not files:
        raise SchemaError(f"{folder.root}: no image, audio or video file lies in a class folder (cat/1.jpg); move the files into one, or use --from samples")
    kept = set(files)
    left_out = [f"{file}: {_reason(file, again)}" for file in folder.files if file not in kept]
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

    schema = {column: media(), "label": "int64"} | ({FILE_NAME: "str"} if keep else {})
    return Source(
        "classes", examples, len(files), schema=schema, metadata={"classes": classes}, notes=tuple(_notes(files, layout, classes, empty)),
        left_out=tuple(left_out), refused=tuple(str(folder.trouble[file]) for file in files if file in folder.trouble),
    )  # fmt: skip


def _again(folder: Folder, layout: Layout) -> dict[PurePosixPath, PurePosixPath]:
    """Names of files that have another name in a class folder of the same split: a link to a class is no class of its own. The name nearest to the
    top counts, then the file's own."""
    out = {}
    for names in folder.same:
        first: dict[str, PurePosixPath] = {}
        for name in sorted((name for name in names if is_media(name) and in_class(name, layout)), key=lambda name: len(name.parts)):
            split = "" if layout.split is None else name.parts[layout.split]
            if first.setdefault(split, name) != name:
                out[name] = first[split]
    return out


def _reason(file: PurePosixPath, again: Mapping[PurePosixPath, PurePosixPath]) -> str:
    if file in again:
        return f"the same file as {again[file]}, by a link"
    if is_paper(file):
        return "about the data"
    return "media, but in no class folder" if is_media(file) else "not an image, audio or video file"


def _is_empty_class(folder: PurePosixPath, layout: Layout) -> bool:
    if len(folder.parts) != layout.label + 1:
        return False
    return layout.split != layout.label - 1 or is_split(folder.parts[layout.label - 1])


def _notes(files: Sequence[PurePosixPath], layout: Layout, classes: list[str], empty: list[str]) -> Iterator[str]:
    shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    yield f"a folder per class: {len(classes)} classes ({shown}), the label is the place of the name in metadata['classes']"
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
