"""The common part of datasets, views, concats and tars: take and split, how a notebook shows them, and errors for names of other libraries."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, SupportsIndex, TypeVar, overload

import numpy as np

from atlas_ds.dataset.map_style import ExampleT, MapStyle
from atlas_ds.dataset.show import html_of
from atlas_ds.dataset.sortedness import sorted_column
from atlas_ds.dataset.split import misspelled, names_of, parts_of
from atlas_ds.store.filling import Filling

Name = TypeVar("Name")
COLUMNS = 'the columns are chosen with AtlasDataset(path, columns=["..."]); ds.map(function) changes examples'
ARROW = "atlas.to_huggingface(ds) makes a datasets.Dataset, which has it; or import pandas; pandas.DataFrame(ds.batch(slice(None)))"
WRITE = "a dataset that is open cannot be changed: atlas.AtlasDatasetWriter(path, append=True) adds rows"
BATCHES = "atlas.Loader(ds, batch_size=64, shuffle=False) returns batches; ds.batch([0, 1, 2]) is one"
MASK = 'a bool mask selects rows: ds[ds.column("label") == 3], or of text ds[numpy.array(ds.column("name")) == "x"]'
INSTEAD = {
    "shuffle": "atlas.Loader(ds, batch_size=64, shuffle=True, seed=0) shuffles, and atlas.shuffle(src, dst) writes a shuffled dataset; "
    "ds[numpy.random.default_rng(0).permutation(len(ds))] is a shuffled view",
    "filter": MASK,
    "where": MASK,
    "sort": 'ds[numpy.argsort(ds.column("name"))] is a sorted view',
    "unique": 'numpy.unique(ds.column("name"))',
    "shard": "ds[k::count] is every count-th row; a Loader deals rows to ranks with rank= and world_size=",
    "skip": "ds[n:]",
    "head": "ds.take(5)",
    "tail": "ds[-5:]",
    "sample": "ds[numpy.random.default_rng(0).choice(len(ds), 5, replace=False)]",
    "iloc": "ds[i] is a row, ds[a:b] a view",
    "loc": "ds[i] is a row, ds[a:b] a view",
    "train_test_split": "train, test = ds.split(0.8, seed=0)",
    "random_split": "train, test = ds.split(0.8, seed=0)",
    "features": "ds.schema",
    "columns": "ds.schema.names",
    "column_names": "ds.schema.names",
    "keys": "ds.schema.names",
    "dtypes": "ds.schema",
    "num_rows": "len(ds)",
    "num_columns": "len(ds.schema.names)",
    "num_samples": "len(ds)",
    "shape": "(len(ds), len(ds.schema.names))",
    "size": "len(ds) is the rows, ds.stats()['bytes'] the bytes on disk",
    "nbytes": "ds.stats()['bytes'] on disk, ds.stats()['raw_bytes'] uncompressed",
    "info": "ds.metadata, ds.schema and ds.stats()",
    "classes": "ds.schema['label'].type.names, if the column is a class_label",
    "class_to_idx": "{name: i for i, name in enumerate(ds.schema['label'].type.names)}, if the column is a class_label",
    "targets": 'ds.column("label")',
    "labels": 'ds.column("label")',
    "transform": "ds.map(function), or Loader(transform_example=function)",
    "transforms": "ds.map(function), or Loader(transform_example=function)",
    "with_transform": "ds.map(function)",
    "set_transform": "ds.map(function) returns a view; a dataset itself never changes",
    "apply": "ds.map(function)",
    "set_format": "ds.with_format(...) returns a view; a dataset itself never changes",
    "to_tensor": 'ds.with_format("torch")',
    "iter": BATCHES,
    "batched": BATCHES,
    "batches": BATCHES,
    "dataloader": BATCHES,
    "repeat": "a Loader runs one epoch for each for loop; atlas.Mix repeats a small dataset",
    "prefetch": "atlas.Loader(ds, prefetch=...) reads ahead",
    "cache": "the system keeps files that were read in memory; no option is needed",
    "concatenate": "atlas.concat([ds, other])",
    "rename_column": COLUMNS,
    "rename_columns": COLUMNS,
    "remove_columns": COLUMNS,
    "select_columns": COLUMNS,
    "drop": COLUMNS,
    "cast": COLUMNS,
    "cast_column": COLUMNS,
    "add_column": COLUMNS,
    "flatten": COLUMNS,
    "to_pandas": ARROW,
    "to_polars": ARROW,
    "to_csv": ARROW,
    "to_json": ARROW,
    "to_dict": "ds.batch(slice(None))",
    "to_list": "list(ds)",
    "to_numpy": 'ds.column("name"), or ds.batch(slice(None)) for all',
    "to_arrow": "atlas_ds.bridge.to_arrow(ds)",
    "to_parquet": "atlas.export_parquet(ds, path)",
    "save_to_disk": "atlas.AtlasDatasetWriter(path) writes one: writer.extend(ds)",
    "push_to_hub": "upload the dataset's folder as it is",
    "add_item": WRITE,
    "add_example": WRITE,
    "append": WRITE,
    "extend": WRITE,
    "close": "nothing has to be closed: files are closed when the last view of them is gone",
}
"""A name that users of other libraries try -> what to use here."""


def columns_of(dataset: Any) -> tuple[str, ...]:
    return getattr(getattr(dataset, "schema", None), "names", ())


class Views(MapStyle[ExampleT]):
    """Adds take and split to anything with len() and select(), and helpful errors for the rest. A base class without state."""

    __slots__ = ()
    _lacks: ClassVar[Mapping[str, str]] = {}
    """Attributes that only other classes of this kind have -> why."""
    _hidden: ClassVar[frozenset[str]] = frozenset(("shard_set", "projection", "convert", "rows", "rows_at"))
    """Names without an underscore that are not for users."""

    def take(self, n: SupportsIndex) -> Self:
        """Returns a view of the first rows.

        Parameters
        ----------
        n
            How many; all rows if there are fewer.
        """
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"take({n!r:.80}): give a number of rows; ds.select(rows) takes a list of them")
        count = operator.index(n)
        if count < 0:
            raise ValueError(f"take({count}): give 0 rows or more; ds[{count}:] is a view of the last {-count}")
        return self.select(slice(0, count))

    def select(self, indices: Any) -> Self:
        """Returns a view of some rows, the same as `ds[indices]`.

        Parameters
        ----------
        indices
            Row numbers, a slice or a bool mask.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _ask(self, at: np.ndarray) -> list[Any]:
        """Makes what some positions need present, where it comes from a store; it stays until the exit() of what is returned."""
        return []

    def _fillings(self) -> list[Filling]:
        """What fetches from stores what is read of it."""
        return []

    def _confirm_all(self) -> None:
        """Called before an array of the numbers of all rows is made. A dataset checks that its shards have them."""

    @overload
    def split(self, parts: Mapping[Name, float], *, seed: int | None = None, stratify: Any = None) -> dict[Name, Self]: ...
    @overload
    def split(self, parts: float | Sequence[float], *, seed: int | None = None, stratify: Any = None) -> list[Self]: ...
    def split(self, parts: Any = ..., *more: Any, seed: int | None = None, stratify: Any = None, **others: Any) -> Any:
        """Divides all rows among several views.

        Parameters
        ----------
        parts
            A fraction (or count) of the first of two parts, a list of fractions that add up to 1
            (or of counts that add up to the number of rows), or a dict of names to these.
        seed
            Rows go to the parts at random, for one seed always the same way. None: in order, with a
            warning if the rows are sorted by class.
        stratify
            A column, or a label for each row: each part gets the same share of each class.

        Returns
        -------
        list or dict
            Views in the order of `parts`; a dict of them if `parts` is one.
        """
        if parts is ... or more or others:
            raise misspelled(parts, more, others)
        self._confirm_all()
        found = parts_of(self, parts, seed, stratify)
        if seed is None and stratify is None and sum(len(part) > 0 for part in found) > 1:
            column = sorted_column(self, np.cumsum([len(part) for part in found]))
            if column is not None:
                warnings.warn(
                    f"the rows are sorted by {column!r}, and split() without a seed cuts them in order: the parts will not have the same classes. Pass seed=0 "
                    f"to split at random, or stratify={column!r} for the same share of each class in every part. (ds[:n] and ds[n:] split without a warning.)",
                    stacklevel=2,
                )
        views = [self.select(slice(part.start, part.stop) if isinstance(part, range) else part) for part in found]
        names = names_of(parts)
        return views if names is None else dict(zip(names, views, strict=True))

    def __add__(self, other: object) -> NoReturn:
        raise TypeError("datasets cannot be added with +; use atlas.concat([a, b])")

    __radd__ = __add__

    def _repr_html_(self) -> str:
        return html_of(self)

    def __dir__(self) -> list[str]:
        """What is public; dir(type(ds)) has all."""
        return sorted(name for name in dir(type(self)) if name[0] != "_" and name not in self._hidden and hasattr(type(self), name))

    if not TYPE_CHECKING:  # a checker is to refuse names that are not there

        def __getattr__(self, name: str) -> Any:
            """Called for missing names only: says what to use."""
            if name[0] != "_" and name != "schema" and name in columns_of(self):
                raise AttributeError(f'a column is not an attribute: ds.column("{name}") reads it, ds[0]["{name}"] is that of one row', name=name)
            if name in self._lacks:
                raise AttributeError(f"a {type(self).__name__} has no {name}: {self._lacks[name]}", name=name)
            if name in INSTEAD:
                raise AttributeError(f"a dataset has no {name}; use instead: {INSTEAD[name]}", name=name)
            return object.__getattribute__(self, name)  # the usual error; of a property that failed, its own
