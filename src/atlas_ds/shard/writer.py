"""Writes the shards of one sequence of rows, one after another. It knows files and plans, not manifests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from atlas_ds import _core
from atlas_ds._core.write import RowState
from atlas_ds.errors import AtlasError
from atlas_ds.schema.schema import Schema
from atlas_ds.shard.build import Sent, ShardBuild
from atlas_ds.shard.coding import ShardOptions
from atlas_ds.shard.encoders import Encoders
from atlas_ds.shard.icc import IccAccumulator
from atlas_ds.shard.info import ShardTarget
from atlas_ds.shard.plan import make_plan
from atlas_ds.store.store import place_of

SAMPLE_BYTES = 20 << 20  # of rows that are collected before a shard is planned
NO_ROOM = int(RowState.NO_ROOM)  # looked at for each row: comparing a member of an enum takes longer
MAX_BLOCKS = 32 << 20  # of a shard: their index must fit into the footer, which may take 1 GiB


class ShardWriter:
    """Writes rows to shards. shard_bytes, shard_rows: a shard ends there; one of them is None."""

    def __init__(
        self,
        target: ShardTarget,
        schema: Schema,
        options: ShardOptions,
        *,
        shard_bytes: int | None,
        shard_rows: int | None,
        encoders: Encoders,
        dictionaries: dict[int, bytes],
        dictionary_per_shard: bool,
        icc: Sequence[str] = (),
    ) -> None:
        self._target = target
        self._schema = schema
        self._schema_json = schema.dumps()
        self._options = options
        self._shard_bytes = shard_bytes
        self._shard_rows = shard_rows
        self._encoders = encoders
        self._known = dictionaries
        self._per_shard = dictionary_per_shard
        self._icc = icc
        sample = SAMPLE_BYTES if shard_bytes is None else min(SAMPLE_BYTES, shard_bytes)
        self.builder = _core.RowBuilder(schema, sample)
        self._open: ShardBuild | None = None
        self._sent: deque[Sent] = deque()
        self._failed = False

    def add(self, example: Any) -> None:
        """Adds one example. SchemaError and LimitError leave the writer unchanged."""
        self._check()
        state = self.builder.append(example)
        if state == NO_ROOM:
            self.finish_shard()
            state = self.builder.append(example)
        if state or self.builder.rows == self._shard_rows:
            self._advance(state)

    def add_columns(self, leaf_arrays: list[Any], count: int) -> None:
        """Adds `count` rows, in the form of _core.RowBuilder.append_columns."""
        self._check()
        state = self.builder.append_columns(leaf_arrays, count)
        if state == NO_ROOM:
            self._add_in_parts(leaf_arrays, count)
            return
        if state or (self._shard_rows is not None and self.builder.rows >= self._shard_rows):
            self._advance(state)

    def _add_in_parts(self, leaf_arrays: list[Any], count: int) -> None:
        """Adds rows that do not fit into one block: half by half, at last one row in a shard of its own."""
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
            raise AtlasError(f"{place_of(self._target.store)}: writing a shard was interrupted and its rows were lost; write the dataset again")

    @property
    def failed(self) -> bool:
        """Whether accepted rows were lost, so that nothing more can be written."""
        return self._failed

    @property
    def is_unused(self) -> bool:
        """Whether it has no rows that are not published yet: neither collected, nor in a shard on its way."""
        return not self.builder.rows and not self._sent

    @contextmanager
    def _all_or_fail(self) -> Iterator[None]:
        """Marks this writer as failed if an error interrupts what is done with accepted rows: some of them may be lost."""
        try:
            yield
        except BaseException:
            self._failed = True
            self.abort()
            raise

    def _advance(self, state: int) -> None:
        with self._all_or_fail():
            self._cut_and_finish(state)

    def _cut_and_finish(self, state: int) -> None:
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
        accumulators = [IccAccumulator(self._schema[name]) for name in self._icc]
        self._open = ShardBuild(self._target, self._schema_json, self.builder, plan, self._options, self._encoders, accumulators)

    def finish_shard(self) -> None:
        """Finishes the current shard, if it has rows."""
        self._check()
        with self._all_or_fail():
            self._finish_shard()

    def _finish_shard(self) -> None:
        if self.builder.rows == 0:
            return
        if self._open is None:
            self._begin()
        assert self._open is not None
        self._sent.append(self._open.finish())
        self._open = None
        self.builder.restart()
        self._settle(wait=False)

    def _settle(self, *, wait: bool) -> None:
        """Adds the shards that were published, in their order."""
        while self._sent and (wait or self._sent[0].done.done()):
            shard = self._sent.popleft()
            shard.done.result()
            self._target.after_publish(shard.info, shard.notes)

    def wait(self) -> None:
        """Waits until all finished shards are published."""
        with self._all_or_fail():
            self._settle(wait=True)

    def abort(self) -> None:
        """Removes the unpublished shard."""
        if self._open is not None:
            self._open.abort()
            self._open = None
