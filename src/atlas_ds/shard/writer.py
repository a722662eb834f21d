"""Writes the shards of one sequence of rows, one after another. Knows files and plans; manifests are the dataset's business."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rfc8785

from atlas_ds import _core
from atlas_ds._core.base import Codec, Layout, LeafFlags, LeafKind, PageFlags
from atlas_ds._core.records import DictionaryEntry, IndexEntry, LeafSpec, PageSpec, PageWritten
from atlas_ds._core.write import RowState
from atlas_ds.errors import AtlasError
from atlas_ds.schema.schema import Schema
from atlas_ds.shard.icc import IccAccumulator
from atlas_ds.shard.plan import MAX_BLOCK_BYTES, Options, StoragePlan, make_plan, per_value_level
from atlas_ds.store.local import NewFile

SAMPLE_BYTES = 20 << 20  # rows of this many bytes are waited for before a shard is planned
NO_ROOM = int(RowState.NO_ROOM)  # looked at for each row: comparing a member of an enum takes longer
MAX_BLOCKS = 32 << 20  # of a shard: their index must fit into the footer, which may take 1 GiB
BLOCK_OVERFLOW = 64  # a block of more than this many targets closes the shard: the rows changed since it was planned
PENDING_BYTES = 32 << 20  # bytes of blocks that wait for an encoder at most
TOGETHER_BYTES = 1 << 20  # of blocks that have nothing to compress, which are hashed together: a thread's turn would cost more than one of them
MOST_TOGETHER = 256  # such blocks, where they are small


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """A finished shard, as a manifest names it. path: file name; tail: bytes from the footer to the end; root: 16 hex digits."""

    path: str
    rows: int
    bytes: int
    tail: int
    root: str


class Encoders:
    """Threads that encode blocks; results come back in the order they were asked for."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, "atlas-encode") if workers > 0 else None
        self._idle: list[_core.Encoder] = []

    def submit(self, block: _core.Block) -> Future[list[_core.Block]]:
        if self._pool is not None:
            return self._pool.submit(self.encode, [block])
        done: Future[list[_core.Block]] = Future()
        done.set_result(self.encode([block]))
        return done

    def encode(self, blocks: list[_core.Block]) -> list[_core.Block]:
        try:
            encoder = self._idle.pop()
        except IndexError:
            encoder = _core.Encoder()
        try:
            _core.encode_all(blocks, encoder)
        finally:
            self._idle.append(encoder)
        return blocks

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


class ShardWriter:
    """Rows in, shards out. ordinal() gives each new shard's number; naming(info) is called just before one gets its name,
    published(info) when it has it. mark: of temporary files' names."""

    def __init__(
        self,
        folder: Path,
        schema: Schema,
        options: Options,
        *,
        shard_bytes: int | None,
        shard_rows: int | None,
        encoders: Encoders,
        ordinal: Callable[[], int],
        naming: Callable[[ShardInfo], None],
        published: Callable[[ShardInfo], None],
        mark: str,
        dictionaries: dict[int, bytes],
        dictionary_per_shard: bool,
        icc: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._schema_json = rfc8785.dumps(schema.to_json())
        self._options = options
        self._shard_bytes = shard_bytes
        self._shard_rows = shard_rows
        self._encoders = encoders
        self._ordinal = ordinal
        self._naming = naming
        self._published = published
        self._mark = mark
        self._known = dictionaries
        self._per_shard = dictionary_per_shard
        self._icc = icc
        sample = SAMPLE_BYTES if shard_bytes is None else min(SAMPLE_BYTES, shard_bytes)
        self.builder = _core.RowBuilder(schema, sample)
        self._open: _OpenShard | None = None
        self._failed = False

    def add(self, example: Any) -> None:
        """One example; SchemaError and LimitError leave the writer as it was."""
        self._check()
        state = self.builder.append(example)
        if state == NO_ROOM:
            self.finish_shard()
            state = self.builder.append(example)
        if state or self.builder.rows == self._shard_rows:
            self._advance(state)

    def add_columns(self, leaf_arrays: list[Any], count: int) -> None:
        """count rows at once, as _core.RowBuilder.append_columns takes them."""
        self._check()
        state = self.builder.append_columns(leaf_arrays, count)
        if state == NO_ROOM:
            self._add_in_parts(leaf_arrays, count)
            return
        if state or (self._shard_rows is not None and self.builder.rows >= self._shard_rows):
            self._advance(state)

    def _add_in_parts(self, leaf_arrays: list[Any], count: int) -> None:
        """Rows of which a block cannot hold all: half by half, and the last one in a shard of its own."""
        if count == 1:
            self.finish_shard()
            self.add_columns(leaf_arrays, 1)
            return
        half = count // 2
        for start, stop in ((0, half), (half, count)):
            part = [tuple(one[start:stop] for one in values) if isinstance(values, tuple) else values[start:stop] for values in leaf_arrays]
            self.add_columns(part, stop - start)

    @property
    def rows_left(self) -> int | None:
        """Rows until the shard is full, where it is counted in rows."""
        return None if self._shard_rows is None else self._shard_rows - self.builder.rows

    def _check(self) -> None:
        if self._failed:
            raise AtlasError(f"{self._folder}: an error, or Ctrl-C, came while a shard was written, and its rows are lost; write the dataset anew")

    @property
    def failed(self) -> bool:
        """Whether rows that were taken are lost, so that nothing more can be written."""
        return self._failed

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is done with rows that were taken is done whole, or this writer can do nothing more: some may be lost by then."""
        try:
            yield
        except BaseException:
            self._failed = True
            self.abort()
            raise

    def _advance(self, state: int) -> None:
        with self._whole():
            self._take(state)

    def _take(self, state: int) -> None:
        if self._open is None and (state == RowState.PLANNABLE or self.builder.rows == self._shard_rows):
            self._begin()
        if self._open is not None:
            overflow = self._open.cut_ready()
            full = self.builder.rows == self._shard_rows
            if self._shard_bytes is not None:
                full = self._open.cut_bytes + self.builder.waiting_bytes >= self._shard_bytes
            if overflow or full or self._open.blocks >= MAX_BLOCKS:
                self._finish_shard()

    def _begin(self) -> None:
        known = {} if self._per_shard else self._known
        plan = make_plan(self.builder.leaf_columns, self._options, known)
        for page in plan.pages:
            if page.dictionary and not self._per_shard:
                self._known.setdefault(page.leaf.id, plan.dictionaries[page.dictionary - 1])
        tallies = [IccAccumulator(self._schema[name]) for name in self._icc]
        self._open = _OpenShard(self._folder, self._schema_json, self.builder, plan, self._options, self._ordinal(), self._encoders, tallies, self._mark)

    def finish_shard(self) -> None:
        """Ends the shard that is being written, if it has rows."""
        self._check()
        with self._whole():
            self._finish_shard()

    def _finish_shard(self) -> None:
        if self.builder.rows == 0:
            return
        if self._open is None:
            self._begin()
        assert self._open is not None
        info = self._open.finish(self._naming)
        self._open = None
        self.builder.restart()
        self._published(info)

    def abort(self) -> None:
        """Takes away what has no name yet."""
        if self._open is not None:
            self._open.abort()
            self._open = None


@dataclass(slots=True)
class _Waiting:
    """A block that an encoder has, or some that have nothing to compress and are hashed together, when they are many or another comes behind."""

    size: int
    encoding: Future[list[_core.Block]] | None
    blocks: list[_core.Block] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.size >= TOGETHER_BYTES or len(self.blocks) >= MOST_TOGETHER

    def is_ready(self, waiting: int) -> bool:
        return self.is_full or waiting > 1 if self.encoding is None else self.encoding.done()


class _OpenShard:
    """A shard between its plan and its name."""

    def __init__(
        self,
        folder: Path,
        schema_json: bytes,
        builder: _core.RowBuilder,
        plan: StoragePlan,
        options: Options,
        ordinal: int,
        encoders: Encoders,
        tallies: list[IccAccumulator],
        mark: str,
    ) -> None:
        self._builder = builder
        self._plan = plan
        self._options = options
        self._ordinal = ordinal
        self._encoders = encoders
        self._tallies = tallies
        self._pending: deque[_Waiting] = deque()
        self._pending_bytes = 0
        self.cut_bytes = 0
        self.blocks = 0
        self._index: list[list[IndexEntry]] = [[] for _ in plan.groups]
        self._raw = 0
        self._stats = [_LeafStats() for _ in plan.pages]
        self._light = [all(plan.pages[position].codec == Codec.NONE for position in group) for group in plan.groups]
        overflow = BLOCK_OVERFLOW * options.block_bytes if options.block_rows is None else MAX_BLOCK_BYTES
        builder.plan([list(group) for group in plan.groups], list(plan.rows), min(overflow, MAX_BLOCK_BYTES))
        leaves = [page.leaf for page in plan.pages]
        self._digest = _core.Digest([list(group) for group in plan.groups], [leaf.nullable for leaf in leaves])
        self._nonce = self._make_nonce(schema_json)
        self._layout = _core.layout_bytes(
            [
                LeafSpec(
                    id=page.leaf.id,
                    kind=LeafKind.FIXED if page.leaf.fixed else LeafKind.VARIABLE,
                    group=page.group,
                    dictionary=page.dictionary,
                    flags=(LeafFlags.NULLABLE if page.leaf.nullable else 0) | (LeafFlags.PAGE_CODED if page.whole else 0),
                    width=page.leaf.width,
                )
                for page in plan.pages
            ],
            list(plan.rows),
            schema_json,
        )
        handles = [_core.Dictionary(data, per_value_level(options.level)) for data in plan.dictionaries]
        specs: list[PageSpec] = []
        first: list[int] = []
        for group in plan.groups:
            first.append(len(specs))
            for position in group:
                page = plan.pages[position]
                handle = handles[page.dictionary - 1] if page.dictionary else None
                level = per_value_level(options.level) if page.per_value else options.level
                specs.append(PageSpec(page.leaf, page.codec, page.per_value, page.whole, True, level, page.dictionary, handle))
        self._pages = _core.PageSpecs(specs, first)
        self._file = NewFile(folder, f"{ordinal:05d}", mark)
        try:
            self._write_start()
        except BaseException:
            self._file.discard()
            raise

    def _make_nonce(self, schema_json: bytes) -> int:
        parts = [schema_json, self._ordinal.to_bytes(8, "little")]
        for column in self._builder.leaf_columns:
            data, lengths = column.sample(column.rows)
            parts += [_core.hash128(data), _core.hash128(lengths.tobytes())]
        return _core.hash64(b"".join(parts))

    def _write_start(self) -> None:
        self._header = _core.header_bytes(self._nonce)
        self._file.write(self._header)
        self._write_chunk(b"SCHM", self._layout)
        self._dictionaries: list[DictionaryEntry] = []
        for data in self._plan.dictionaries:
            self._dictionaries.append(DictionaryEntry(self._file.size, len(data), _core.hash128(data)))
            self._write_chunk(b"DICT", data)

    def _write_chunk(self, kind: bytes, body: bytes) -> int:
        chunk, hash = _core.seal_chunk(kind, body, self._nonce, self._file.size)
        self._file.write(chunk)
        return hash

    def cut_ready(self) -> bool:
        """Cuts whole blocks; True if some group outgrew its block, so that the shard must end here."""
        self._cut_in_order(whole=True)
        return any(self._builder.is_full(group) for group in range(len(self._plan.groups)))

    def _cut_in_order(self, *, whole: bool) -> None:
        """Cuts the blocks of all groups in the order of their last rows, so that a file that is cut keeps whole rows. whole: full blocks only."""
        waiting, done = [self._builder.group_rows(group) for group in range(len(self._plan.rows))], list(self._builder.cut_rows)
        for tally in self._tallies:
            position = next(k for k, page in enumerate(self._plan.pages) if page.leaf.id == tally.field.leaves[0])
            group = self._plan.pages[position].group
            if waiting[group] >= self._plan.rows[group] or not whole:
                tally.take(self._builder.leaf_columns[position], done[group])
        while True:
            steps = [min(most, rows) for most, rows in zip(self._plan.rows, waiting, strict=True)]
            ready = [(done[g] + step, g) for g, step in enumerate(steps) if step and (step == self._plan.rows[g] or not whole)]
            if not ready:
                break
            _, group = min(ready)
            self._cut(group, steps[group])
            waiting[group] -= steps[group]
            done[group] += steps[group]
        self._builder.compact()

    def _cut(self, group: int, rows: int) -> None:
        block = self._builder.cut(group, rows, self._pages)
        size = block.waiting
        self.cut_bytes += size
        self.blocks += 1
        self._pending_bytes += size
        last = self._pending[-1] if self._pending else None
        if not self._light[group]:
            self._pending.append(_Waiting(size, self._encoders.submit(block)))
        elif last is None or last.encoding is not None or last.is_full:
            self._pending.append(_Waiting(size, None, [block]))
        else:
            last.blocks.append(block)
            last.size += size
        while self._pending and (self._pending_bytes > PENDING_BYTES or self._pending[0].is_ready(len(self._pending))):
            self._write_next()

    def _write_next(self) -> None:
        waiting = self._pending.popleft()
        self._pending_bytes -= waiting.size
        self._write(waiting.encoding.result() if waiting.encoding is not None else self._encoders.encode(waiting.blocks))

    def _write(self, blocks: list[_core.Block]) -> None:
        self._digest.add(blocks)
        for block in blocks:
            offset = self._file.size
            hash = block.seal(self._nonce, offset)
            self._file.write(block)
            self._index[block.group].append(IndexEntry(offset, block.size, block.raw_bytes, hash))
            self._raw += block.raw_bytes
            pages = zip(self._plan.groups[block.group], block.pages_written(), block.value_bytes(), strict=True)
            for position, written, values in pages:
                self._stats[position].add(written, values)

    def finish(self, naming: Callable[[ShardInfo], None]) -> ShardInfo:
        try:
            return self._finish(naming)
        except BaseException:
            self.abort()
            raise

    def _finish(self, naming: Callable[[ShardInfo], None]) -> ShardInfo:
        rows = self._builder.rows
        self._cut_in_order(whole=False)
        while self._pending:
            self._write_next()
        notes: dict[str, Any] = {"columns": [s.to_json(page.leaf.path, page.why) for s, page in zip(self._stats, self._plan.pages, strict=True)]}
        if self._tallies:
            notes["icc"] = {tally.field.name: tally.finish() for tally in self._tallies}
        stats = json.dumps(notes, sort_keys=True)
        index = [entry for group in self._index for entry in group]
        body = _core.footer_bytes(self._header, rows, self._raw, self._digest.finish(), self._layout, self._dictionaries, index, stats.encode())
        offset = self._file.size
        root = self._write_chunk(b"FOOT", body)
        self._file.write(_core.trailer_bytes(offset, len(body), rows, self._nonce, root))
        name = f"{self._ordinal:05d}-{root:016x}.atlas"
        info = ShardInfo(name, rows, self._file.size, self._file.size - offset, f"{root:016x}")
        naming(info)
        self._file.publish(name)  # over a file of an earlier run: the name says that the bytes are the same, but that one may be damaged
        return info

    def abort(self) -> None:
        for waiting in self._pending:
            if waiting.encoding is not None:
                waiting.encoding.cancel()
        self._file.discard()


class _LeafStats:
    """What was written of one leaf."""

    __slots__ = ("codecs", "layouts", "per_value", "raw", "stored")

    def __init__(self) -> None:
        self.raw = self.stored = self.per_value = 0
        self.layouts: dict[str, int] = {}
        self.codecs: dict[str, int] = {}

    def add(self, page: PageWritten, values: int) -> None:
        layout, codec = Layout(page.layout).name, Codec(page.codec).name.lower()
        self.raw += values
        self.stored += page.stored
        self.layouts[layout] = self.layouts.get(layout, 0) + 1
        self.codecs[codec] = self.codecs.get(codec, 0) + 1
        self.per_value += bool(page.flags & PageFlags.CELLS)

    def to_json(self, path: str, why: str) -> dict[str, Any]:
        sizes = {"raw_bytes": self.raw, "stored_bytes": self.stored}
        return {"cells": self.per_value, "codecs": self.codecs, "layouts": self.layouts, "path": path, "why": why} | sizes
