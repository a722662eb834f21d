"""The rules of stores: ours keep them, and a store that breaks one is told which."""

import contextlib
import itertools
import re
import threading

import pytest

from atlas_ds.errors import AtlasError, CommitConflict
from atlas_ds.store.local import LocalStore
from atlas_ds.store.memory import MemoryStore
from atlas_ds.store.store import FileInfo, Want
from atlas_ds.testing import RULES, check_store
from stores import SlowStore

numbers = itertools.count()


def test_a_folder_is_a_store(tmp_path):
    check_store(lambda: LocalStore(tmp_path / f"{next(numbers)}" / "folder"))


def test_memory_is_a_store():
    check_store(MemoryStore)


def test_a_slow_store_that_sends_again_what_failed_is_a_store():
    check_store(lambda: SlowStore(MemoryStore(), 0.005, retried=3))


# --- stores that break one rule each ---


class Broken(MemoryStore):
    """With a look at what it holds."""

    def at(self, name):
        return self._shared.files.get(self._prefix + name)


class MissingIsEmpty(Broken):
    def read(self, name, *, limit, follow=True):
        try:
            return super().read(name, limit=limit)
        except FileNotFoundError:
            return b"", "0"


class OneFailureFailsAll(Broken):
    def read_ranges(self, wants):
        for number, want in enumerate(wants):
            yield number, self._range(want)


class NamesAreCut(Broken):
    def put(self, name, data, **options):
        return super().put(name.partition("#")[0], data, **options)


class VersionIsTheSize(Broken):
    def put(self, name, data, *, expected=..., mark=None):
        super().put(name, data, expected=expected)
        self.at(name).version = str(memoryview(data).nbytes)
        return self.at(name).version


class IgnoresExpected(Broken):
    def put(self, name, data, *, expected=..., mark=None):
        return super().put(name, data)


class ConflictAfterWriting(Broken):
    def put(self, name, data, *, expected=..., mark=None):
        try:
            return super().put(name, data, expected=expected)
        except CommitConflict:
            super().put(name, data)
            raise


class ComparesWithoutLock(Broken):
    def put(self, name, data, *, expected=..., mark=None):
        if expected is not ...:
            found = self.at(name)
            if (found.version if found else None) != expected:
                raise CommitConflict("changed")
            threading.Event().wait(0.01)
        return super().put(name, data)


class WritesInPieces(Broken):
    def put(self, name, data, *, expected=..., mark=None):
        version = super().put(name, bytes(data)[: len(data) // 2], expected=expected)
        threading.Event().wait(0.001)
        return super().put(name, data, expected=version)


class ListsInAnyOrder(Broken):
    def list(self, prefix=""):
        return reversed(list(super().list(prefix)))


class ListsOneFolder(Broken):
    def list(self, prefix=""):
        return (info for info in super().list(prefix) if "/" not in info.name.removeprefix(prefix))


class ListsAll(Broken):
    def list(self, prefix=""):
        return super().list("")


class HasNoLimit(Broken):
    def read(self, name, *, limit, follow=True):
        return super().read(name, limit=1 << 40)


class TailIsTheStart(Broken):
    def read_tail(self, name, size):
        found = self._get(name)
        return found.data[:size], FileInfo(name, len(found.data), found.version)


class AnswersOnce(Broken):
    def read_ranges(self, wants):
        return itertools.islice(super().read_ranges(wants), 60)


class AnswersTwice(Broken):
    def read_ranges(self, wants):
        for one in super().read_ranges(wants):
            yield one
            yield one


class PadsShortRanges(Broken):
    def _range(self, want):
        data = self._get(want.name).data[want.offset : want.offset + want.size]
        return super()._range(want._replace(size=len(data))).tobytes().ljust(want.size, b"\0")


class MixesUpRanges(Broken):
    def read_ranges(self, wants):
        for number, answer in super().read_ranges(wants):
            yield len(wants) - 1 - number, answer


class IgnoresVersions(Broken):
    def read_ranges(self, wants):
        return super().read_ranges([Want(want.name, want.offset, want.size) for want in wants])


class StreamIsShort(Broken):
    def stream(self, name):
        import io

        return io.BytesIO(self._get(name).data[:-1])


class ShowsUnfinished(Broken):
    def new_file(self, label, mark=None):
        self.put("tmp", b"")
        return super().new_file(label, mark)


class PublishesLate(Broken):
    def new_file(self, label, mark=None):
        file = super().new_file(label, mark)
        publish = file.publish

        def late(name):
            from concurrent.futures import Future

            done = Future()
            done.set_result(FileInfo(name, file.size, "?"))
            threading.Timer(0.2, publish, [name]).start()
            return done

        file.publish = late
        return file


class DiscardPublishes(Broken):
    def new_file(self, label, mark=None):
        file = super().new_file(label, mark)
        file.discard = lambda: file.publish("left") if file._state == "open" else None
        return file


class RemovesEverything(Broken):
    def remove_unfinished(self, mark):
        self._shared.files.clear()


class DeletesByPrefix(Broken):
    def delete(self, names):
        for name in names:
            super().delete([info.name for info in self.list(name)])


class CopyMoves(Broken):
    def copy(self, name, to):
        super().copy(name, to)
        self.delete([name])


class CopyIsALink(Broken):
    def copy(self, name, to):
        self._get(name)
        self.links = getattr(self, "links", {}) | {to: name}

    def read(self, name, *, limit, follow=True):
        return super().read(getattr(self, "links", {}).get(name, name), limit=limit)


class InsideIsOutside(Broken):
    def inside(self, prefix):
        return self


class LockIsNotEnteredTwice(Broken):
    inside_it = False

    @contextlib.contextmanager
    def lock(self):
        with super().lock():
            if self.inside_it:
                raise AtlasError("already locked")
            self.inside_it = True
            try:
                yield
            finally:
                self.inside_it = False


class LogLosesAppends(Broken):
    def new_log(self, name, begin, mark):
        log = super().new_log(name, begin, mark)
        log.append = lambda data: None
        return log


class LogIsHeldForEver(Broken):
    def is_held(self, name):
        return super().is_held(name) is not None


class RemovesWhatIsThere(Broken):
    def remove_if_empty(self):
        self._shared.files.clear()


class PicklesEmpty(Broken):
    def __reduce__(self):
        return MemoryStore, (self.url,)


class HasNoEntries(Broken):
    def entries(self):
        return iter(())


class EntriesAreWholeNames(Broken):
    def entries(self):
        return (info.name for info in self.list())


class AllIsPlain(Broken):
    def is_plain(self, name, size=None):
        return True


class SizesDoNotMatter(Broken):
    def is_plain(self, name, size=None):
        return super().is_plain(name)


class CreateIsAlwaysNew(Broken):
    def create(self):
        return True


class EntriesShowUnfinished(Broken):
    def entries(self):
        return iter([*super().entries(), *(one.name for one in self.unfinished())])


class UnfinishedIsEverything(Broken):
    def unfinished(self):
        return iter([*super().unfinished(), *self.list()])


class UnfinishedStays(Broken):
    def remove_unfinished(self, mark):
        pass


MUTANTS = {
    HasNoEntries: "at the top", EntriesShowUnfinished: "leaves out", EntriesAreWholeNames: "at the top", AllIsPlain: "is_plain says", SizesDoNotMatter: "is_plain says",
    CreateIsAlwaysNew: "keeps a store", UnfinishedIsEverything: "unfinished lists", UnfinishedStays: "unfinished lists",
    MissingIsEmpty: "does not exist", OneFailureFailsAll: "does not exist", NamesAreCut: "under any name", VersionIsTheSize: "makes another version",
    IgnoresExpected: "CommitConflict unless", ConflictAfterWriting: "CommitConflict unless", ComparesWithoutLock: "of many who expect",
    WritesInPieces: "old or a new file", ListsInAnyOrder: "by name", ListsOneFolder: ".*", ListsAll: "begins with the prefix", HasNoLimit: "limit bytes",
    TailIsTheStart: "last bytes", AnswersOnce: "each want once", AnswersTwice: "each want once", PadsShortRanges: "each want once",
    MixesUpRanges: ".*", IgnoresVersions: "with a version", StreamIsShort: "from its beginning", ShowsUnfinished: "and not before",
    PublishesLate: "when it is published", DiscardPublishes: "leaves nothing", RemovesEverything: "of one owner", DeletesByPrefix: "and no others",
    CopyMoves: "second name", CopyIsALink: "second name", InsideIsOutside: "below prefix", LockIsNotEnteredTwice: "holds the lock", LogLosesAppends: "appended",
    LogIsHeldForEver: "until it is closed", RemovesWhatIsThere: "keeps a store", PicklesEmpty: "pickled",
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_store_that_breaks_a_rule_is_told_which(mutant, monkeypatch):
    monkeypatch.setattr("atlas_ds.testing.TIMEOUT", 3.0)
    with pytest.raises(AssertionError, match=rf"the store breaks a rule: .*{MUTANTS[mutant]}"):
        check_store(mutant)


def test_every_rule_is_broken_by_some_mutant():
    """But for those that only a store with threads or words of its own could break."""
    said = [rule.__doc__ for rule in RULES]
    without = [words for words in said if not any(re.search(pattern, words) for pattern in MUTANTS.values() if pattern != ".*")]
    assert without == ["many threads read at the same time"]
