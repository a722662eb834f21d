"""The journal of a writer: its owner, its options, and its finished shards. It tells other writers that one is active, and lets a later one resume.

It does not know which manifest is published.

One JSON value a line: the head, {"schema": ...} once it is known, {"stream": split} for each sequence of rows, {"shard": ..., "split": ...} for each
shard, just before it is renamed into place, and {"left": true} when a writer leaves without publishing. A crash may truncate the last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atlas_ds._core.base import MAX_BLOCK_ROWS
from atlas_ds.dataset.commit import read_current, shard_names
from atlas_ds.dataset.metadata import MAX_INTEGER
from atlas_ds.dataset.names import is_journal, journal_name, parse_shard_name
from atlas_ds.dataset.options import checked_split
from atlas_ds.errors import CommitConflict, CorruptError, WriterBusy
from atlas_ds.shard.info import ShardInfo
from atlas_ds.store.owner import Owner, has_ended, is_near, new_token, owner_from_json, this_process
from atlas_ds.store.store import Store, place_of

TOKEN = re.compile(r"[0-9a-f]{16}")
BASE = re.compile(r"([0-9]{1,15}:)?[0-9a-f]{32}")  # a digest, with the number of shards that were appended to
MAX_BYTES = 256 << 20  # of a journal: a million shards
HEAD_BYTES = 1 << 20
HEAD_START = b'{"token": "'
MAX_ORDINAL = 10**14  # of a shard that is resumed: the names of later ones have room, too
STRIDE = 1_000_000  # between the first ordinals of writers that append at the same time
MODES = ("create", "append", "overwrite")


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a journal.

    mode: one of MODES. alone: whether no other writer may append at the same time. first: ordinal of the first shard. base: digest of the
    dataset before, None if there was none. options: those that change the bytes of shards. locks: whether the writer holds the flock of the
    journal while it is active.
    """

    owner: Owner
    token: str
    mode: str
    alone: bool
    first: int
    base: str | None
    options: dict[str, Any]
    locks: bool = True

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "owner"} | {"owner": self.owner.to_json()}


@dataclass(frozen=True, slots=True)
class FoundJournal:
    """A journal that was found.

    place: how errors name it. head: None if a crash left none. lines: those after it. at_work: whether its writer may be active.
    """

    name: str
    place: str
    head: Head | None
    lines: list[Any]
    at_work: bool

    @property
    def shards(self) -> list[tuple[str | None, ShardInfo]]:
        """(split, shard), in the order in which they were finished."""
        return [(line["split"], ShardInfo(**line["shard"])) for line in self.lines if "shard" in line]

    @property
    def schema(self) -> Any:
        return next((line["schema"] for line in self.lines if "schema" in line), None)

    @property
    def streams(self) -> list[str | None]:
        return [line["stream"] for line in self.lines if "stream" in line]


class Journal:
    """The journal of an active writer. It is held, if the store can tell, until it is closed."""

    def __init__(self, store: Store, head: Head, lines: Iterable[Any] = (), name: str | None = None) -> None:
        """Call it under the lock of the store. name: of the journal that this one replaces, which is resumed."""
        self.store, self.head = store, head
        self.name = name if name is not None else journal_name(None if head.alone else head.token)
        lines = list(lines)

        def begin(held: bool) -> bytes:
            if not held:
                self.head = replace(head, locks=False)
            return to_lines(self.head.to_json(), *lines)

        self._log = store.new_log(self.name, begin, head.token)
        self._closed = False

    def note(self, *lines: Any) -> None:
        """Appends lines, which are not synced to disk yet."""
        self._log.append(to_lines(*lines))

    def sync(self) -> None:
        self._log.sync()

    def leave(self) -> None:
        """The writer leaves without publishing: another one can resume with its finished shards."""
        if not self._closed:
            with contextlib.suppress(OSError, CommitConflict):  # on a full disk; the end of the process, or of its lock, says the same
                self.note({"left": True})
            self.close()

    def remove(self) -> None:
        try:
            self.store.delete([self.name])
        finally:
            self.close()

    def close(self) -> None:
        self._closed = True
        self._log.close()


def shard_line(split: str | None, info: ShardInfo) -> dict[str, Any]:
    return {"shard": info._asdict(), "split": split}


def to_lines(*items: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


# --- reading what others left ---


def journals(store: Store) -> list[FoundJournal]:
    """Reads all journals of a store, by name. Call it under its lock. Other files with similar names are ignored."""
    return [_read(store, name) for name in sorted(entry.removesuffix("/") for entry in store.entries()) if is_journal(name)]


def _read(store: Store, name: str) -> FoundJournal:
    place = place_of(store, name)
    head, lines = _parse(store, name)
    if head is None:
        return FoundJournal(name, place, None, [], False)  # truncated by a crash of the machine before anything was finished
    if _at_work(store, name, head, lines):
        return FoundJournal(name, place, head, lines, True)
    return FoundJournal(name, place, *_parse(store, name), False)  # read again: its writer may have finished shards, and ended, in between


def _parse(store: Store, name: str) -> tuple[Head | None, list[Any]]:
    place = place_of(store, name)
    try:
        data, _ = store.read(name, limit=MAX_BYTES, follow=False)
    except FileNotFoundError:
        return None, []  # its writer has just removed it
    except OSError as error:
        raise CorruptError(f"{place}: the journal of a writer cannot be read: {error.strerror}") from error
    if b"\n" not in data and not data.strip(b"\0"):
        return None, []
    if b"\n" not in data and data[: len(HEAD_START)] == HEAD_START[: len(data)]:
        return None, []
    first, *rest = data.split(b"\n")
    return _head(first, name, place), list(_lines(rest, place))


def _head(line: bytes, name: str, place: str) -> Head:
    try:
        item = json.loads(line)
        owner = owner_from_json(item.pop("owner"))
        head = Head(owner=owner, **item)
        good = is_text(head.token, TOKEN) and head.mode in MODES and type(head.alone) is bool and type(head.locks) is bool
        good = good and name in (journal_name(None), journal_name(head.token)) and isinstance(head.options, dict)
        if good and type(head.first) is int and 0 <= head.first < MAX_ORDINAL and (head.base is None or is_text(head.base, BASE)):
            return head
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise damaged(place, 1, "is not the header of a writer's journal")


def is_text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _lines(rest: Sequence[bytes], place: str) -> Iterable[Any]:
    """Yields every line, checked; the last may be truncated."""
    for number, line in enumerate(rest, 2):
        if number == len(rest) + 1:
            return  # what follows the last line feed
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(rest):
                return  # a failed write, and the line that said so
            raise damaged(place, number, "is not JSON") from None
        why = _wrong(item)
        if why:
            raise damaged(place, number, why)
        yield item


def _wrong(item: Any) -> str:
    """Describes what is wrong with a line after the head, "" if nothing."""
    if not isinstance(item, dict) or item.keys() not in ({"schema"}, {"stream"}, {"shard", "split"}, {"left"}):
        return "is not an entry of a known kind (schema, stream, shard or left)"
    try:
        checked_split(item.get("split", item.get("stream")))
    except ValueError:
        return "names a split that is not text"
    if "shard" not in item:
        return ""
    shard = item["shard"]
    if not isinstance(shard, dict) or shard.keys() != set(ShardInfo._fields):
        return "does not describe a shard by path, rows, bytes, tail, root, raw and chunk"
    if not isinstance(shard["path"], str) or (named := parse_shard_name(shard["path"])) is None:
        return f"path {str(shard['path'])[:80]!r} is not a shard's name"
    if named.ordinal >= MAX_ORDINAL:
        return "names a shard whose number is too large"
    if not all(type(shard[name]) is int and 0 < shard[name] <= MAX_INTEGER for name in ("rows", "bytes", "tail")):
        return "rows, bytes or tail is not a positive integer"
    if type(shard["raw"]) is not int or not 0 <= shard["raw"] <= MAX_INTEGER:
        return "raw is not a number of bytes"
    if type(shard["chunk"]) is not int or not 1 <= shard["chunk"] <= MAX_BLOCK_ROWS:
        return f"chunk is not an integer from 1 to {MAX_BLOCK_ROWS}"
    return "" if shard["root"] == named.root else "root does not match the shard's name"


def damaged(place: str, line: int, why: str) -> CorruptError:
    cure = "move the journal away and write again (the shards it names stay in the folder, and can be opened one by one)"
    return CorruptError(f"{place}: line {line} {why}: the file was edited or damaged; {cure}")


def _at_work(store: Store, name: str, head: Head, lines: Sequence[Any]) -> bool:
    """Whether the writer of a journal may be active: False only if it certainly is not."""
    if lines and "left" in lines[-1]:
        return False
    near = is_near(head.owner)
    if near and has_ended(head.owner.pid, head.owner.started):
        return False
    try:
        held = store.is_held(name) if head.locks else None
    except FileNotFoundError:  # its writer has just removed it
        return False
    if held is None:
        return True  # there is no lock, and the process is not known to have ended
    return held or not (near or store.sees_every_holder() or head.owner.host == this_process().host)


# --- what to do about them ---


def refuse_busy(store: Store, found: Sequence[FoundJournal], *, alone: bool) -> None:
    """WriterBusy if an active writer excludes this one. Only writers that append can be active at the same time."""
    for one in found:
        if one.at_work and one.head is not None and (alone or one.head.alone):
            here = " (this process)" if is_near(one.head.owner) and one.head.owner.pid == os.getpid() else ""
            who = f"{one.head.owner}{here}, mode {one.head.mode}"
            raise WriterBusy(
                f"{place_of(store)}: another writer is active here: {who}; wait until it has ended, or close it. "
                f"If you are certain that its process is gone, delete {one.name} in this folder"
            )


@contextlib.contextmanager
def exclusive(store: Store) -> Iterator[Journal]:
    """Holds a store exclusively, as a writer does, for work of several writers of one process. WriterBusy if another writer is active."""
    with store.lock():
        found = journals(store)
        refuse_busy(store, found, alone=True)
        kept = named_twice(store, found)
        for one in found:
            sweep(store, one, kept)
        journal = Journal(store, Head(this_process(), new_token(), "create", True, 0, None, {}))
    try:
        yield journal
    finally:
        journal.remove()


def first_ordinal(found: Sequence[FoundJournal], current: int, *, far: bool) -> int:
    """Returns the ordinal of the first shard of a new appending writer: apart from those of all other journals, so that names never collide. far: others
    may begin at the same moment; then it is drawn at random."""
    if far:
        return secrets.randbelow(MAX_ORDINAL // STRIDE - 1) * STRIDE + STRIDE
    used = {one.head.first // STRIDE for one in found if one.head is not None and one.head.mode == "append"}
    return next(slot for slot in range(len(used) + 1) if slot not in used) * STRIDE + current


def sweep(store: Store, one: FoundJournal, keep: Callable[[str], bool]) -> None:
    """Removes what an inactive writer left: the shards that its journal names, except those to keep; its temporary files; its journal."""
    left = {} if store.far else {info.path: info.bytes for _, info in one.shards if not keep(info.path)}  # there its manifest may still be on its way
    store.delete(name for name, size in left.items() if store.is_plain(name, size))  # another file that has the name is not what that writer made
    if one.head is not None:
        store.remove_unfinished(one.head.token)
    store.delete([one.name])


def named_twice(store: Store, found: Sequence[FoundJournal]) -> Callable[[str], bool]:
    """Returns a function: whether the published manifest, or several journals, name a shard, so that no writer may remove it."""
    published = shard_names(store, read_current(store).data)
    counts = Counter(name for one in found for name in {info.path for _, info in one.shards})
    return lambda name: name in published or counts[name] > 1


def named_elsewhere(store: Store, found: Sequence[FoundJournal], but: str) -> set[str]:
    """Returns the shards that the published manifest or the journal of another writer names: they must not be removed."""
    names = shard_names(store, read_current(store).data)
    for one in found:
        if one.name != but:
            names |= {info.path for _, info in one.shards}
    return names
