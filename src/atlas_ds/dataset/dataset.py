"""AtlasDataset: a folder of shards (or one shard file) as one sequence of examples. Views of it live in views.py."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Never, Self, SupportsIndex, TypeVar, overload

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset import layout
from atlas_ds.dataset.argument_names import unknown_argument
from atlas_ds.dataset.example_format import Chain, Format, make_convert
from atlas_ds.dataset.images import Decode, image_decoder
from atlas_ds.dataset.map_style import ExampleT
from atlas_ds.dataset.number_dtypes import is_doubtful
from atlas_ds.dataset.open import VERIFY, Handle, Identity, Io, OpenOptions, Verify, dataset_in, open_dataset, reopen_dataset
from atlas_ds.dataset.row_place import add_note
from atlas_ds.dataset.rows import CONFIRMED, confirm, rows_of_split
from atlas_ds.dataset.selection import as_names, select_columns
from atlas_ds.dataset.sequence import Views
from atlas_ds.dataset.show import columns_text
from atlas_ds.dataset.stats import stats_of
from atlas_ds.dataset.views import index_rows, positions
from atlas_ds.dataset.workers import for_data_loader, views_as_bytes
from atlas_ds.errors import CorruptError, LimitError
from atlas_ds.schema.batches import check_out
from atlas_ds.schema.images import need_images
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.tensors import need_torch, to_torch
from atlas_ds.shard.info import ShardInfo
from atlas_ds.sizes import parse_bytes
from atlas_ds.store.cache_place import cache_place
from atlas_ds.store.paths import is_url
from atlas_ds.store.store import Store

T = TypeVar("T")


class AtlasDataset(_core.Rows, Views[ExampleT]):
    """A dataset opened for reading: one row, a view of some rows, or columns of many rows at once.

    Opening reads the manifest only; each shard is opened when a row of it is first needed, and
    closed when the last view of it is gone (of more than 4,096 shards, those not read for long are
    closed earlier). `len(ds)` is the number of rows. Reading is safe from
    several threads, and in processes started by fork, forkserver or spawn. A pickled dataset holds
    its path, its row numbers and which shards they are of: unpickled, it has the same rows, also
    after an append, or raises `DatasetChanged`.

    Type checkers take an example for a `dict[str, Any]`; annotate `AtlasDataset[tuple[str, int]]`
    for another.

    Parameters
    ----------
    path
        The dataset's folder or URL (or the `atlas.json` in it), one `.atlas` file, or a store. `~`
        is expanded. URLs are s3://, gs://, az://, https:// and those that fsspec reads (ftp://, hf://).
    columns
        Names of the columns to read; None: all.
    split
        A named split; None: all rows.
    verify
        When checksums are compared: the "first" time a page is used, "always", or "never". Bounds
        are always checked.
    io
        "mmap" reads through the kernel's page cache. "pread" is for file systems where mapping is
        slow or unsafe.
    copy
        True: arrays and bytes are writable copies. False: where possible, views of the file.
    memory_limit
        With `io="pread"`, and at URLs what is not in the cache: the most bytes of blocks that are
        kept in memory.
    decode
        Images are decoded in `ds[i]`, iteration and a Loader: see docs/guide/read.md#images. In
        `batch` and `column` they stay encoded; audio and video always do. None: all media stay
        encoded.
    storage_options
        With a URL: how it is reached, by the names that obstore or fsspec have, such as `region`,
        `endpoint`, `key`, `secret`, `anon`, `allow_http`, `timeout` (seconds for a request with all
        its tries). URLs that fsspec reads take those of its file system, as they are. Without it,
        credentials are found where the tools of each service look. Secrets are pickled only for
        processes that this one starts.
    cache
        With a URL: a folder on a local disk where blocks that were read are kept, for all processes
        and later runs. "auto": `$ATLAS_CACHE_DIR`, or else `~/.cache/atlas-ds`. None: only memory.
    cache_limit
        The most bytes that the cache takes there, such as "200GB"; what was not read for long goes
        first. "auto": what is free on the disk, but for a part that stays free.

    Raises
    ------
    NotADataset, KeyError
        No dataset is at `path` (the text says what is, and which call reads it), or it has no such
        column or split.
    """

    _state: Handle
    _format: Format

    def __init__(
        self,
        path: str | os.PathLike[str] | Store,
        *,
        columns: Sequence[str] | None = None,
        split: str | None = None,
        verify: Verify = "first",
        io: Io = "mmap",
        copy: bool = True,
        memory_limit: int | str = "256MiB",
        decode: Decode | None = None,
        storage_options: Mapping[str, Any] | None = None,
        cache: str | os.PathLike[str] | None = "auto",
        cache_limit: int | str = "auto",
        **others: Never,
    ) -> None:
        for name in others:
            raise unknown_argument(name)
        if verify not in VERIFY:
            raise ValueError(f"verify={verify!r}: must be 'first', 'always' or 'never'")
        if io not in ("mmap", "pread"):
            raise ValueError(f"io={io!r}: must be 'mmap' or 'pread'")
        if decode is not None:
            need_images(decode)
        wanted = as_names(columns) if columns is not None else None
        store, file = dataset_in(path, storage_options)
        place = cache_place(cache, cache_limit, wanted=is_url(path))
        if place is not None and store.folder is not None:
            raise ValueError(f"cache={cache!r}: is for URLs, and this is a folder: the system keeps files that were read in memory")
        handle = open_dataset(OpenOptions(store, file, wanted, verify, io, copy, parse_bytes(memory_limit, "memory_limit"), decode, place))
        self._setup(handle, rows_of_split(handle, split), "python", None)

    def _setup(self, handle: Handle, rows: range | np.ndarray, format: Format, function: Callable[[Any], Any] | None) -> None:
        self._state, self._format, self._function = handle, format, function
        if not handle.options.copy:
            views_as_bytes()
        mode = handle.options.decode
        images = None if mode is None else image_decoder(handle.projection.schema, mode)
        self._bind(handle.shard_set, handle.projection, rows, make_convert(handle.projection.schema, format, function, images))

    def _view(self, rows: range | np.ndarray) -> AtlasDataset[ExampleT]:
        view: AtlasDataset[ExampleT] = AtlasDataset.__new__(AtlasDataset)
        view._setup(self._state, rows, self._format, self._function)
        return view

    # --- what is in it ---

    @property
    def schema(self) -> Schema:
        """The columns of an example."""
        return self.projection.schema

    @property
    def metadata(self) -> dict[str, Any]:
        """The JSON object that the writer was given as `metadata=`."""
        return self._state.manifest.metadata

    @property
    def splits(self) -> dict[str, int]:
        """Rows of each named split."""
        return {name: sum(b - a for a, b in parts) for name, parts in self._state.manifest.splits.items()}

    @property
    def icc(self) -> dict[str, float]:
        """How similar neighbouring rows are, for the columns the writer was given as `icc=`.

        0.0 is shuffled, 1.0 is sorted; always of the complete dataset. FORMAT.md#13-manifest has
        the formula.
        """
        return dict(self._state.manifest.icc)

    @property
    def shards(self) -> tuple[ShardInfo, ...]:
        """The files in row order: `path`, `rows`, `bytes`, `tail` (of the footer), `root`, `raw` (bytes uncompressed) and `chunk` (rows)."""
        return self._state.manifest.shards

    @property
    def path(self) -> str:
        """The absolute path."""
        return self._state.options.path

    def stats(self) -> dict[str, Any]:
        """Measures what the complete dataset takes on disk, in bytes, and why. Opens no shard.

        Returns
        -------
        dict
            `{"rows", "bytes", "raw_bytes", "columns": {name: {"raw_bytes", "stored_bytes",
            "layouts", "codec", "codecs", "why"}}}`
        """
        return stats_of(self._state.manifest, self.shard_set)

    def __repr__(self) -> str:
        return f"AtlasDataset({self.path!r}, rows={len(self)}, {columns_text(self.schema)}{', mapped' if self.function is not None else ''})"

    # --- what an order depends on ---

    @property
    def fingerprint(self) -> str:
        """A short name of these rows: another one if a row is added, changed or moved.

        It does not depend on where the dataset is stored, nor on its metadata and splits.
        """
        return layout.fingerprint(self._state.manifest, self.rows)

    @property
    def decodes_blocks(self) -> bool:
        """Whether reading one row decodes rows around it, up to a complete block, as with `access="scan"`."""
        return len(self) > 0 and layout.decodes_blocks(self.shard_set, self._all_columns(), int(self.rows[0]))

    @property
    def default_shuffle(self) -> Literal["exact", "window"]:
        """What `shuffle=True` means here: "window" at a URL or if `decodes_blocks`, else "exact"."""
        return "window" if self._state.options.is_remote or self.decodes_blocks else "exact"

    @property
    def chunk_bytes(self) -> float | None:
        """Mean bytes of a chunk, if a reader of windows must hold it (decoded, or because it was fetched from a URL), else None.

        The default of `window=` is as many chunks as fit into `open_bytes`.
        """
        if len(self) == 0 or not (self._state.options.is_remote or self.decodes_blocks):
            return None
        return layout.chunk_bytes(self.shards[self._shard_of(int(self.rows[0]))], remote=self._state.options.is_remote)

    @property
    def open_bytes(self) -> int:
        """Bytes that the windows of all lanes may have together; at a URL what is fetched ahead needs room, too."""
        return (128 if self._state.options.is_remote else 256) << 20

    def chunk_rows(self) -> tuple[int, int] | np.ndarray:
        """Returns how many rows each chunk has; its rows are stored together, at a URL 256 to 512 KiB. Opens no shard.

        Returns
        -------
        tuple or array
            `(rows, rows per chunk)` where all chunks but the last have as many, else an int64 array
            with the rows of each.
        """
        if layout.chunk_count(self.shards) > CONFIRMED:
            self._confirm(self.rows)
        return layout.chunk_rows(self.shards, self.rows, remote=self._state.options.is_remote)

    @property
    def row_bytes(self) -> float:
        """Mean bytes of a row of the complete dataset, decoded."""
        return sum(shard.raw for shard in self.shards) / max(1, self._state.manifest.rows)

    @property
    def decode(self) -> Decode | None:
        """What `decode=` was."""
        return self._state.options.decode

    @property
    def function(self) -> Callable[[Any], Any] | None:
        """What `map` was given if this is a view made by it, else None."""
        return self._function

    def _all_columns(self) -> _core.Projection:
        return self.projection if self.projection.schema == self._state.manifest.schema else self._projection(None)

    # --- reading ---

    if TYPE_CHECKING:  # at run time it is the core's, which costs less than any Python method

        @overload
        def __getitem__(self, key: int | np.integer[Any], /) -> ExampleT: ...
        @overload
        def __getitem__(self, key: slice | Sequence[SupportsIndex] | np.ndarray, /) -> AtlasDataset[ExampleT]: ...
        def __getitem__(self, key: Any, /) -> Any:
            """Returns one example, or a view of some rows.

            An example has the form the writer was given (a dataclass comes as a dict). A view reads
            nothing.

            Parameters
            ----------
            key
                A row number (negative: from the end), a slice, a list or array of row numbers, or a
                bool mask of `len(ds)`.

            Raises
            ------
            IndexError, CorruptError, DatasetChanged
                There is no such row, it is damaged, or the dataset was replaced after it was
                opened.
            """

    def _select(self, key: Any) -> Any:
        if hasattr(key, "__index__") and not isinstance(key, bool) and getattr(key, "ndim", 0) == 0:
            return self[operator.index(key)]
        return self._view(index_rows(self.rows, key))

    def __iter__(self) -> Iterator[ExampleT]:
        """Yields the examples in order; faster than a loop of `ds[i]`."""
        rows, convert = self.rows, self.convert
        if len(rows) == 0:
            return
        self.shard_set.shard(int(self.shard_set.shard_numbers(np.asarray(rows[:1]))[0]))  # its sizes determine how many rows are read at a time
        step = self.shard_set.chunk_rows(self.projection)
        start = 0
        while start < len(rows):
            stop = min(start + step, len(rows))
            if isinstance(rows, range) and rows.step == 1:
                stop = self._align(rows, start, stop)
            part = rows[start:stop]
            examples = self.shard_set.examples(self.projection, np.arange(part.start, part.stop, part.step) if isinstance(part, range) else part)
            if convert is None:
                yield from examples
            else:
                for i, example in enumerate(examples):
                    yield self._converted(example, int(part[i]))
            start = stop

    def _align(self, rows: range, start: int, stop: int) -> int:
        """Moves the end of a piece to the end of a block, so that no page is decoded twice."""
        first, per = self.shard_set.block_rows(self.projection, rows[start])
        if per == 0:
            return stop
        per *= self.shard_set.blocks_at_once
        end = first + max((rows[stop - 1] + 1 - first) // per, (rows[start] - first) // per + 1) * per - rows.start
        return min(max(end, start + 1), len(rows))

    def __getitems__(self, indices: Sequence[int]) -> list[ExampleT]:
        """Returns the examples at several positions, for torch's DataLoader. Bytes are bytes here, also with copy=False: worker processes
        cannot send views."""
        return for_data_loader(self._examples(indices, own_bytes=True), self._doubtful)

    def _examples(self, indices: Sequence[int] | np.ndarray, *, own_bytes: bool = False) -> list[Any]:
        rows = self.rows_at(indices)
        examples = self.shard_set.examples(self.projection, rows, own_bytes)
        return examples if self.convert is None else [self._converted(example, row) for example, row in zip(examples, rows.tolist(), strict=True)]

    def _doubtful(self) -> bool:
        """Whether there may be values that torch's default_collate rejects or changes."""
        return self.convert is not None or not self._state.options.copy or any(map(is_doubtful, self.schema.fields))

    def _converted(self, example: Any, row: int) -> Any:
        """Converts an example for the user; errors of images name its row."""
        assert self.convert is not None
        try:
            return self.convert(example)
        except Exception as error:
            self._failed(error, row, True)
            raise

    def _failed(self, error: Exception, row: int, was_read: bool) -> None:
        """Adds a note to an error: which stored row could not be read, or failed in map or decode."""
        if was_read:
            what = "decode" if self.function is None else "map" if self.decode is None else "decode or map"
            add_note(error, f"in {what} of row {row}: {self.path}: {self._file_of(row)}")
        if self.decode is not None and isinstance(error, CorruptError | LimitError):
            raise type(error)(f"{self.path}: row {row}: {error}") from error

    def _place_of(self, row: int) -> str:
        """Describes where row `row` of this view is stored."""
        stored = int(self.rows[row])
        return f"{self.path}: {self._file_of(stored)}" + (f", row {stored} of the dataset" if stored != row else "")

    def _file_of(self, stored: int) -> str:
        return self.shards[self._shard_of(stored)].path

    def _shard_of(self, stored: int) -> int:
        return int(self.shard_set.shard_numbers(np.array([stored]))[0])

    def _positions(self, indices: Any) -> np.ndarray:
        if isinstance(indices, slice):
            self._confirm(self.rows[indices])
        return positions(indices, len(self))

    def _confirm_all(self) -> None:
        self._confirm(self.rows)

    def _confirm(self, rows: range | np.ndarray) -> None:
        """Checks that the shards have these rows, before an array of their numbers is made."""
        if isinstance(rows, range) and len(rows):
            confirm(self._state, ((min(rows[0], rows[-1]), max(rows[0], rows[-1]) + 1),))

    def batch(self, indices: Any, columns: Sequence[str] | None = None, out: dict[str, np.ndarray] | None = None) -> Any:
        """Reads columns of several rows at once, in the form of an example.

        Maps are not applied; `with_format("torch")` is. Media stay encoded.

        Parameters
        ----------
        indices
            Row numbers (negative ones and repeats are allowed), a slice, or a bool mask.
        columns
            Names of the columns to read; None: all.
        out
            `{"name" or "struct.name": array}` to fill, for columns of numbers, arrays or class labels
            that are neither nullable nor bfloat16.

        Returns
        -------
        dict, tuple, list or column
            A column of constant width is an array of shape `(len(indices), ...)`, a masked array
            where it is nullable; dates and timestamps are datetime64, with NaT where there is None;
            strings, bytes, media and objects are lists; tensors are a `Ragged`.

        Raises
        ------
        IndexError, KeyError
            There is no such row, or no such column.
        """
        projection = self.projection if columns is None else self._projection(as_names(columns))
        if out is not None:
            check_out(out, projection.schema.fields)
        result = self.shard_set.batch(projection, self.rows_at(indices), out)
        if self._format == "torch":
            return to_torch(result)
        return result

    def _columns(self, indices: Any, columns: Sequence[str] | None = None) -> Any:
        """As batch, but in NumPy arrays whatever with_format says, and a list of columns as a tuple."""
        result = self.shard_set.batch(self.projection if columns is None else self._projection(as_names(columns)), self.rows_at(indices))
        return tuple(result) if isinstance(result, list) and self.schema.container == "list" else result

    def _projection(self, columns: tuple[str, ...] | None) -> _core.Projection:
        """For some of this view's columns, or for all that are stored."""
        schema = self._state.manifest.schema
        return _core.Projection(schema if columns is None else select_columns(self.schema, columns), {leaf.id: i for i, leaf in enumerate(schema.leaves)})

    def column(self, name: str) -> Any:
        """Reads one complete column, as `batch` returns it.

        Parameters
        ----------
        name
            The column's name; any name where examples are single values.
        """
        if self.schema.container == "value":
            return self.batch(slice(None))
        field = self.schema[name]
        result = self.batch(slice(None), columns=[field.name])
        return result[field.name] if isinstance(result, dict) else result[0]

    # --- views ---

    def select(self, indices: Any) -> AtlasDataset[ExampleT]:
        return self._view(index_rows(self.rows, indices))

    def map(self, function: Callable[[ExampleT], T]) -> AtlasDataset[T]:
        """Returns a view whose examples pass through a function, one by one, when they are read.

        Parameters
        ----------
        function
            A function of an example; picklable if processes are spawned. Its errors get a note with
            the row.
        """
        if not callable(function):
            raise TypeError(f"map({function!r:.80}): give a function of an example")
        before = self._function
        view: AtlasDataset[Any] = self._view(self.rows)
        view._setup(self._state, self.rows, self._format, function if before is None else Chain(before, function))
        return view

    def with_format(self, format: Format) -> AtlasDataset[ExampleT]:
        """Returns a view whose examples and batches come in another form.

        Parameters
        ----------
        format
            "python": as written. "numpy": numbers as NumPy scalars. "torch": numbers and arrays as
            tensors, in `batch`, too.
        """
        if format not in ("python", "numpy", "torch"):
            raise ValueError(f"format must be 'python', 'numpy' or 'torch', not {format!r}")
        if format == "torch":
            need_torch('with_format("torch")')
        view = self._view(self.rows)
        view._setup(self._state, self.rows, format, self._function)
        return view

    def raw(self) -> AtlasDataset[Any]:
        """Returns a view without `map` and format, and with images encoded."""
        view: AtlasDataset[Any] = AtlasDataset.__new__(AtlasDataset)
        view._setup(replace(self._state, options=replace(self._state.options, decode=None)), self.rows, "python", None)
        return view

    # --- life ---

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Files are closed when the last view of them is gone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen, (self._state.options, self._state.identity(), self.rows, self._format, self._function)


def reopen(options: OpenOptions, identity: Identity, rows: range | np.ndarray, format: Format, function: Callable[[Any], Any] | None) -> AtlasDataset:
    """Opens the dataset of a pickle: the same rows, or DatasetChanged."""
    view = AtlasDataset.__new__(AtlasDataset)
    view._setup(reopen_dataset(options, identity), rows, format, function)
    return view
