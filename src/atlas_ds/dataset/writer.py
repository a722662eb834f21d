"""AtlasDatasetWriter: writes examples to a dataset. Shards are written in the shard room; their folder is managed in output.py."""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Never, Self

from atlas_ds.dataset.columns import first_rows, slice_leaves, to_leaf_arrays
from atlas_ds.dataset.commit import appended
from atlas_ds.dataset.first_examples import MAX_ROWS, FirstExamples, untyped_columns, valid_columns
from atlas_ds.dataset.manifest import Manifest
from atlas_ds.dataset.metadata import checked_metadata
from atlas_ds.dataset.options import (
    DEFAULT_SHARD,
    Compression,
    Dictionary,
    Size,
    checked_icc,
    checked_options,
    checked_part,
    checked_split,
    checked_workers,
)
from atlas_ds.dataset.output import RESUME, Output, append_to_message
from atlas_ds.dataset.parts import part_store
from atlas_ds.dataset.states import State, error_of
from atlas_ds.dataset.unclosed import release_unclosed, track
from atlas_ds.dataset.unsaved import unsaved
from atlas_ds.dataset.writer_input import as_columns, as_examples
from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.infer import infer_schema
from atlas_ds.schema.schema import Schema, first_difference, make_schema, with_all_names
from atlas_ds.shard.coding import Access
from atlas_ds.shard.encoders import Encoders
from atlas_ds.shard.icc import check_columns, check_names
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.open import open_footer, open_stored
from atlas_ds.shard.totals import sum_of_totals
from atlas_ds.shard.writer import ShardWriter
from atlas_ds.store.open import open_to_write
from atlas_ds.store.store import Store, place_of


class AtlasDatasetWriter:
    """Writes examples to a dataset's folder; used in a `with` block.

    At its end the dataset is published atomically. An exception that leaves it publishes nothing
    (see `abort`). After a system error, such as a full disk, finished shards are kept for
    `resume=True`. They are also kept, with a `ResourceWarning`, if a writer is garbage-collected
    without `close` or `abort`. One thread at a time may use a writer; processes use one each, with
    `part=` or `append=True`. A forked child cannot use its parent's.

    Parameters
    ----------
    path
        The dataset's folder, made if it does not exist; a URL of S3, GCS or Azure; or a store.
    shard_size, block_size
        The size of a file, and of a block in it: a number of examples, or bytes before compression
        such as "256MiB". `block_size=None` is "64KiB".
    schema
        A dict of column to type, a tuple or list of types, a type, or a `Schema`. None: inferred.
    compression
        "auto", "none", "lz4", "zstd", or a dict of column to one of these.
    level
        The level of zstd, 1 to 22.
    dictionary
        "shared": one per column for all files. "shard": one per file. None: none.
    access
        "scan" compresses some rows together, or complete blocks if `block_size` is given, which
        is smaller, and slower for single rows than "random": see docs/guide/sizes-and-codecs.md#access.
    append
        Add to the dataset that exists. Several may do so at a time:
        docs/guide/write.md#concurrent-writers.
    overwrite
        Replace the dataset that exists, at the moment of `close`.
    resume
        Continue after a writer that was killed or failed, with the same options: see `position`.
    workers
        Threads that encode. None: as many as cores. 0: none, the caller's thread encodes.
    part
        Write part number `part`, from 0, of several that `merge_parts` joins.
    progress
        Show progress on stderr, as suits a terminal, a notebook or a log.
    metadata
        Any JSON object, copied immediately; NumPy's numbers become Python's. None: when appending,
        that of the dataset.
    icc
        Columns (ints, floats, bools, class labels, `str`) for which the similarity of neighbouring
        rows is measured. None: those of the dataset that is appended to.
    storage_options
        How a URL is reached, as for AtlasDataset.
    single_writer
        Nobody else writes to this URL meanwhile: for stores that do not look at conditions.

    Raises
    ------
    FileExistsError, WriterBusy
        A dataset already exists at `path` and none of `append`, `overwrite` and `resume` was given,
        or another writer uses it.

    Attributes
    ----------
    path
        The dataset's folder, or the URL of its store.
    position
        Examples added so far. `resume=True` starts at those in finished shards: skip so many.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Store,
        shard_size: Size = DEFAULT_SHARD,
        block_size: Size | None = None,
        *,
        schema: Any = None,
        compression: Compression = "auto",
        level: int = 3,
        dictionary: Dictionary | None = "shared",
        access: Access = "random",
        append: bool = False,
        overwrite: bool = False,
        resume: bool = False,
        workers: int | None = None,
        part: int | None = None,
        progress: bool = False,
        metadata: dict[str, Any] | None = None,
        icc: Sequence[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        single_writer: bool = False,
    ) -> None:
        if append + overwrite + resume > 1:
            raise ValueError("choose one of append, overwrite and resume")
        store = open_to_write(path, "path", storage_options, single_writer=single_writer)
        self.path = store.folder if store.folder is not None else place_of(store)
        self._options = checked_options(shard_size, block_size, compression, level, dictionary, access)
        self._icc = checked_icc(icc)
        self._metadata = None if metadata is None else checked_metadata(metadata)
        self._schema: Schema | None = make_schema(schema) if schema is not None else None
        if self._schema is not None:
            self._check_names(self._schema)
        threads, number = checked_workers(workers), checked_part(part)
        self._first = FirstExamples()
        self._streams: dict[str | None, ShardWriter] = {}
        self._dictionaries: dict[int, bytes] = {}
        self._state: State = "open"
        target = store if number is None else part_store(store, number)
        mode = "append" if append else "overwrite" if overwrite else "create"
        options = self._options.to_json() | {"icc": None if icc is None else list(self._icc or ())}
        self._output = Output(target, mode, resume, options, progress)
        try:
            self._resume_or_append(resume)
            self.position = self._output.rows
            self._encoders = Encoders(threads)
            self._progress = Progress(None, "writing", "examples", progress)
            self._progress.__enter__()
        except BaseException:
            self._output.release()
            raise
        self._unclosed = weakref.finalize(self, release_unclosed, self._output, self._streams, self._encoders)
        track(self)

    def _resume_or_append(self, resume: bool) -> None:
        """Adopts schema, dictionaries and ICC columns of the dataset that is added to, or of the shards that are resumed."""
        output = self._output
        if output.base is not None:
            self._adopt_schema(output.base.schema, "the dataset")
            self._adopt_icc(output.base)
            if output.base.shards:
                self._adopt_dictionaries(output.base.shards[-1])
        if output.resumed and output.schema is not None:
            self._adopt_schema(output.schema, "the finished shards")
            finished = [info for infos in output.done.values() for info in infos]
            self._adopt_dictionaries(finished[0])
        if resume and not output.resumed and output.current is not None:
            self._state = "finished"

    # --- life ---

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._state != "failed":
            self.abort()

    def close(self) -> None:
        """Writes what is left and publishes everything atomically. A second call does nothing.

        If it fails, nothing is published, and finished shards stay: another writer continues with
        `resume=True`.

        Raises
        ------
        CommitConflict
            Another writer published first, and these rows cannot be added to what it published.
        """
        if self._state in ("forked", "failed"):
            self._refuse()
        if self._state == "finished":
            self._end("closed")
            self._output.release()
        if self._state != "open":
            return
        try:
            if self._schema is None and not self._first:
                raise SchemaError(f"{self.path}: no example was added, so there is no schema: pass schema= to write an empty dataset")
            self._fix_schema()
            for stream in self._streams.values():
                stream.finish_shard()
            for stream in self._streams.values():
                stream.wait()
            self._encoders.close()
            self._output.publish(self._manifest)
        except BaseException as error:
            self._fail(error)
            raise
        self._end("closed")
        if self._options.compression in ("auto", "none"):
            return
        written = sum_of_totals(self._output.totals.values()).columns
        assert self._schema is not None
        for what in unsaved(self._schema, written or {}, self._options.compression):
            warnings.warn(f"{self.path}: {what}", UserWarning, stacklevel=3)  # at `with`, the usual caller

    def abort(self) -> None:
        """Publishes nothing and removes what was written. A second call does nothing."""
        if self._state in ("open", "failed", "finished"):
            self._stop()
            self._output.discard()
            self._end("aborted")

    def _fail(self, error: BaseException) -> None:
        """Ends this writer after an error of the system, or of close: finished shards are kept, and the error says so."""
        if self._output.is_published:
            self._end("closed")  # readers see it, though it may not be synced to disk: its shards must be kept
            self._output.release()
            append_to_message(error, f"the rows are published: check {self._output.place}, and do not write them again")
            return
        self._stop()
        rows, shards, is_own = self._output.rows, sum(map(len, self._output.done.values())), self._output.is_own
        try:
            self._output.leave()
        except OSError as other:
            error.add_note(f"what was written could not be removed: {other}")
        self._end("failed")
        if rows and is_own:
            append_to_message(error, f"{self._output.place} keeps {rows:,} rows in {shards:,} finished shards: {RESUME}")

    def _stop(self) -> None:
        """Ends the threads, and removes unpublished shards."""
        self._encoders.close()
        for stream in self._streams.values():
            stream.abort()

    def _end(self, state: State) -> None:
        self._state = state
        self._unclosed.detach()
        self._progress.__exit__(None, None, None)

    def _refuse(self) -> Never:
        """Raises the error of a writer that is not open."""
        raise error_of(self._state, self.path, self._output.rows)

    def _forked(self) -> None:
        """In a forked process, which has none of the threads of its parent's writer, and must not write to its files."""
        if self._state == "open":
            self._state = "forked"
        self._output.journal.close()  # its lock stays with the parent, and ends with it

    def _adopt_schema(self, schema: Schema, of: str) -> None:
        given = schema if self._schema is None else self._schema
        joined = with_all_names(schema, given)
        if joined is None:
            raise SchemaError(f"{self.path}: schema= differs from the schema of {of}: {first_difference(given, schema)}")
        self._schema = joined
        self._options.check_names(schema.names)

    def _adopt_icc(self, base: Manifest) -> None:
        if self._icc is None:
            self._icc = tuple(base.icc)
        check_columns(self._icc, base.schema)
        lacking = [name for name in self._icc if name not in base.icc]
        if lacking and base.shards:
            raise ValueError(f"{self.path}: icc={lacking}: the existing rows were written without it: write the dataset again")

    def _adopt_dictionaries(self, info: ShardInfo) -> None:
        """Reuses the dictionaries of existing shards."""
        if self._options.dictionary != "shared":
            return
        shard = open_footer(store, info) if (store := self._output.store).far else open_stored(store, info.path)
        data = shard.dictionary_bytes
        for leaf in shard.leaves:
            if leaf.dictionary:
                self._dictionaries[leaf.id] = data[leaf.dictionary - 1]

    # --- rows ---

    @property
    def positions(self) -> dict[str | None, int]:
        """Rows in finished shards, by split (or None): to be skipped after `resume=True`."""
        return {split: sum(info.rows for info in infos) for split, infos in self._output.done.items()}

    def __repr__(self) -> str:
        return f"AtlasDatasetWriter({str(self.path)!r}, {self._state}, {self.position:,} examples)"

    def add_example(self, example: Any, *, split: str | None = None) -> None:
        """Adds one example. Its values are copied at the call, so a buffer may be used again.

        Parameters
        ----------
        example
            A dict, tuple, list, dataclass instance or single value, the same kind each time.
        split
            The split it belongs to, such as "train"; given with every example or with none.

        Raises
        ------
        SchemaError, LimitError
            It does not fit, or a value is too large. The text names the example (from 0), the
            column, what was expected and what came; the writer stays usable.
        """
        if self._state != "open":
            self._refuse()
        if self._schema is None:
            self._add_first(example, split)
        else:
            self._add(example, split)

    def _add(self, example: Any, split: str | None) -> None:
        stream = self._streams.get(split) or self._stream(split)
        try:
            stream.add(example)
        except BaseException as error:
            self._not_added(error, stream, f"example {self.position}")
            raise
        self.position += 1
        if not self.position & 1023:
            self._progress.advance(1024)

    def _not_added(self, error: BaseException, stream: ShardWriter, what: str) -> None:
        """Handles an error while rows were added: names a rejected example; ends this writer if a shard failed."""
        if stream.failed:
            if isinstance(error, OSError | MemoryError | AtlasError):
                self._fail(error)
        else:
            if isinstance(error, SchemaError | LimitError):
                error.args = (f"{what}: {error}",)
            self._forget_unused(stream)

    def _forget_unused(self, stream: ShardWriter) -> None:
        """Removes a split whose first example was rejected."""
        for split, other in list(self._streams.items()):
            if other is stream and stream.is_unused and not self._output.done.get(split):
                del self._streams[split]
                self._output.done.pop(split, None)

    def extend(self, examples: Iterable[Any], *, split: str | None = None) -> None:
        """Adds every example of an iterable. Where one does not fit, those before it were added.

        Parameters
        ----------
        examples
            The examples.
        split
            The split they belong to.
        """
        for example in as_examples(examples):
            self.add_example(example, split=split)

    def add_batch(self, columns: Any, *, split: str | None = None) -> None:
        """Adds rows given as columns. A batch that does not fit adds nothing.

        Parameters
        ----------
        columns
            An example whose values are arrays with a leading row axis, or lists, all of one length.
        split
            The split they belong to.
        """
        if self._state != "open":
            self._refuse()
        for batch in as_columns(columns):
            self._add_batch(batch, split)

    def _add_batch(self, columns: Any, split: str | None) -> None:
        """Converts all rows of a batch before the first is added, so that none of a rejected batch is written."""
        name = self._check_split(split)
        schema = self._schema if self._schema is not None else self._first.schema() if self._first else infer_schema(first_rows(columns, MAX_ROWS))
        if self._schema is None and not self._first:
            self._check_names(schema)
        count, slices = to_leaf_arrays(columns, schema)
        try:
            pieces = [(min(slices.step, count - start), slices.take(start, min(start + slices.step, count))) for start in range(0, count, slices.step)]
        except (SchemaError, LimitError) as error:
            error.args = (f"examples {self.position} to {self.position + count - 1}: {error}",)
            raise
        self._fix_schema()
        self._schema = schema
        if count:
            self._add_pieces(pieces, self._streams.get(name) or self._stream(name))

    def _add_pieces(self, pieces: Iterable[tuple[int, list[Any]]], stream: ShardWriter) -> None:
        begin = self.position
        for count, leaves in pieces:
            start = 0
            while start < count:
                step = count - start if stream.rows_left is None else min(count - start, stream.rows_left)
                try:
                    stream.add_columns(leaves if step == count else slice_leaves(leaves, start, start + step), step)
                except BaseException as error:
                    added = f" ({self.position - begin:,} rows of the batch were added before)" if self.position > begin else ""
                    self._not_added(error, stream, f"examples {self.position} to {self.position + step - 1}{added}")
                    raise
                start += step
                self.position += step
                self._progress.advance(step)

    def _add_first(self, example: Any, split: str | None) -> None:
        """Adds one of the first examples, which the schema is inferred from."""
        name = self._check_split(split)
        try:
            self._first.add(example, name, self._check_first)
        except (SchemaError, LimitError) as error:
            error.args = (f"example {self.position}: {error}",)
            raise
        self.position += 1
        if self._first.is_complete:
            self._fix_schema()

    def _check_first(self, example: Any, first: FirstExamples) -> None:
        """compression= and icc= must name columns of the first example, and the values of icc= must be comparable."""
        if first and not self._icc:
            return
        schema = first.schema()
        if not first:
            self._options.check_names(schema.names)
            check_names(self._icc or (), schema)
        check_columns(valid_columns(self._icc or (), example, schema), schema)

    def _fix_schema(self) -> None:
        """Infers the schema from the first examples, and writes them: it is the schema of all that follow."""
        if not self._first:
            return
        self._schema = schema = self._first.schema()
        unknown = untyped_columns(self._icc or (), schema)
        if unknown:
            why = f"all {len(self._first):,} first examples have None there, so it cannot be measured"
            warnings.warn(f"{self.path}: icc={unknown}: {why}", RuntimeWarning, stacklevel=4)
            self._icc = tuple(name for name in self._icc or () if name not in unknown)
        for example, split in self._first.release():
            stream = self._streams.get(split) or self._stream(split)
            try:
                stream.add(example)
            except BaseException as error:
                self._not_added(error, stream, "one of the first examples")
                raise

    def _check_names(self, schema: Schema) -> None:
        """Checks that icc= and compression= name columns."""
        check_columns(self._icc or (), schema)
        self._options.check_names(schema.names)

    def _check_split(self, split: Any) -> str | None:
        name = checked_split(split)
        given = {*self._streams, *(split for split, infos in self._output.done.items() if infos), *self._first.splits}
        if given and (name is None) != (None in given):
            raise ValueError("pass split= with every example or with none")
        return name

    def _stream(self, split: str | None) -> ShardWriter:
        assert self._schema is not None
        split = self._check_split(split)
        self._output.begin_stream(split, self._schema)
        self._streams[split] = stream = ShardWriter(
            self._output.target(split),
            self._schema,
            self._options.of_shards(self._schema),
            shard_bytes=self._options.shard_bytes,
            shard_rows=self._options.shard_rows,
            encoders=self._encoders,
            dictionaries=self._dictionaries,
            dictionary_per_shard=self._options.dictionary == "shard",
            icc=self._icc or (),
        )
        return stream

    # --- what is published ---

    def _manifest(self, base: Manifest | None) -> Manifest:
        """Returns the manifest to publish. base: the current one, or None."""
        assert self._schema is not None
        output = self._output
        return appended(output.store, base, self._schema, output.done, output.totals, metadata=self._metadata, icc=self._icc or ())
