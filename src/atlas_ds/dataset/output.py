"""The store of a writer: acquires it, keeps track of finished shards, then publishes them, leaves them to a writer that resumes, or removes them.

It knows no examples.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from atlas_ds.dataset.commit import Current, put_manifest, read_current, shard_names
from atlas_ds.dataset.journal import (
    HEAD_BYTES,
    FoundJournal,
    Head,
    Journal,
    damaged,
    first_ordinal,
    journals,
    named_elsewhere,
    named_twice,
    refuse_busy,
    shard_line,
    sweep,
    to_lines,
)
from atlas_ds.dataset.manifest import Manifest, digest, parse_manifest, roots_digest
from atlas_ds.dataset.names import MANIFEST, SUFFIX, ordinal_of, shard_label, shard_name
from atlas_ds.dataset.resuming import check_resumable, intact_shards
from atlas_ds.errors import AtlasError, CommitConflict, CorruptError, DatasetChanged, StoreError
from atlas_ds.schema.schema import Schema, schema_from_json
from atlas_ds.shard.info import ShardInfo, ShardTarget
from atlas_ds.shard.totals import Totals, shard_totals
from atlas_ds.store.files import reword
from atlas_ds.store.owner import new_token, this_process
from atlas_ds.store.store import Store, place_of
from atlas_ds.text import printable

RESUME = "continue with resume=True (writer.position is the number of examples that are safe), or start over with overwrite=True"
MAX_REBASES = 10  # of an append whose store has no lock, while others publish
PAUSE = 0.02  # seconds before the first of them at most; it doubles


class Output:
    """The store that a writer has acquired.

    place: how errors name it. done: finished shards by split. totals: what their notes add up to, by split. base: the manifest that is added
    to. current: the bytes of the current manifest. schema: of the shards that are resumed.
    """

    def __init__(self, store: Store, mode: str, resume: bool, options: dict[str, Any], progress: bool) -> None:
        self.store, self.place, self.mode, self.pid = store, place_of(store), mode, os.getpid()
        self.done: dict[str | None, list[ShardInfo]] = {}
        self.totals: dict[str | None, Totals] = {}
        self.base: Manifest | None = None
        self.schema: Schema | None = None
        self.journal: Journal
        self._mine: set[str] = set()  # names of shards of this writer, and of the one that it resumes
        self._data: bytes | None = None  # of the manifest that is to be published
        self._schema_noted = False
        self._made = store.create()
        try:
            with store.lock():
                stopped = self._acquire(resume, options)
        except BaseException:
            if self._made:
                store.remove_if_empty()
            raise
        self.resumed = stopped is not None
        if stopped is not None:
            self._keep_finished(stopped, progress)

    @property
    def rows(self) -> int:
        """Rows in finished shards."""
        return sum(info.rows for infos in self.done.values() for info in infos)

    # --- acquiring the store ---

    def _acquire(self, resume: bool, options: dict[str, Any]) -> FoundJournal | None:
        """Call it under the lock. Returns the journal that is resumed, if one is."""
        self.current = read_current(self.store).data
        found = journals(self.store)
        alone = self.mode != "append" or resume
        if self.current is not None and self.mode == "create" and not resume:
            cure = "pass append=True to add to it, overwrite=True to replace it, or choose another folder"
            raise FileExistsError(f"{self.place}: a dataset already exists; {cure}")
        refuse_busy(self.store, found, alone=alone)
        if self.current is None and has_strangers(self.store):
            raise FileExistsError(f"{self.place}: the folder has other files and no dataset: choose a new or empty folder")
        found = self._without_published(found)
        stopped = self._choose(found) if resume else None
        if resume and stopped is None and self.current is not None:
            self.mode = "append"
        if stopped is not None:
            assert stopped.head is not None
            self.mode = stopped.head.mode
        self._read_base()
        if stopped is not None:
            self._adopt(stopped, options)
        kept = named_twice(self.store, found)
        for one in found:
            if one is not stopped and not one.at_work and (self.mode != "append" or not one.shards):
                sweep(self.store, one, kept)
        if stopped is None:
            self.next_ordinal = first_ordinal(found, len(self.base.shards) if self.base else 0, far=self.store.far and self.mode == "append")
            self._head = Head(this_process(), new_token(), self.mode, alone, self.next_ordinal, self._base_mark(), options)
            self.journal = Journal(self.store, self._head)
        return stopped

    def _without_published(self, found: Sequence[FoundJournal]) -> list[FoundJournal]:
        """Removes journals that are no longer needed: of writers that were stopped after they published, or before they began."""
        try:
            published = {shard.path for shard in parse_manifest(self.current, "").shards} if self.current is not None else set()
        except AtlasError:  # the shards that it named are unknown
            return list(found)
        kept = []
        for one in found:
            names = {info.path for _, info in one.shards}
            replaces = one.head is not None and one.head.mode == "overwrite" and self.current is not None and one.head.base == digest(self.current)
            if one.head is None or (names and names <= published and not one.at_work and not replaces):
                sweep(self.store, one, published.__contains__)
            else:
                kept.append(one)
        return kept

    def _choose(self, found: Sequence[FoundJournal]) -> FoundJournal | None:
        """Returns the journal to resume: the one with finished shards, else any."""
        chosen = [one for one in found if one.shards] or list(found[-1:])
        if len(chosen) > 1:
            names = ", ".join(f"{one.name} ({sum(info.rows for _, info in one.shards):,} rows)" for one in chosen)
            raise AtlasError(f"{self.place}: several writers were stopped here, and only one can be resumed: {names}; move the journals of the others away")
        return chosen[0] if chosen else None

    def _read_base(self) -> None:
        """Reads the dataset that is added to."""
        if self.mode == "append" and self.current is not None:
            self.base = parse_manifest(self.current, place_of(self.store, MANIFEST))
            self._old = {shard.path for shard in self.base.shards}
        else:
            self._old = shard_names(self.store, self.current)

    def _base_mark(self) -> str | None:
        """Identifies what a resumed writer must find unchanged: the shards that it adds to, or the manifest that it replaces."""
        if self.mode == "append":
            return f"{len(self.base.shards)}:{roots_digest(self.base.shards)}" if self.base is not None else None
        return digest(self.current) if self.current is not None else None

    def _has(self, mark: str | None) -> bool:
        """Whether what a mark of _base_mark identifies still exists; others may have appended to it."""
        if self.mode != "append" or mark is None:
            return self.mode == "append" or mark == self._base_mark()
        count, _, shards = mark.partition(":")
        return self.base is not None and count.isdecimal() and len(self.base.shards) >= int(count) and roots_digest(self.base.shards[: int(count)]) == shards

    # --- resuming ---

    def _adopt(self, stopped: FoundJournal, options: dict[str, Any]) -> None:
        """Makes the journal of a stopped writer the one of this writer, if their options agree."""
        check_resumable(stopped, options)
        head = stopped.head
        assert head is not None
        if not self._has(head.base):
            raise CommitConflict(
                f"{self.place}: the dataset was replaced after the writer to be resumed was stopped: write again without resume; "
                f"the rows that it finished are in the shards that {stopped.name} names, which can be opened one by one"
            )
        if self.base is not None and not self._old.isdisjoint(info.path for _, info in stopped.shards):
            raise damaged(stopped.place, 1, "is followed by shards that the dataset already has")
        self._head = Head(this_process(), head.token, head.mode, True, head.first, head.base, options)
        self.journal = Journal(self.store, self._head, [line for line in stopped.lines if "left" not in line], stopped.name)
        self.store.remove_unfinished(head.token)
        self._mine = {info.path for _, info in stopped.shards}

    def _keep_finished(self, stopped: FoundJournal, progress: bool) -> None:
        """Verifies the finished shards of the stopped writer, without the lock: it may take as long as reading them."""
        try:
            kept = intact_shards(self.store, stopped, progress)
            self.schema = schema_from_json(stopped.schema, where=stopped.place) if kept else None
            if len(kept) < len(stopped.shards) or not kept:
                with self.store.lock():
                    self.store.delete(self._mine - {info.path for _, info, _ in kept} - self._old)
                    lines = [line for line in stopped.lines if "stream" in line or ("schema" in line and kept)]
                    lines += [shard_line(split, info) for split, info, _ in kept]
                    self.journal.close()
                    self.journal = Journal(self.store, self._head, lines, stopped.name)
        except BaseException:
            self.journal.leave()
            raise
        self._schema_noted = self.schema is not None
        self.done = {split: [] for split in stopped.streams}
        for split, info, totals in kept:
            self.done.setdefault(split, []).append(info)
            self._add_totals(split, totals)
        self.next_ordinal = max([self._head.first, *(ordinal_of(info.path) + 1 for _, info, _ in kept)])

    # --- finished shards ---

    def target(self, split: str | None) -> ShardTarget:
        """Where the shards of a split go."""
        return ShardTarget(
            self.store,
            self.journal.head.token,
            self.next_number,
            shard_label,
            shard_name,
            partial(self.note_shard, split),
            partial(self.add_shard, split),
        )

    def next_number(self) -> int:
        self.next_ordinal += 1
        return self.next_ordinal - 1

    def begin_stream(self, split: str | None, schema: Schema) -> None:
        lines: list[Any] = [] if self._schema_noted else [{"schema": schema.to_json()}]
        if split not in self.done:
            self.done[split] = []
            if split is not None:
                lines.append({"stream": split})
        if lines:
            self.journal.note(*lines)
        self._schema_noted = True

    def note_shard(self, split: str | None, info: ShardInfo) -> None:
        """Notes a complete shard that is about to be renamed into place."""
        self._mine.add(info.path)
        self.journal.note(shard_line(split, info))

    def add_shard(self, split: str | None, info: ShardInfo, notes: dict[str, Any]) -> None:
        """Adds a published shard."""
        self.done[split].append(info)
        self._add_totals(split, shard_totals(info, notes))
        self.journal.sync()

    def _add_totals(self, split: str | None, more: Totals) -> None:
        if split in self.totals:
            self.totals[split].add(more)
        else:
            self.totals[split] = more

    # --- the end ---

    def publish(self, make: Callable[[Manifest | None], Manifest]) -> None:
        """Atomically publishes make(base), where base is the manifest that is added to, or a newer one if it can be added to."""
        for attempt in range(MAX_REBASES + 1):
            with self.store.lock():
                self._check_files()
                now = read_current(self.store)
                if attempt and self._is_in(now.data):  # by a request whose answer was lost; another writer has added to it since
                    self._data = now.data
                    self.journal.remove()
                    return
                if now.data != self.current:
                    self.base, self.current = self._newer(now.data, attempt), now.data
                self._data = make(self.base).dumps()
                try:
                    self._put(now, self._data)
                except CommitConflict:
                    if attempt == MAX_REBASES:
                        raise
                    time.sleep(random.uniform(0, PAUSE * 2**attempt))
                    continue  # the store has no lock, and another writer was faster
                if self.mode == "overwrite" and not self.store.far:
                    self.store.delete(self._old - {info.path for infos in self.done.values() for info in infos})
                self.journal.remove()
                return

    def _is_in(self, now: bytes | None) -> bool:
        """Whether all shards of this writer are in a manifest. Nobody else has their names."""
        mine = {info.path for infos in self.done.values() for info in infos}
        return bool(mine) and now is not None and mine <= shard_names(self.store, now)

    def _put(self, now: Current, data: bytes) -> None:
        """Replaces the manifest that was read: the only place where the dataset of a writer changes."""
        put_manifest(self.store, data, expected=now.version, mark=self.journal.head.token)

    def _check_files(self) -> None:
        """DatasetChanged if the place, or a shard in it, was removed while the writer was open."""
        if self.store.far:
            self.journal.sync()  # it may have been taken over while this process slept
        if not self._owns():
            if self.store.far:
                why = "another writer has taken over what this one was writing, or removed its journal"
                raise CommitConflict(f"{self.place}: {why}: write again with resume=True")
            why = "the folder was removed or replaced while it was written to, so nothing was published"
            raise DatasetChanged(f"{self.place}: {why}: write the dataset again")
        there = {file.name: file.size for file in self.store.list()} if self.store.far else None  # in one step
        for info in (info for infos in self.done.values() for info in infos):
            if not self.store.is_plain(info.path, info.bytes) if there is None else there.get(info.path) != info.bytes:
                why = "this finished shard was removed or changed by another process: write again with resume=True"
                raise DatasetChanged(f"{place_of(self.store, info.path)}: {why}")

    def _newer(self, now: bytes | None, attempt: int) -> Manifest:
        """Returns the manifest that another writer published, if the shards of this one can be appended to it."""
        where = place_of(self.store, MANIFEST)
        if self.mode != "append" or now is None or (attempt and self.resumed):
            what = "removed the dataset" if now is None else "published a dataset here"
            raise CommitConflict(f"{where}: another writer {what} while this one was writing: inspect the current dataset, then write again")
        return parse_manifest(now, where)

    @property
    def is_published(self) -> bool:
        """Whether readers see the manifest of publish, even if publish failed."""
        try:
            return self._data is not None and read_current(self.store).data == self._data
        except OSError:
            return False

    def release(self) -> None:
        """Releases the folder to others. Shards that a later writer can resume with are kept."""
        if self.rows and not self.is_published:
            self.journal.leave()
        elif self.is_own:
            self.journal.remove()
        if self._made and not self.rows:
            self.store.remove_if_empty()

    def leave(self) -> None:
        """Releases the folder: finished shards are kept for a writer that resumes; without any, everything is removed."""
        if self.rows:
            self.journal.leave()
        else:
            self.discard()

    def discard(self) -> None:
        """Removes what was written, and releases the folder."""
        try:
            with contextlib.suppress(FileNotFoundError), self.store.lock():
                if self.is_own:
                    kept = self._old | named_elsewhere(self.store, journals(self.store), but=self.journal.name)
                    if self._data is None or not self.store.far:  # a manifest whose fate is unknown may still be published
                        self.store.delete(self._mine - kept)
                    self.store.remove_unfinished(self.journal.head.token)
                    self.journal.remove()
        finally:
            self.journal.close()
        if self._made:
            self.store.remove_if_empty()

    @property
    def is_own(self) -> bool:
        """Whether the journal certainly belongs to this writer still: another may have resumed it."""
        try:
            return self._owns()
        except StoreError:
            return False

    def _owns(self) -> bool:
        """StoreError if the store cannot be asked."""
        name = self.journal.name
        try:
            if not self.store.is_plain(name):
                return False
            with self.store.stream(name) as file:
                return file.readline(HEAD_BYTES) == to_lines(self.journal.head.to_json())  # who resumes keeps the token, not the owner
        except StoreError:
            raise
        except (OSError, CorruptError):
            return False


def has_strangers(store: Store) -> bool:
    """Whether a store has files that no writer made: no new dataset is written there."""
    return any(name[0] != "." and not name.rstrip("/").endswith(SUFFIX) for name in store.entries())


def append_to_message(error: BaseException, text: str) -> None:
    """Appends to the message of an error, in place."""
    if isinstance(error, OSError) and error.errno is not None:
        reword(error, f"{error.strerror}; {text}")
    elif isinstance(error, AtlasError) and len(error.args) == 1:
        error.args = (f"{error.args[0]}; {text}",)
    else:
        error.add_note(printable(text))
