"""Reads files of one base name as one sample: a.jpg a.json b.jpg b.json -> {"key": "a", "jpg":
media, "json": object}, a column per extension.

sample_keys.py decides where a key ends. Files about the data, files without an extension, and
tables of no sample are left out and listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from atlas_ds.bridge.files.classes import FILE_NAME
from atlas_ds.bridge.files.fields import field_spec, read_field
from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import is_archive, is_documentation, is_media, is_tar, table_format
from atlas_ds.bridge.files.sample_keys import Parts, differs_from_first_dot, split_names
from atlas_ds.bridge.files.split_folders import split_name, split_place
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.values.media import checked_media, kind_of
from atlas_ds.errors import AtlasError, SchemaError
from atlas_ds.schema.specs import media, nullable

MAX_EXTENSIONS = 64
Fields = dict[str, PurePosixPath]  # of one sample: extension -> file


class Grouped(NamedTuple):
    """The samples of a folder by key, what is left out, and how the names were split."""

    samples: dict[str, Fields]
    left_out: list[str]
    parts: Parts


def read_samples(folder: Folder, options: ReadOptions = DEFAULTS) -> Source:
    """The samples of a folder, in the order of their keys."""
    samples, left_out, parts = group(folder)
    extensions = _extensions(folder.root, samples)
    one = _one_column(samples)
    if one is not None:
        samples = {key: {one: next(iter(fields.values()))} for key, fields in samples.items()}
    columns = extensions if one is None else [one]
    place = split_place([PurePosixPath(key) for key in samples])
    keep = options.keep_names is True or (one is not None and options.keep_names is not False)

    def examples() -> Iterator[Row]:
        for key, fields in samples.items():
            row: dict[str, object] = {} if options.keep_names is False else {"key": key}
            split = None if place is None else split_name(PurePosixPath(key).parts[place])
            try:
                for extension in columns:
                    row[extension] = _value(folder, fields.get(extension), extension, options)
            except AtlasError as error:
                yield Refused(error), split
                continue
            yield (row | {FILE_NAME: str(_named(fields))} if keep else row), split

    schema: dict[str, object] = {} if options.keep_names is False else {"key": "str"}
    for extension in columns:
        present = [folder.path(fields[extension]) for fields in samples.values() if extension in fields and fields[extension] not in folder.trouble]
        spec = field_spec(present, extension) if one is None else media()
        schema[extension] = spec if sum(extension in fields for fields in samples.values()) == len(samples) else nullable(spec)
    if keep:
        schema[FILE_NAME] = "str"
    troubled = [next((str(folder.trouble[file]) for file in fields.values() if file in folder.trouble), None) for fields in samples.values()]
    names = list(samples)
    return Source(
        "samples", examples, len(samples), schema=schema, notes=tuple(_notes(samples, extensions, parts, place, folder)),
        place=lambda row: f"{folder.root}: sample {names[row]}", left_out=tuple(left_out), refused=tuple(filter(None, troubled)),
    )  # fmt: skip


def _value(folder: Folder, file: PurePosixPath | None, extension: str, options: ReadOptions) -> object:
    if file is None:
        return None
    if file in folder.trouble:
        raise folder.trouble[file]
    return checked_media(folder.path(file)) if kind_of(extension) is None and is_media(file) else read_field(folder.path(file), extension, options.encoding)


def _one_column(samples: Mapping[str, Fields]) -> str | None:
    """The one column if each sample is one media file, with several extensions: a column for
    each would be None in most rows."""
    extensions = {extension for fields in samples.values() for extension in fields}
    if len(extensions) < 2 or any(len(fields) > 1 for fields in samples.values()):
        return None
    kinds = {kind_of(extension) for extension in extensions}
    return None if None in kinds else str(kinds.pop()) if len(kinds) == 1 else "media"


def _named(fields: Fields) -> PurePosixPath:
    """The file that a sample is named by: its first media file, or its first file."""
    return next((file for _, file in sorted(fields.items()) if is_media(file)), fields[min(fields)])


def group(folder: Folder) -> Grouped:
    """The samples of any files. SchemaError if two files would be one field."""
    papers = {file for file in folder.files if is_documentation(file)}
    if len(papers) == len(folder.files):  # a folder of texts that happen to have such names
        papers = set()
    parts = split_names(file for file in folder.files if file not in papers)
    keys = Counter(key for key, extension in parts.values() if extension)
    strangers = {file: reason for file, (key, extension) in parts.items() if (reason := _stranger(file, extension, keys[key]))}
    strangers |= _odd(parts, keys, strangers)
    strangers |= {name: f"the same file as {kept}, by a link" for name, kept in _links_to_samples(folder, parts, keys)}
    if len(strangers) == len(parts):
        strangers = {file: reason for file, reason in strangers.items() if not parts[file].extension}
    samples: dict[str, Fields] = {}
    for file, (key, extension) in parts.items():
        if file in strangers:
            continue
        other = samples.setdefault(key, {}).setdefault(extension, file)
        if other != file:
            raise SchemaError(f"{folder.path(file)}: has the same key and extension as {other.name}; rename one of them")
    reasons = dict.fromkeys(papers, "about the data") | strangers
    return Grouped(samples, [f"{file}: {reasons[file]}" for file in folder.files if file in reasons], parts)


def _stranger(file: PurePosixPath, extension: str, partners: int) -> str | None:
    """Why a file is not a field of a sample."""
    if not extension:
        return "no extension"
    if partners > 1:
        return None
    if is_tar(file) or is_archive(file):
        return "an archive; unpack it, or convert it separately"
    return "a table, and no sample has its name; convert it separately" if table_format(file) else None


def _links_to_samples(folder: Folder, parts: Parts, keys: Mapping[str, int]) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Links that are samples of one file, to files in a sample of several files; each with the
    name in that sample."""
    for names in folder.same:
        kept = next((name for name in names if name in parts and keys[parts[name].key] > 1), None)
        if kept is not None:
            yield from ((name, kept) for name in names if name in parts and keys[parts[name].key] == 1)


def _odd(parts: Parts, keys: Counter[str], strangers: Mapping[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    """Single files that do not fit: most others are samples of several files, or media, and no
    such sample has the extension."""
    files = {file: extension for file, (key, extension) in parts.items() if file not in strangers}
    paired = {file: extension for file, extension in files.items() if keys[parts[file].key] > 1}
    if 2 * len(paired) > len(files):
        common = set(paired.values())
        return {file: f"no sample has its name, nor a .{extension}" for file, extension in files.items() if extension not in common and not is_media(file)}
    if not paired and 2 * sum(map(is_media, files)) > len(files):
        return {file: "not an image, audio or video file, and none has its name" for file in files if not is_media(file)}
    return {}


def _extensions(root: Path, samples: Mapping[str, Fields]) -> list[str]:
    extensions = sorted({extension for fields in samples.values() for extension in fields})
    if not samples:
        raise SchemaError(f"{root}: no file has an extension, so no sample has a field; give the files extensions")
    if len(extensions) > MAX_EXTENSIONS:
        raise SchemaError(
            f"{root}: {len(extensions)} different extensions (such as .{extensions[0]}); each becomes a column, {MAX_EXTENSIONS} at most;"
            " rename the files, or convert folder by folder"
        )
    for name in ("key", FILE_NAME):
        if name in extensions:
            raise SchemaError(f"{root}: files end in .{name}, but {name!r} is the column of the samples' names; rename the files")
    return extensions


def _notes(samples: Mapping[str, Fields], extensions: list[str], parts: Parts, place: int | None, folder: Folder) -> Iterator[str]:
    columns = sorted({name for fields in samples.values() for name in fields})
    yield f"a column per extension: {', '.join(extensions)}" if columns == extensions else f"one column, {columns[0]}, for .{', .'.join(extensions)}"
    read = {file for fields in samples.values() for file in fields.values()}
    twice = sum(len(read.intersection(names)) > 1 for names in folder.same)
    if twice:
        yield f"{twice:,} {'file is' if twice == 1 else 'files are'} in more than one sample, by links"
    if place is not None:
        yield f"splits by folder: {', '.join(sorted({split_name(PurePosixPath(key).parts[place]) for key in samples}))}"
    present = Counter(extension for fields in samples.values() for extension in fields)
    for extension in columns:
        missing = len(samples) - present[extension]
        if missing:
            yield f"{missing:,} of {len(samples):,} samples have no .{extension} file: None there"
    odd = differs_from_first_dot(parts)
    if odd is not None:
        yield f"names with several dots: {odd} is the .{parts[odd].extension} of {parts[odd].key!r} (in a tar, the key ends at the first dot)"
    if extensions == ["npy"]:
        yield "each .npy is one example; for arrays whose rows are the examples: numpy.savez('all.npz', x=x, y=y), then convert that"
