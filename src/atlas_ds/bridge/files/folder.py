"""Reads a folder of files, told apart by its shape.

classes: root/cat/1.jpg, only media, no file at the top -> {"image": media, "label": int}, names in metadata.
samples: a.jpg a.json b.jpg b.json -> {"key": "a", "jpg": media, "json": object}, one column per extension.
In both, top folders that are all called train, val, test, ... become splits.

It follows WebDataset's naming rule (the key ends at the file name's first dot) and reads no archive.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.files.fields import field_spec, read_field
from atlas_ds.bridge.opening import unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Row, Source
from atlas_ds.bridge.values.media import checked_media, kind_of
from atlas_ds.errors import SchemaError
from atlas_ds.schema.types import media, nullable

SPLIT_NAMES = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))
IGNORED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))
MAX_EXTENSIONS = 64


def read_folder(path: Path, options: ReadOptions = DEFAULTS, *, shape: str | None = None) -> Source:
    """The examples of a folder. `shape` is "classes" or "samples"; None looks at the files and decides."""
    files = list_files(path)
    if not files:
        raise SchemaError(f"{path}: the folder has no files (hidden ones do not count); nothing to convert")
    shape = shape or folder_shape(files)
    return _read_classes(path, files) if shape == "classes" else _read_samples(path, files)


def list_files(root: Path) -> list[PurePosixPath]:
    """All files below `root`, relative and sorted; hidden ones and the litter of file managers left out."""

    def refuse(error: OSError) -> None:
        raise unreadable(error.filename or root, error) from error

    found: list[PurePosixPath] = []
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        kept = []
        for name in folders:
            real = os.path.realpath(os.path.join(folder, name))
            if _visible(name) and real not in seen:  # a link that leads back would never end
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        base = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found.extend(base / name for name in names if _visible(name))
    return sorted(found, key=lambda file: file.parts)


def folder_shape(files: list[PurePosixPath]) -> str:
    """"classes" if every file is media in a class folder, else "samples"."""
    depth = 3 if _has_splits(files) else 2
    for file in files:
        if len(file.parts) < depth or kind_of(file.suffix[1:]) is None:
            return "samples"
    return "classes"


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in IGNORED


def _has_splits(files: list[PurePosixPath]) -> bool:
    return all(len(file.parts) > 1 and file.parts[0].lower() in SPLIT_NAMES for file in files)


def _read_classes(root: Path, files: list[PurePosixPath]) -> Source:
    level = 1 if _has_splits(files) else 0
    for file in files:
        if len(file.parts) < level + 2:
            raise SchemaError(
                f"{root / file}: lies in no class folder, and the rule is root/class/file; move it, or use --from samples"
            )
    classes = sorted({file.parts[level] for file in files})
    label = {name: number for number, name in enumerate(classes)}
    kinds = {kind_of(file.suffix[1:]) for file in files}
    if None in kinds:
        stranger = next(file for file in files if kind_of(file.suffix[1:]) is None)
        raise SchemaError(f"{root / stranger}: not a picture, sound or film; remove it, or use --from samples")
    column = str(kinds.pop()) if len(kinds) == 1 else "media"

    def examples() -> Iterator[Row]:
        for file in files:
            split = file.parts[0] if level else None
            yield {column: checked_media(root / file), "label": label[file.parts[level]]}, split

    note = f"a folder per class: {len(classes)} classes, the label is the place of the name in metadata['classes']"
    schema = {column: media(), "label": "int64"}
    return Source("classes", examples, len(files), schema=schema, metadata={"classes": classes}, notes=(note,))


def _read_samples(root: Path, files: list[PurePosixPath]) -> Source:
    samples, skipped = _group(root, files)
    extensions = sorted({extension for fields in samples.values() for extension in fields})
    if not samples:
        raise SchemaError(f"{root}: no file has an extension, so no sample has a field; give the files extensions")
    if len(extensions) > MAX_EXTENSIONS:
        raise SchemaError(
            f"{root}: {len(extensions)} different extensions (such as .{extensions[0]}); an extension begins at the"
            f" first dot of a name and each becomes a column, {MAX_EXTENSIONS} at most; rename the files"
        )
    if "key" in extensions:
        raise SchemaError(f"{root}: files end in .key, but 'key' is the column of the samples' names; rename them")
    splits = _has_splits(files)

    def examples() -> Iterator[Row]:
        for key, fields in samples.items():
            example: dict[str, object] = {"key": key}
            for extension in extensions:
                file = fields.get(extension)
                example[extension] = None if file is None else read_field(root / file, extension)
            yield example, key.split("/", 1)[0] if splits else None

    schema: dict[str, object] = {"key": "str"}
    for extension in extensions:
        present = [root / fields[extension] for fields in samples.values() if extension in fields]
        spec = field_spec(present, extension)
        schema[extension] = spec if len(present) == len(samples) else nullable(spec)
    return Source("samples", examples, len(samples), schema=schema, notes=_sample_notes(samples, extensions, skipped))


def _group(
    root: Path, files: list[PurePosixPath]
) -> tuple[dict[str, dict[str, PurePosixPath]], list[PurePosixPath]]:
    samples: dict[str, dict[str, PurePosixPath]] = {}
    skipped = []
    for file in files:
        stem, dot, extension = file.name.partition(".")
        if not dot or not extension:
            skipped.append(file)
            continue
        fields = samples.setdefault(str(file.with_name(stem)), {})
        other = fields.setdefault(extension.lower(), file)
        if other != file:
            raise SchemaError(f"{root / file}: the same key and extension as {other.name}; rename one of them")
    return samples, skipped


def _sample_notes(
    samples: dict[str, dict[str, PurePosixPath]], extensions: list[str], skipped: list[PurePosixPath]
) -> tuple[str, ...]:
    notes = [f"a column per extension: {', '.join(extensions)}"]
    present = Counter(extension for fields in samples.values() for extension in fields)
    for extension in extensions:
        missing = len(samples) - present[extension]
        if missing:
            notes.append(f"{missing:,} of {len(samples):,} samples have no .{extension} file: null there")
    if skipped:
        notes.append(f"{len(skipped):,} files without an extension left out, the first is {skipped[0]}")
    return tuple(notes)
