"""One shard under construction: its blocks and pages, from the plan until its file is published."""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from atlas_ds import _core
from atlas_ds._core.base import Codec, Layout, LeafFlags, LeafKind, PageFlags
from atlas_ds._core.records import DictionaryEntry, IndexEntry, LeafSpec, PageSpec, PageWritten
from atlas_ds.shard.coding import ShardOptions
from atlas_ds.shard.encoders import Encoders
from atlas_ds.shard.icc import IccAccumulator
from atlas_ds.shard.info import ShardInfo, ShardTarget, chunk_of
from atlas_ds.shard.plan import MAX_BLOCK_BYTES, StoragePlan
from atlas_ds.store.store import FileInfo

BLOCK_OVERFLOW = 64  # a block of more than this many targets closes the shard: the rows changed since it was planned
PENDING_BYTES = 32 << 20  # bytes of blocks that wait for an encoder at most
JOINT_BYTES = 1 << 20  # of blocks without compression, which are hashed in one task: switching threads costs more than one of them
MAX_JOINT_BLOCKS = 256  # such blocks, where they are small


@dataclass(slots=True)
class _Pending:
    """A block that is being encoded, or several without compression that are hashed in one task, once they are many or another block follows."""

    size: int
    encoding: Future[list[_core.Block]] | None
    blocks: list[_core.Block] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.size >= JOINT_BYTES or len(self.blocks) >= MAX_JOINT_BLOCKS

    def is_ready(self, waiting: int) -> bool:
        return self.is_full or waiting > 1 if self.encoding is None else self.encoding.done()


class Sent(NamedTuple):
    """A shard that is being published: what a manifest says of it, its notes, and when it is there."""

    info: ShardInfo
    notes: dict[str, Any]
    done: Future[FileInfo]


class ShardBuild:
    """A shard that is planned and not yet published."""

    def __init__(
        self,
        target: ShardTarget,
        schema_json: bytes,
        builder: _core.RowBuilder,
        plan: StoragePlan,
        options: ShardOptions,
        encoders: Encoders,
        accumulators: list[IccAccumulator],
    ) -> None:
        self._builder = builder
        self._plan = plan
        self._options = options
        self._target = target
        self._ordinal = target.ordinal()
        self._encoders = encoders
        self._accumulators = accumulators
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self.cut_bytes = 0
        self.blocks = 0
        self._index: list[list[IndexEntry]] = [[] for _ in plan.groups]
        self._raw = 0
        self._stats = [_LeafStats() for _ in plan.pages]
        self._light = [all(plan.pages[position].coding.codec == Codec.NONE for position in group) for group in plan.groups]
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
                    flags=(LeafFlags.NULLABLE if page.leaf.nullable else 0) | (LeafFlags.PAGE_CODED if page.coding.per_page else 0),
                    width=page.leaf.width,
                )
                for page in plan.pages
            ],
            list(plan.rows),
            schema_json,
        )
        handles: dict[tuple[int, int], _core.Dictionary] = {}
        specs: list[PageSpec] = []
        first: list[int] = []
        for group in plan.groups:
            first.append(len(specs))
            for position in group:
                page = plan.pages[position]
                key = page.dictionary, page.coding.level
                if page.dictionary and key not in handles:
                    handles[key] = _core.Dictionary(plan.dictionaries[page.dictionary - 1], page.coding.level)
                specs.append(page.coding.spec(page.leaf, page.dictionary, handles.get(key)))
        self._pages = _core.PageSpecs(specs, first)
        self._file = target.store.new_file(target.label(self._ordinal), target.mark)
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
        """Cuts full blocks; returns True if a group outgrew its block, so that the shard must end here."""
        self._cut_in_order(full=True)
        return any(self._builder.is_full(group) for group in range(len(self._plan.groups)))

    def _cut_in_order(self, *, full: bool) -> None:
        """Cuts the blocks of all groups in the order of their last rows, so that a truncated file keeps complete rows. full: only full blocks."""
        waiting, done = [self._builder.group_rows(group) for group in range(len(self._plan.rows))], list(self._builder.cut_rows)
        for accumulator in self._accumulators:
            position = next(k for k, page in enumerate(self._plan.pages) if page.leaf.id == accumulator.field.leaves[0])
            group = self._plan.pages[position].group
            if waiting[group] >= self._plan.rows[group] or not full:
                accumulator.add_rows(self._builder.leaf_columns[position], done[group])
        while True:
            steps = [min(most, rows) for most, rows in zip(self._plan.rows, waiting, strict=True)]
            ready = [(done[g] + step, g) for g, step in enumerate(steps) if step and (step == self._plan.rows[g] or not full)]
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
            self._pending.append(_Pending(size, self._encoders.submit(block)))
        elif last is None or last.encoding is not None or last.is_full:
            self._pending.append(_Pending(size, None, [block]))
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

    def finish(self) -> Sent:
        """Publishes the shard."""
        try:
            return self._finish()
        except BaseException:
            self.abort()
            raise

    def _finish(self) -> Sent:
        rows = self._builder.rows
        self._cut_in_order(full=False)
        while self._pending:
            self._write_next()
        notes: dict[str, Any] = {"columns": [s.to_json(page.leaf.path, page.coding.why) for s, page in zip(self._stats, self._plan.pages, strict=True)]}
        if self._accumulators:
            notes["icc"] = {accumulator.field.name: accumulator.finish() for accumulator in self._accumulators}
        stats = json.dumps(notes, sort_keys=True)
        index = [entry for group in self._index for entry in group]
        body = _core.footer_bytes(self._header, rows, self._raw, self._digest.finish(), self._layout, self._dictionaries, index, stats.encode())
        offset = self._file.size
        root = self._write_chunk(b"FOOT", body)
        self._file.write(_core.trailer_bytes(offset, len(body), rows, self._nonce, root))
        root_text = f"{root:016x}"
        name = self._target.name(self._ordinal, root_text)
        chunk = chunk_of((self._plan.rows[page.group], page.coding.per_page) for page in self._plan.pages)
        info = ShardInfo(name, rows, self._file.size, self._file.size - offset, root_text, self._raw, chunk)
        self._target.before_publish(info)
        done = self._file.publish(name)  # replaces a file of an earlier run, which has the same bytes by its name but may be damaged
        return Sent(info, {"icc": {}} | notes, done)

    def abort(self) -> None:
        for waiting in self._pending:
            if waiting.encoding is not None:
                waiting.encoding.cancel()
        self._file.discard()


class _LeafStats:
    """Statistics of one leaf: what was written of it."""

    __slots__ = ("cells", "codecs", "layouts", "raw", "stored")

    def __init__(self) -> None:
        self.raw = self.stored = self.cells = 0
        self.layouts: dict[str, int] = {}
        self.codecs: dict[str, int] = {}

    def add(self, page: PageWritten, values: int) -> None:
        layout, codec = Layout(page.layout).name, Codec(page.codec).name.lower()
        self.raw += values
        self.stored += page.stored
        self.layouts[layout] = self.layouts.get(layout, 0) + 1
        self.codecs[codec] = self.codecs.get(codec, 0) + 1
        self.cells += bool(page.flags & PageFlags.CELLS)

    def to_json(self, path: str, why: str) -> dict[str, Any]:
        sizes = {"raw_bytes": self.raw, "stored_bytes": self.stored}
        return {"cells": self.cells, "codecs": self.codecs, "layouts": self.layouts, "path": path, "why": why} | sizes
