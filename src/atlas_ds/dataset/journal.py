"""A writer's journal: who writes what to a dataset, and the shards that are finished. It shows others that a writer is at work, and lets a later one
resume. Which manifest is published is the writer's business.

One JSON value a line: the head, {"schema": ...} once it is known, {"stream": split} for each sequence of rows, {"shard": ..., "split": ...} for each
shard, just before it gets its name, and {"left": true} when a writer leaves without publishing. A crash may cut the last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from atlas_ds.dataset.commit import read_current, shard_names
from atlas_ds.dataset.metadata import MAX_INTEGER
from atlas_ds.dataset.names import journal_name, journals_in, parse_shard_name
from atlas_ds.dataset.options import checked_split
from atlas_ds.errors import CorruptError, WriterBusy
from atlas_ds.shard.info import ShardInfo
from atlas_ds.store.local import explained, write_all
from atlas_ds.store.lock import is_flocked, locked, reaches_all, try_flock
from atlas_ds.store.owner import Owner, has_ended, is_near, new_token, owner_from_json, this_process
from atlas_ds.store.regular import is_folder, read_regular, remove_regular
from atlas_ds.store.temporary import temporary_name, temporary_of

TOKEN = re.compile(r"[0-9a-f]{16}")
BASE = re.compile(r"([0-9]{1,15}:)?[0-9a-f]{32}")  # a digest, with the number of shards that were appended to
MAX_BYTES = 256 << 20  # of a journal: a million shards
HEAD_BYTES = 1 << 20
HEAD_START = b'{"token": "'
MAX_ORDINAL = 10**14  # of a shard that is resumed: those behind it fit a name, too
STRIDE = 1_000_000  # ordinals of shards that writers side by side keep apart
MODES = ("create", "append", "overwrite")


@dataclass(frozen=True, slots=True)
class Head:
    """What a journal begins with. mode: one of MODES; first: ordinal of the first shard; base: what stood there (a digest, None: nothing);
    options: those that change a shard's bytes; locks: whether the writer holds the journal's flock while it is at work."""

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
    """A journal in a folder. head: None if a crash left none. lines: those behind it. at_work: whether its writer may still be."""

    path: Path
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
    """The journal of a writer that is at work. Its flock, where there is one, is held until it is closed."""

    def __init__(self, folder: Path, head: Head, lines: Iterable[Any] = (), path: Path | None = None) -> None:
        """Under the folder's lock. path: of the journal that this one replaces, which is resumed."""
        name = path.name if path is not None else journal_name(None if head.alone else head.token)
        self.path, self.head = folder / name, head
        lines = list(lines)
        step = folder / temporary_name("journal", mark=head.token)
        step.unlink(missing_ok=True)  # of one that was stopped here, or a link that somebody put there
        with explained(self.path):
            self._fd = os.open(step, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            if try_flock(self._fd) is None:
                self.head = replace(head, locks=False)
            with explained(self.path):
                write_all(self._fd, [memoryview(to_lines(self.head.to_json(), *lines))], step)
                if lines:
                    os.fsync(self._fd)
                os.replace(step, self.path)
        except BaseException:
            self.close()
            step.unlink(missing_ok=True)
            raise

    def note(self, *lines: Any) -> None:
        """Adds lines, which the system has then, though perhaps not yet the disk."""
        with explained(self.path):
            write_all(self._fd, [memoryview(to_lines(*lines))], self.path)

    def sync(self) -> None:
        with explained(self.path):
            os.fsync(self._fd)

    def leave(self) -> None:
        """The writer goes without having published: what it finished can be resumed."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # on a full disk its end of work, or of the lock, tells as much
                write_all(self._fd, [memoryview(to_lines({"left": True}))], self.path)
            self.close()

    def remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def __del__(self) -> None:  # a writer that was never made whole, after Ctrl-C
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def shard_line(split: str | None, info: ShardInfo) -> dict[str, Any]:
    return {"shard": asdict(info), "split": split}


def to_lines(*items: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


# --- reading what others left ---


def journals(folder: Path) -> list[FoundJournal]:
    """Under the folder's lock."""
    return [_read(path) for path in journals_in(folder)]


def _read(path: Path) -> FoundJournal:
    head, lines = _parse(path)
    if head is None:
        return FoundJournal(path, None, [], False)  # cut by a crash of the machine before anything was finished
    if _at_work(path, head, lines):
        return FoundJournal(path, head, lines, True)
    return FoundJournal(path, *_parse(path), False)  # again: its writer may have finished shards, and ended, since it was read


def _parse(path: Path) -> tuple[Head | None, list[Any]]:
    try:
        data = read_regular(path, MAX_BYTES, follow=False)
    except FileNotFoundError:
        return None, []  # its writer gave up just now
    except OSError as error:
        raise CorruptError(f"{path}: the journal of a writer cannot be read: {error.strerror}") from error
    if b"\n" not in data and not data.strip(b"\0"):
        return None, []
    if b"\n" not in data and data[: len(HEAD_START)] == HEAD_START[: len(data)]:
        return None, []
    first, *rest = data.split(b"\n")
    return _head(first, path), list(_lines(rest, path))


def _head(line: bytes, path: Path) -> Head:
    try:
        item = json.loads(line)
        owner = owner_from_json(item.pop("owner"))
        head = Head(owner=owner, **item)
        good = is_text(head.token, TOKEN) and head.mode in MODES and type(head.alone) is bool and type(head.locks) is bool
        good = good and path.name in (journal_name(None), journal_name(head.token)) and isinstance(head.options, dict)
        if good and type(head.first) is int and 0 <= head.first < MAX_ORDINAL and (head.base is None or is_text(head.base, BASE)):
            return head
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise damaged(path, 1, "is not the head of a writer's journal")


def is_text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _lines(rest: Sequence[bytes], path: Path) -> Iterable[Any]:
    """Every line, checked; the last may be cut."""
    for number, line in enumerate(rest, 2):
        if number == len(rest) + 1:
            return  # what follows the last line feed
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(rest):
                return  # a failed write, and the line that said so
            raise damaged(path, number, "is not JSON") from None
        why = _wrong(item)
        if why:
            raise damaged(path, number, why)
        yield item


def _wrong(item: Any) -> str:
    """What is wrong with a line behind the head, "" if nothing."""
    if not isinstance(item, dict) or item.keys() not in ({"schema"}, {"stream"}, {"shard", "split"}, {"left"}):
        return "is none of schema, stream, shard and left"
    try:
        checked_split(item.get("split", item.get("stream")))
    except ValueError:
        return "names a split that is not text"
    if "shard" not in item:
        return ""
    shard = item["shard"]
    if not isinstance(shard, dict) or shard.keys() != {"path", "rows", "bytes", "tail", "root"}:
        return "does not describe a shard by path, rows, bytes, tail and root"
    if not isinstance(shard["path"], str) or (named := parse_shard_name(shard["path"])) is None:
        return f"path {str(shard['path'])[:80]!r} is not a shard's name"
    if named.ordinal >= MAX_ORDINAL:
        return "names a shard whose number is too large"
    if not all(type(shard[name]) is int and 0 < shard[name] <= MAX_INTEGER for name in ("rows", "bytes", "tail")):
        return "rows, bytes or tail is not a positive whole number"
    return "" if shard["root"] == named.root else "root is not that of the shard's name"


def damaged(path: Path, line: int, why: str) -> CorruptError:
    cure = "move the journal away and write again (the shards it names stay in the folder, and can be opened one by one)"
    return CorruptError(f"{path}: line {line} {why}: the file was edited or damaged; {cure}")


def _at_work(path: Path, head: Head, lines: Sequence[Any]) -> bool:
    """Whether a journal's writer may still be at work: False only with proof that it is not."""
    if lines and "left" in lines[-1]:
        return False
    near = is_near(head.owner)
    if near and has_ended(head.owner.pid, head.owner.started):
        return False
    held = is_flocked(path) if head.locks else None
    if held is None:
        return True  # no lock tells, and no process was seen to have ended
    return held or not (near or reaches_all(path) or head.owner.host == this_process().host)


# --- what to do about them ---


def refuse_busy(folder: Path, found: Sequence[FoundJournal], *, alone: bool) -> None:
    """WriterBusy if a writer is at work that this one cannot be beside. Only appenders can be, and only beside each other."""
    for one in found:
        if one.at_work and one.head is not None and (alone or one.head.alone):
            here = " (this process)" if is_near(one.head.owner) and one.head.owner.pid == os.getpid() else ""
            raise WriterBusy(
                f"{folder}: another writer is active here: {one.head.owner}{here}, mode {one.head.mode}; wait until it has ended, or close it. "
                f"If its process is gone for certain, delete {one.path.name} in this folder"
            )


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[Journal]:
    """Has a folder to itself, as a writer does, for work that several writers do together. WriterBusy if another is at work there."""
    with locked(folder):
        found = journals(folder)
        refuse_busy(folder, found, alone=True)
        kept = named_twice(folder, found)
        for one in found:
            sweep(folder, one, kept)
        journal = Journal(folder, Head(this_process(), new_token(), "create", True, 0, None, {}))
    try:
        yield journal
    finally:
        journal.remove()


def first_ordinal(found: Sequence[FoundJournal], current: int) -> int:
    """Where the ordinals of a new appender's shards begin: apart from those of all whose journals are there, so that no two give a file one name."""
    used = {one.head.first // STRIDE for one in found if one.head is not None and one.head.mode == "append"}
    return next(slot for slot in range(len(used) + 1) if slot not in used) * STRIDE + current


def sweep(folder: Path, one: FoundJournal, keep: Callable[[str], bool]) -> None:
    """Takes away what a writer that is not at work left: the shards that its journal names, but for those to keep; its temporary files; its journal."""
    for info in {info.path: info for _, info in one.shards if not keep(info.path)}.values():
        remove_regular(folder / info.path, info.bytes)  # another file that has the name is not what that writer made
    if one.head is not None:
        remove_temporary(folder, one.head.token)
    one.path.unlink(missing_ok=True)


def remove_temporary(folder: Path, token: str) -> None:
    for path in temporary_of(folder, token):
        remove_regular(path)


def remove_shards(folder: Path, names: Iterable[str]) -> None:
    """Those that a manifest or a journal names: files, or links, of which only the link goes."""
    for name in names:
        if not is_folder(folder / name):
            (folder / name).unlink(missing_ok=True)


def named_twice(folder: Path, found: Sequence[FoundJournal]) -> Callable[[str], bool]:
    """Whether a shard is named by the published manifest, or by several of the journals: then none of their writers may take it away."""
    published = shard_names(folder, read_current(folder))
    counts = Counter(name for one in found for name in {info.path for _, info in one.shards})
    return lambda name: name in published or counts[name] > 1


def named_elsewhere(folder: Path, found: Sequence[FoundJournal], but: Path | None = None) -> set[str]:
    """Shards that the published manifest or another writer's journal names: nobody else may take them away."""
    names = shard_names(folder, read_current(folder))
    for one in found:
        if one.path != but:
            names |= {info.path for _, info in one.shards}
    return names
