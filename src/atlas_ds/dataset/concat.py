"""atlas.concat: several datasets one after another, as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Never, SupportsIndex, TypeVar, overload

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.common_columns import common_schema, widened
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.example_format import Format
from atlas_ds.dataset.images import Decode
from atlas_ds.dataset.map_style import ExampleT, SupportsRows
from atlas_ds.dataset.row_place import place_of
from atlas_ds.dataset.selection import as_names, select_columns
from atlas_ds.dataset.sequence import Views
from atlas_ds.dataset.show import columns_text
from atlas_ds.dataset.stats import summed_stats
from atlas_ds.dataset.views import index_rows, positions
from atlas_ds.dataset.workers import for_data_loader
from atlas_ds.errors import SchemaError
from atlas_ds.schema.batches import join
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.tensors import to_torch

T = TypeVar("T")


def concat(datasets: Iterable[SupportsRows[T]], *others: Never) -> Concat[T]:
    """Joins several datasets or views one after another, as one sequence.

    They must have the same columns. What may differ: the order of columns, whether a value may be
    absent, the media type, and the shape of arrays (then a batch has a `Ragged`). Where a dataset
    passes through `map`, the columns are compared when `batch` is called.

    Parameters
    ----------
    datasets
        Datasets, views, concats, or anything with `len()` and `[i]`.

    Raises
    ------
    SchemaError
        The columns differ; the text names them.
    """
    if others or not isinstance(datasets, list | tuple):
        datasets = checked_list(datasets, others)
    flat: list[AtlasDataset] = []
    for dataset in datasets:
        flat += dataset.datasets if isinstance(dataset, Concat) and isinstance(dataset.rows, range) and dataset.rows == range(dataset.total) else [dataset]
    if not flat:
        raise ValueError("concat([]): give at least one dataset")
    if any(isinstance(dataset, str | bytes | os.PathLike) for dataset in flat):
        raise TypeError("concat: open the paths first: atlas.concat([atlas.AtlasDataset(path) for path in paths])")
    return Concat(tuple(flat), None)


def checked_list(datasets: Any, others: tuple[Any, ...]) -> list[Any]:
    """The datasets of an iterable of them; TypeError that says what to write where it is something else."""
    if others:
        raise TypeError("concat(a, b): give one list: atlas.concat([a, b])")
    if isinstance(datasets, Mapping):
        raise TypeError("concat: give a list of datasets, not a dict: atlas.concat(list(parts.values()))")
    if isinstance(datasets, str | bytes | os.PathLike):
        raise TypeError(f"concat({os.fspath(datasets)!r:.200}): give a list of datasets that are open: atlas.concat([atlas.AtlasDataset(path), ...])")
    if hasattr(datasets, "__getitem__") or not hasattr(datasets, "__iter__"):
        raise TypeError(f"concat: give a list of datasets, not one {type(datasets).__name__}: atlas.concat([a, b])")
    return list(datasets)


class Concat(Views[ExampleT]):
    """Several datasets one after another, and views of that; made by `atlas.concat`.

    It has what an AtlasDataset has, except what belongs to one folder: `path`, `shards`, `splits`,
    `icc`, and the attributes that describe how it is shuffled.

    Attributes
    ----------
    datasets
        The datasets that were joined.
    """

    _lacks = {  # noqa: RUF012  # never changed
        "splits": "a concat has no named splits: [ds.splits for ds in concat.datasets]",
        "icc": "it is measured for each dataset: [ds.icc for ds in concat.datasets]",
        "path": "a concat has several folders: [ds.path for ds in concat.datasets]",
        "shards": "a concat has several folders: [ds.shards for ds in concat.datasets]",
        "chunk_rows": "a concat is shuffled exactly, whatever its chunks are: [ds.chunk_rows() for ds in concat.datasets]",
        "chunk_bytes": "a concat is shuffled exactly, whatever its chunks are: [ds.chunk_bytes for ds in concat.datasets]",
        "open_bytes": "a concat is shuffled exactly, and has no windows: [ds.open_bytes for ds in concat.datasets]",
        "decodes_blocks": "a concat is shuffled exactly, however it is stored: [ds.decodes_blocks for ds in concat.datasets]",
        "default_shuffle": "a concat is shuffled exactly; atlas.Mix shuffles each dataset as suits it",
    }
    _hidden = frozenset(("rows", "total"))

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), "datasets"])

    def __init__(self, datasets: tuple[Any, ...], rows: range | np.ndarray | None, common: Schema | SchemaError | None = None) -> None:
        """common: the result of common_columns(datasets), if it is known."""
        self.datasets = datasets
        self._common = common_columns(datasets) if common is None else common
        self._starts = np.cumsum([0, *(len(dataset) for dataset in datasets)])
        self.total = int(self._starts[-1])
        self.rows = range(self.total) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> ExampleT: ...
    @overload
    def __getitem__(self, key: slice | Sequence[SupportsIndex] | np.ndarray) -> Concat[ExampleT]: ...
    def __getitem__(self, key: Any) -> Any:
        """Returns one example, or a view of some rows.

        Parameters
        ----------
        key
            A row number, a slice, a list or array of row numbers, or a bool mask.
        """
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            k, row = self._find(int(key))
            return self.datasets[k][row]
        return Concat(self.datasets, index_rows(self.rows, key), self._common)

    def _find(self, position: int) -> tuple[int, int]:
        """(dataset, row of it)."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"row {position} is out of range for {len(self)} rows")
        row = int(self.rows[position])
        k = int(np.searchsorted(self._starts, row, "right")) - 1
        return k, row - int(self._starts[k])

    def _place_of(self, row: int) -> str:
        """Describes where row `row` is stored: the dataset, and the place in it."""
        k, of_it = self._find(row)
        return f"dataset {k} of the concat, row {of_it}{place_of(self.datasets[k], of_it)}"

    # --- what is in it ---

    @property
    def schema(self) -> Schema:
        """The columns that all datasets have; an AttributeError where they differ."""
        if isinstance(self._common, Schema):
            return self._common
        why = "its datasets differ: " + str(self._common) if self._common is not None else "not all of its datasets are Atlas datasets"
        raise AttributeError(f"this concat has no schema: {why}")

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata, if it is the same for all datasets; else an AttributeError."""
        metadata: dict[str, Any] = self._shared("metadata")
        return metadata

    @property
    def decode(self) -> Decode | None:
        """What `decode=` was, if it is the same for all."""
        decode: Decode | None = self._shared("decode")
        return decode

    @property
    def function(self) -> Callable[[Any], Any] | None:
        """What `map` was given, if it is the same for all."""
        function: Callable[[Any], Any] | None = self._shared("function")
        return function

    def _confirm_all(self) -> None:
        for dataset in self.datasets:
            if isinstance(dataset, Views):
                dataset._confirm_all()

    @property
    def _is_remote(self) -> bool:
        return any(getattr(dataset, "_is_remote", False) for dataset in self.datasets)

    def _shared(self, name: str) -> Any:
        values = [getattr(dataset, name) for dataset in self.datasets]
        if any(value != values[0] for value in values):
            raise AttributeError(f"the datasets of this concat differ in {name}: [ds.{name} for ds in concat.datasets]")
        return values[0]

    @property
    def fingerprint(self) -> str:
        """A short name of these rows, as of a dataset."""
        names = "|".join(str(dataset.fingerprint) for dataset in self.datasets)
        rows = repr(self.rows).encode() if isinstance(self.rows, range) else self.rows.tobytes()
        return f"concat:{_core.hash64(names.encode() + rows):016x}"

    @property
    def row_bytes(self) -> float:
        """Mean bytes of a row, decoded."""
        sizes = [len(dataset) for dataset in self.datasets]
        return sum(size * float(dataset.row_bytes) for size, dataset in zip(sizes, self.datasets, strict=True) if size) / max(1, sum(sizes))

    def stats(self) -> dict[str, Any]:
        """Adds up `AtlasDataset.stats` of the folders that hold the rows. Opens no shard."""
        by_path = {getattr(dataset, "path", k): dataset for k, dataset in enumerate(self.datasets)}
        return summed_stats([dataset.stats() for dataset in by_path.values()])

    def __repr__(self) -> str:
        columns = f", {columns_text(self._common)}" if isinstance(self._common, Schema) else ""
        return f"Concat(rows={len(self)}, of {len(self.datasets)} dataset{'s' * (len(self.datasets) != 1)}{columns})"

    # --- views ---

    def select(self, indices: Any) -> Concat[ExampleT]:
        return Concat(self.datasets, index_rows(self.rows, indices), self._common)

    def map(self, function: Callable[[ExampleT], T]) -> Concat[T]:
        """Returns a view whose examples pass through a function, one by one, when they are read.

        Parameters
        ----------
        function
            A function of an example; picklable if worker processes are spawned.
        """
        return self._each("map", function)

    def with_format(self, format: Format) -> Concat[ExampleT]:
        """Returns a view whose examples and batches come in another form.

        Parameters
        ----------
        format
            As for `AtlasDataset.with_format`.
        """
        return self._each("with_format", format)

    def raw(self) -> Concat[Any]:
        """Returns a view without `map` and format, and with images encoded."""
        return self._each("raw")

    def _each(self, method: str, *arguments: Any) -> Concat[Any]:
        lacking = next((k for k, dataset in enumerate(self.datasets) if not hasattr(dataset, method)), None)
        if lacking is not None:
            raise TypeError(f"dataset {lacking} of the concat, a {type(self.datasets[lacking]).__name__}, has no {method}()")
        return Concat(tuple(getattr(dataset, method)(*arguments) for dataset in self.datasets), self.rows, self._common)

    # --- reading ---

    def __getitems__(self, indices: Sequence[int]) -> list[ExampleT]:
        return for_data_loader(self._examples(indices, own_bytes=True), self._doubtful)

    def _doubtful(self) -> bool:
        return any(dataset._doubtful() if isinstance(dataset, AtlasDataset | Concat) else True for dataset in self.datasets)

    def _examples(self, indices: Sequence[int] | np.ndarray, *, own_bytes: bool = False) -> list[Any]:
        """The examples at several positions. own_bytes: bytes are bytes, even where copy=False makes them a view."""
        at = positions(indices, len(self))
        out: list[Any] = [None] * len(at)
        for k, where, rows in self._shares(at):
            dataset = self.datasets[k]
            found = dataset._examples(rows, own_bytes=own_bytes) if isinstance(dataset, AtlasDataset | Concat) else dataset.__getitems__(rows)
            for place, example in zip(where, found, strict=True):
                out[place] = example
        return out

    def _shares(self, at: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(dataset, places in at, rows of it) for each dataset that has some; the first dataset and nothing, if at is empty."""
        rows = at * self.rows.step + self.rows.start if isinstance(self.rows, range) else self.rows[at]
        numbers = np.searchsorted(self._starts, rows, "right") - 1
        for k in np.unique(numbers).tolist() or [0]:
            where = np.flatnonzero(numbers == k)
            yield k, where, rows[where] - self._starts[k]

    def batch(self, indices: Any, columns: Sequence[str] | None = None) -> Any:
        """Reads columns of several rows at once, in the form that all datasets share.

        Parameters
        ----------
        indices
            Row numbers, a slice or a bool mask.
        columns
            Names of the columns to read; None: all.

        Raises
        ------
        SchemaError
            The datasets have no columns in common form.
        """
        batch = self._columns(indices, columns)
        if formats_of(self) != {"torch"}:
            return list(batch) if columns_in_lists(self) else batch
        batch = to_torch(batch)
        return list(batch) if columns_in_lists(self) else batch

    def column(self, name: str) -> Any:
        """Reads one complete column, as `batch` returns it.

        Parameters
        ----------
        name
            The column's name.
        """
        schema = self.schema
        if schema.container == "value":
            return self.batch(slice(None))
        found = self.batch(slice(None), columns=[schema[name].name])
        return found[name] if isinstance(found, dict) else found[0]

    def _columns(self, indices: Any, columns: Sequence[str] | None = None) -> Any:
        """As batch, but in NumPy arrays whatever with_format says, and a list of columns as a tuple."""
        if isinstance(self._common, SchemaError):
            raise SchemaError(*self._common.args)
        schema = None if self._common is None else select_columns(self._common, None if columns is None else as_names(columns))
        wheres, parts = [], []
        for k, where, rows in self._shares(positions(indices, len(self))):
            wheres.append(where)
            parts.append(columns_at(self.datasets[k], rows, columns, schema))
        return join(parts, np.argsort(np.concatenate(wheres), kind="stable"))

    def __iter__(self) -> Iterator[ExampleT]:
        if isinstance(self.rows, range) and self.rows == range(self.total):
            for dataset in self.datasets:
                yield from dataset
            return
        for start in range(0, len(self), 256):
            yield from self._examples(range(start, min(start + 256, len(self))))


def common_columns(datasets: Sequence[Any]) -> Schema | SchemaError | None:
    """Returns the common schema; None if one dataset has no known schema. SchemaError if their columns differ.

    If a function is mapped over one of them, the error is returned and not raised: examples may agree, only columns cannot be read.
    """
    if not all(isinstance(dataset, AtlasDataset | Concat) for dataset in datasets):
        return None
    if any(isinstance(dataset, Concat) and not isinstance(dataset._common, Schema) for dataset in datasets):
        return next((dataset._common for dataset in datasets if isinstance(dataset, Concat) and dataset._common is not None), None)
    try:
        return common_schema([(f"dataset {k} ({name_of(dataset)})", schema_of(dataset)) for k, dataset in enumerate(datasets)])
    except SchemaError as error:
        if not any(map(is_mapped, datasets)):
            raise
        return error.with_traceback(None)


def schema_of(dataset: Any) -> Schema:
    schema = dataset._common if isinstance(dataset, Concat) else dataset.schema
    assert isinstance(schema, Schema)
    return schema


def name_of(dataset: Any) -> str:
    return str(dataset.path) if isinstance(dataset, AtlasDataset) else "a concat"


def is_mapped(dataset: Any) -> bool:
    return any(map(is_mapped, dataset.datasets)) if isinstance(dataset, Concat) else dataset.function is not None


def formats_of(dataset: Any) -> set[str]:
    """The formats of with_format of the datasets."""
    if isinstance(dataset, Concat):
        return {format for one in dataset.datasets for format in formats_of(one)}
    return {getattr(dataset, "_format", "python")}


def columns_at(dataset: Any, rows: np.ndarray, columns: Sequence[str] | None, schema: Schema | None) -> Any:
    """Returns columns of one dataset in the form of `schema`, which all share."""
    if isinstance(dataset, AtlasDataset | Concat):
        batch = dataset._columns(rows, columns)
    else:
        batch = dataset.batch(rows, columns)
    if schema is None:
        return batch
    if schema.container == "value":
        return widened(batch, schema.fields[0])
    if schema.container in ("tuple", "list"):
        return tuple(widened(column, field) for column, field in zip(batch, schema.fields, strict=True))
    return {field.name: widened(batch[field.name], field) for field in schema.fields}


def columns_in_lists(dataset: Any) -> bool:
    """Whether examples are lists: then so are batches, and a list is not a column of values."""
    return columns_in_lists(dataset.datasets[0]) if isinstance(dataset, Concat) else dataset.schema.container == "list"
