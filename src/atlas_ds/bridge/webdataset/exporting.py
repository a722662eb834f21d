"""Exports a dataset as WebDataset tars. names_out.py and columns_out.py choose names,
by_extension.py encodes values, shards_out.py writes files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atlas_ds.bridge.values.by_extension import encoder_of, kind_name
from atlas_ds.bridge.webdataset.columns_out import Column, check_field, media_field, plan_columns
from atlas_ds.bridge.webdataset.names_out import key_fault
from atlas_ds.bridge.webdataset.pattern import Pattern, parse_pattern
from atlas_ds.bridge.webdataset.shards_out import ShardsOut
from atlas_ds.bridge.webdataset.written_values import notes_of
from atlas_ds.dataset.concat import Concat
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.errors import AtlasError, SchemaError, UnsupportedError
from atlas_ds.progress import Progress
from atlas_ds.schema.media import Media
from atlas_ds.schema.schema import Schema
from atlas_ds.sizes import parse_bytes
from atlas_ds.store.files import refuse_overlap

Dataset = AtlasDataset | Concat
KEY_DIGITS = 9  # of a row number as a key; more if needed
KEY_NAMES = ("__key__", "key")
_AS_DICT: Mapping[str, Callable[[Any], dict[str, Any]] | None] = MappingProxyType(
    {
        "dict": None,
        "dataclass": None,  # comes as a dict
        "tuple": lambda example: {str(place): value for place, value in enumerate(example)},
        "list": lambda example: {str(place): value for place, value in enumerate(example)},
        "value": lambda example: {"value": example},
    }
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    paths
        The tars.
    samples, bytes
        How many, and the bytes of all tars.
    fields
        The field (or fields, with commas) that each column became.
    notes
        Sentences about what was chosen.
    index
        The index for wids, if one was written.
    """

    paths: tuple[Path, ...]
    samples: int
    bytes: int
    fields: Mapping[str, str]
    notes: tuple[str, ...]
    index: Path | None = None


class _NotJson(Exception):
    """JSON cannot hold a value of this column exactly. Not an error: the column is written as
    MessagePack instead."""

    def __init__(self, column: str, row: int) -> None:
        super().__init__(column, row)
        self.column, self.row = column, row


def export_webdataset(
    ds: Dataset | str | os.PathLike[str],
    pattern: str | os.PathLike[str],
    *,
    maxcount: int = 100_000,
    maxsize: int | str = "3GB",
    key: str | Callable[[Any], str] | None = None,
    fields: Mapping[str, str] | None = None,
    overwrite: bool = False,
    index: bool = True,
    progress: bool = True,
) -> Exported:
    """Writes examples as tars that webdataset and wids read: see docs/guide/export.md.

    A new tar begins, as with webdataset's ShardWriter, once the last has `maxcount` samples or
    `maxsize` bytes: a tar is over `maxsize` by one sample at most. The tars appear together once
    all are complete, or not at all. Their bytes depend on the examples and options only.

    Parameters
    ----------
    ds
        A dataset, a view, a concat of some, or a path.
    pattern
        The names of the tars, such as `out/train-%06d.tar`; `.tar.gz` and `.tar.zst` compress.
    maxcount
        The maximum number of samples in a tar.
    maxsize
        Bytes of a tar's files, without headers, such as "3GB". "GB" is 10^9, "GiB" is 2^30.
    key
        The column with the keys, or a function of an example. None: the column `__key__` or `key`,
        else the row's number. `__key__` is not written as a field unless `fields` names it.
    fields
        `{"image": "jpg"}` names a column's field, whose last part says how it is written.
    overwrite
        Replace tars that exist.
    index
        Also write `NAME.json`, with which wids opens the tars.
    progress
        Show progress on stderr.

    Returns
    -------
    Exported
        A report.

    Raises
    ------
    FileExistsError
        Tars of this pattern exist, and `overwrite` was not given.
    SchemaError
        A column has no form as a file.
    """
    if not isinstance(maxcount, int) or isinstance(maxcount, bool) or maxcount < 1:
        raise ValueError(f"maxcount={maxcount}: must be 1 or more")
    if fields is not None and not isinstance(fields, Mapping):
        raise TypeError(f"fields={fields!r}: must be a dict from columns to extensions; AtlasDataset(path, columns=[...]) leaves columns out")
    source = _plain(AtlasDataset(ds) if isinstance(ds, str | os.PathLike) else ds)
    place = parse_pattern(os.fspath(pattern))
    existing = _checked_place(source, place, maxcount, index, overwrite)
    packed: dict[str, int] = {}
    made = _make_folder(place.folder)
    try:
        while True:
            job = _Job(source, place, _key_column(source, key), key, dict(fields or {}), packed)
            try:
                return job.run(existing, maxcount, parse_bytes(maxsize, "maxsize"), index, progress)
            except _NotJson as found:
                packed[found.column] = found.row
    except BaseException:
        with contextlib.suppress(OSError):  # another program has put a file there
            for folder in made:
                folder.rmdir()
        raise


@dataclass(frozen=True, slots=True)
class _Job:
    """One pass over the dataset."""

    source: Dataset
    place: Pattern
    key_column: str | None
    key: str | Callable[[Any], str] | None
    fields: dict[str, str]
    packed: dict[str, int]  # columns that JSON cannot hold -> the first such row

    def run(self, existing: list[Path], maxcount: int, maxsize: int, index: bool, progress: bool) -> Exported:
        schemas = [dataset.schema for dataset in _leaves(self.source)]
        skipped = {self.key_column} if self.key is None or KEY_NAMES[0] in self.fields else {self.key_column, KEY_NAMES[0]}
        columns = plan_columns(schemas, skipped, self.fields, frozenset(self.packed), str(self.place.folder / self.place.name(0)))
        members = _Members(columns)
        index = index and not self.place.packing
        shards = ShardsOut(self.place, maxcount, maxsize, unique=self.key_column is None and self.key is None)
        try:
            with Progress(len(self.source), "exporting", "samples", progress) as bar:
                for row, example in enumerate(_examples(self.source, schemas[0])):
                    name = self._key(row, example)
                    shards.add(row, name, members.of(row, example))
                    bar.advance(1)
            shards.finish()
            paths, size = shards.publish(existing, index)
        except BaseException:
            shards.discard()
            raise
        notes = self._notes(schemas, frozenset(columns), shards)
        return Exported(tuple(paths), len(self.source), size, members.fields_by_column(), notes, self.place.folder / self.place.index if index else None)

    def _key(self, row: int, example: dict[str, Any]) -> str:
        if self.key_column is not None:
            found = example[self.key_column]
        elif callable(self.key):
            found = self.key(example)
        else:
            return f"{row:0{KEY_DIGITS}d}"
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        if not isinstance(found, str):
            raise SchemaError(f"row {row}: the key is a {type(found).__name__}, not text; pass key= a column of text or a function that returns text")
        if fault := key_fault(found):
            raise SchemaError(f"row {row}: key {found!r}: {fault}")
        return found

    def _notes(self, schemas: list[Schema], written: frozenset[str], shards: ShardsOut) -> tuple[str, ...]:
        notes = [f"{name}: written as MessagePack, since JSON cannot hold row {row} exactly" for name, row in self.packed.items()]
        notes += dict.fromkeys(note for schema in schemas for field in schema.fields if field.name in written for note in notes_of(field, field.name))
        if shards.not_plain:
            notes.append(f"{shards.not_plain:,} members have names over 100 bytes or not ASCII: webdataset reads them, wids does not")
        if self.place.packing:
            notes.append("no index was written: wids does not read compressed tars")
        if self.place.packing == "zstd":
            notes.append("webdataset needs a command to read .tar.zst: pipe:zstd -dcq NAME")
        return tuple(notes)


class _Members:
    """Converts examples to (field, bytes). Fields that depend on a value's media type are chosen
    and checked when first seen."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self._taken = {column.field: name for name, column in columns.items() if column.field is not None}
        self._encoders = {field: raw_bytes if columns[name].raw else encoder_of(field, f"column {name!r}") for field, name in self._taken.items()}
        self._plan = [
            (column.name, column.field, column.nullable, not column.given and kind_name(column.field or "") == "json", column.change)
            for column in columns.values()
        ]

    def of(self, row: int, example: dict[str, Any]) -> list[tuple[str, bytes]]:
        members = []
        for name, given, nullable, may_pack, change in self._plan:
            value = example.get(name)
            if value is None and nullable:
                continue
            if change is not None:
                value = change(value)
            where = f"row {row}: column {name!r}"
            field = given or self._media(name, value, where)
            try:
                members.append((field, self._encoders[field](value, where)))
            except SchemaError as error:
                if may_pack:
                    raise _NotJson(name, row) from error
                raise
        if not members:
            raise SchemaError(f"row {row}: every column is None, and a tar cannot hold a sample without a member; leave the row out: ds.select")
        return members

    def fields_by_column(self) -> dict[str, str]:
        """Column -> its fields, in the order in which they were first seen."""
        found: dict[str, list[str]] = {name: [] for name, *_ in self._plan}
        for field, name in self._taken.items():
            found[name].append(field)
        return {name: ", ".join(fields) for name, fields in found.items()}

    def _media(self, name: str, value: object, where: str) -> str:
        field = media_field(name, value, where)
        if field not in self._encoders or self._taken[field] != name:
            check_field(name, field, self._taken, where)
            self._encoders[field] = raw_bytes
        return field


def raw_bytes(value: Any, where: str) -> bytes:
    """The bytes of a value in a bytes or media column."""
    return bytes(value.data) if isinstance(value, Media) else bytes(value)


def _checked_place(source: Dataset, place: Pattern, maxcount: int, index: bool, overwrite: bool) -> list[Path]:
    """The existing shards at the destination. An error if they must not be replaced, or if the
    shards do not fit the pattern."""
    for dataset in _leaves(source):
        refuse_overlap(Path(dataset.path), place.folder / place.name(0))
    existing = list(place.existing(index))
    if existing and not overwrite:
        raise FileExistsError(f"{existing[0]}: already exists: pass overwrite=True to replace all shards of this name, or choose another name")
    if place.digits is None and len(source) > maxcount:
        name = place.folder / place.name(0)
        raise AtlasError(f"{name}: {len(source):,} samples do not fit in one file of maxcount={maxcount:,}; put a number such as %06d into the name")
    place.clean()
    return existing


def _plain(ds: Dataset) -> Dataset:
    """The same rows with the values that were passed to the writer."""
    if not isinstance(ds, Concat | AtlasDataset):
        raise TypeError(f"{type(ds).__name__}: expected a dataset, a view, a concat or a path; import_webdataset makes a dataset of tars")
    if isinstance(ds, Concat):
        return Concat(tuple(_plain(dataset) for dataset in ds.datasets), ds.rows)
    if ds.function is not None:
        raise UnsupportedError(f"{ds.path}: map() was applied, so the columns' types are not known; write the result with AtlasDatasetWriter first")
    return ds.raw()


def _leaves(ds: Dataset) -> list[AtlasDataset]:
    return [leaf for dataset in ds.datasets for leaf in _leaves(dataset)] if isinstance(ds, Concat) else [ds]


def _examples(ds: Dataset, schema: Schema) -> Iterator[dict[str, Any]]:
    if len({(leaf.schema.container in ("dict", "dataclass")) or leaf.schema.container for leaf in _leaves(ds)}) > 1:
        raise SchemaError("the datasets' examples come in different containers (dict, tuple, ...); export them one by one")
    as_dict = _AS_DICT[schema.container]
    return iter(ds) if as_dict is None else map(as_dict, ds)


def _key_column(ds: Dataset, key: str | Callable[[Any], str] | None) -> str | None:
    """The column with the keys, which all datasets must have; None: a function or the row's
    number."""
    if callable(key):
        return None
    schemas = [dataset.schema for dataset in _leaves(ds)]
    if key is not None:
        if not all(key in schema.names for schema in schemas):
            raise SchemaError(f"key={key!r} is not a column; the columns are {', '.join(schemas[0].names)}")
        return key
    return next((name for name in KEY_NAMES if all(name in schema.names and str(schema[name].type) == "str" for schema in schemas)), None)


def _make_folder(folder: Path) -> list[Path]:
    """Creates a folder and its missing parents; returns the created folders, innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made
