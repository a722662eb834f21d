"""For those who write a store of their own: the rules of store/store.py as checks that any store must pass.

Longer than other files, because it is one list.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from atlas_ds.errors import AtlasError, CommitConflict, DatasetChanged, LimitError
from atlas_ds.store.store import Bytes, Store, Want

__all__ = ["check_reading", "check_store"]

NAMES = (".hidden-1.json", "00000-0123456789abcdef", "a b+c%20#?&=.txt", "deep/er/é日本.bin", "deep/er.x", "deep0")
TIMEOUT = 60.0  # seconds after which a call that should have returned counts as hanging
Factory = Callable[[], Store]


def check_store(factory: Factory) -> None:
    """Checks that a store keeps the rules that datasets rely on.

    Parameters
    ----------
    factory
        Returns a new, empty store at each call.

    Raises
    ------
    AssertionError
        A rule is broken; the text says which, and what was seen.
    """
    _check_rules(RULES, factory)


def check_reading(factory: Factory) -> None:
    """Checks those rules of `check_store` that a store for reading has to keep.

    Parameters
    ----------
    factory
        Returns a new, empty store at each call. For the checks it needs `create`, `put` and
        `delete`, which need not be safe from others.

    Raises
    ------
    AssertionError
        A rule is broken; the text says which, and what was seen.
    """
    _check_rules(READING, factory)


def _check_rules(rules: Sequence[Callable[[Store], None]], factory: Factory) -> None:
    for rule in rules:
        said = (rule.__doc__ or "").strip()
        try:
            _within(TIMEOUT, partial(_check, rule, factory))
        except TimeoutError:
            raise AssertionError(f"the store breaks a rule: {said}: a call did not return within {TIMEOUT:.0f} s") from None
        except AssertionError as broken:
            raise AssertionError(f"the store breaks a rule: {said}: {broken}") from None
        except Exception as error:
            raise AssertionError(f"the store breaks a rule: {said}: {type(error).__name__}: {error}") from error


def _check(rule: Callable[[Store], None], factory: Factory) -> None:
    store = factory()
    store.create()
    rule(store)


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Runs a call in a thread; raises what it raised, or TimeoutError."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if raised:
        raise raised[0]


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(what)


@contextmanager
def _refused(*kinds: type[BaseException], what: str) -> Iterator[None]:
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"{what} did not raise {' or '.join(kind.__name__ for kind in kinds)}")


def _is(store: Store, name: str, data: bytes, when: str) -> None:
    found = store.read(name, limit=1 << 20)[0]
    _need(found == data, f"{when}, {name!r} reads as {found[:40]!r}, not {data[:40]!r}")


def _bytes(answer: Bytes | Exception, what: str) -> bytes:
    """The bytes of an answer that should not be an error."""
    if isinstance(answer, Exception):
        raise AssertionError(f"{what} failed: {answer!r}")
    return bytes(memoryview(answer))


def _names(store: Store, prefix: str = "") -> list[str]:
    return [info.name for info in store.list(prefix)]


def _all_at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What `count` threads returned or raised that begin together."""
    barrier = threading.Barrier(count)
    out: list[Any] = [None] * count

    def run(k: int) -> None:
        barrier.wait()
        try:
            out[k] = call(k)
        except Exception as error:
            out[k] = error

    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


# --- the rules: each is given an empty store, and its first line says what must hold ---


def _missing(store: Store) -> None:
    """a file that does not exist is FileNotFoundError"""
    for what, call in (
        ("info", lambda: store.info("x")),
        ("read", lambda: store.read("x", limit=10)),
        ("read_tail", lambda: store.read_tail("x", 10)),
        ("stream", lambda: store.stream("x").read()),
    ):
        with _refused(FileNotFoundError, what=f"{what} of a missing file"):
            call()
    store.put("y", b"12345")
    answers = dict(store.read_ranges([Want("x", 0, 3), Want("y", 0, 3)]))
    _need(isinstance(answers.get(0), FileNotFoundError), f"read_ranges answered {answers.get(0)!r} for a missing file")
    _need(_bytes(answers[1], "the range of another file") == b"123", "the range of another file gave other bytes")
    _need(_names(store) == ["y"], "looking for a file made it")


def _round_trip(store: Store) -> None:
    """what was put is read, under any name"""
    for number, name in enumerate(NAMES):
        data = f"{number} {name}".encode() * number
        version = store.put(name, data)
        _is(store, name, data, "after put")
        info = store.info(name)
        _need((info.name, info.size) == (name, len(data)), f"info says {info} of {len(data)} bytes in {name!r}")
        _need(store.read(name, limit=1 << 20)[1] == info.version == version, "put, read and info name different versions")
    _need(sorted(_names(store)) == sorted(NAMES), f"list gives {sorted(_names(store))}")


def _versions(store: Store) -> None:
    """every put of other bytes makes another version"""
    seen = [store.put("x", b"%d" % k) for k in range(50)]
    _need(len(set(seen)) == 50, f"50 puts of other bytes made {len(set(seen))} versions")


def _expected(store: Store) -> None:
    """put with expected= fails with CommitConflict unless the file is as expected, and then changes nothing"""
    first = store.put("x", b"one", expected=None)
    with _refused(CommitConflict, what="put with expected=None of a file that exists"):
        store.put("x", b"two", expected=None)
    _is(store, "x", b"one", "after a conflict")
    second = store.put("x", b"two", expected=first)
    with _refused(CommitConflict, what="put with the version before"):
        store.put("x", b"three", expected=first)
    _is(store, "x", b"two", "after a conflict")
    store.delete(["x"])
    with _refused(CommitConflict, what="put with the version of a file that was deleted"):
        store.put("x", b"three", expected=second)
    _need(_names(store) == [], "a put that failed made the file")


def _put_number(store: Store, name: str, expected: str | None, number: int) -> str:
    return store.put(name, b"%d" % number, expected=expected)


def _race(store: Store) -> None:
    """of many who expect the same version, one succeeds"""
    for before in (None, store.put("y", b"before")):
        name = "x" if before is None else "y"
        out = _all_at_once(8, partial(_put_number, store, name, before))
        won = [k for k, one in enumerate(out) if isinstance(one, str)]
        lost = [one for one in out if isinstance(one, CommitConflict)]
        _need(len(won) == 1 and len(lost) == 7, f"of 8 writers {len(won)} succeeded, and {len(lost)} had a CommitConflict: {out}")
        _is(store, name, b"%d" % won[0], "after the race")


def _atomic(store: Store) -> None:
    """readers see an old or a new file, never a part of one, and never none"""
    pieces = [bytes([k]) * (1000 + 1000 * k) for k in range(2)]
    store.put("x", pieces[0])
    end = time.monotonic() + 0.5

    def turn(k: int) -> None:
        while time.monotonic() < end:
            if k == 0:
                for piece in pieces:
                    store.put("x", piece)
            else:
                _need(store.read("x", limit=1 << 20)[0] in pieces, "a reader saw a mixture")

    for one in _all_at_once(4, turn):
        if one is not None:
            raise one


def _listing(store: Store) -> None:
    """list gives what begins with the prefix, by name, as info describes it"""
    for name in NAMES:
        store.put(name, name.encode())
    for prefix in ("", "deep", "deep/", "deep/er", "deep/er/", "0", ".h", "nothing"):
        wanted = sorted(name for name in NAMES if name.startswith(prefix))
        _need(_names(store, prefix) == wanted, f"list({prefix!r}) gives {_names(store, prefix)}, not {wanted}")
    for info in store.list():
        _need(info == store.info(info.name), f"list says {info}, info says {store.info(info.name)}")


def _limit(store: Store) -> None:
    """read refuses a file of more than limit bytes"""
    store.put("x", b"12345")
    _need(store.read("x", limit=5)[0] == b"12345", "limit=5 refused five bytes")
    with _refused(LimitError, what="read of five bytes with limit=4"):
        store.read("x", limit=4)


def _tail(store: Store) -> None:
    """read_tail gives the last bytes, or all"""
    store.put("x", b"12345")
    for size, wanted in ((2, b"45"), (5, b"12345"), (9, b"12345"), (0, b"")):
        data, info = store.read_tail("x", size)
        _need(bytes(memoryview(data)) == wanted, f"the last {size} bytes of b'12345' are {bytes(memoryview(data))!r}")
        _need(info == store.info("x"), f"read_tail says {info}")


def _ranges(store: Store) -> None:
    """read_ranges answers each want once, whatever becomes of the others"""
    content = {f"f{k}": bytes(range(k, k + 200)) for k in range(20)}
    for name, data in content.items():
        store.put(name, data)
    wants = [Want(f"f{k % 20}", k, 3 + k % 50) for k in range(100)]
    wants[50] = Want("missing", 0, 5)
    wants[51] = Want("f0", 190, 20)  # ends after the file
    answers = list(store.read_ranges(wants))
    _need(sorted(number for number, _ in answers) == list(range(100)), "not every want was answered exactly once")
    for number, answer in answers:
        want = wants[number]
        if number == 50:
            _need(isinstance(answer, FileNotFoundError), f"a missing file gave {answer!r}")
        elif number == 51:
            short = not isinstance(answer, Exception) and memoryview(answer).nbytes == 20
            _need(not short, "20 bytes came from a place where 10 are left")
        else:
            data = _bytes(answer, str(want))
            _need(data == content[want.name][want.offset : want.offset + want.size], f"{want} gave other bytes: {data[:20]!r}")
    _need(list(store.read_ranges([])) == [], "no want was answered")


def _replaced(store: Store) -> None:
    """a range with a version is DatasetChanged once the file was replaced; one without is what is there"""
    old = store.put("x", b"old bytes")
    [(_, answer)] = store.read_ranges([Want("x", 0, 3, old)])
    _need(_bytes(answer, "a range of the version that is there") == b"old", "the version that is there gave other bytes")
    store.put("x", b"new bytes")
    answers = dict(store.read_ranges([Want("x", 0, 3, old), Want("x", 0, 3)]))
    _need(isinstance(answers[0], DatasetChanged), f"a range of a file that was replaced gave {answers[0]!r}")
    _need(_bytes(answers[1], "a range without version") == b"new", "a range without version gave other bytes")


def _stream(store: Store) -> None:
    """stream reads a file from its beginning"""
    data = bytes(range(256)) * 5000
    store.put("x", data)
    with store.stream("x") as file:
        _need(file.read(1000) == data[:1000] and file.read() == data[1000:], "other bytes came")
        _need(file.read() == b"", "bytes came after the end")


def _new_file(store: Store) -> None:
    """a new file is seen when it is published, complete, and not before"""
    store.put("x", b"old")
    file = store.new_file("label")
    pieces = [bytes([k % 256]) * (k * 37) for k in range(500)]
    for piece in pieces:
        file.write(piece)
    whole = b"".join(pieces)
    _need(file.size == len(whole), f"size is {file.size} after {len(whole)} bytes")
    _need(_names(store) == ["x"], f"an unfinished file is listed: {_names(store)}")
    file.finish()
    _is(store, "x", b"old", "before publish")
    info = file.publish("x").result(TIMEOUT)
    _need(info == store.info("x"), f"publish says {info}, info says {store.info('x')}")
    with store.stream("x") as seen:
        _need(seen.read() == whole, "the published bytes are others")
    _need(_names(store) == ["x"], f"publish left other files: {_names(store)}")
    file.discard()
    _need(store.info("x").size == len(whole), "discard removed a published file")
    with _refused(ValueError, OSError, AtlasError, what="write to a published file"):
        file.write(b"more")


def _discard(store: Store) -> None:
    """a file that is discarded leaves nothing"""
    file = store.new_file("label")
    file.write(b"bytes")
    file.discard()
    file.discard()
    with _refused(ValueError, OSError, AtlasError, what="publish of a discarded file"):
        file.publish("x").result(TIMEOUT)
    _need(_names(store) == [], f"discard left {_names(store)}")


def _entries(store: Store) -> None:
    """entries names the files at the top, and each prefix that leads further with "/" at its end, once"""
    _need([*store.entries()] == [], f"an empty store has {[*store.entries()]}")
    for name in NAMES:
        store.put(name, b"1")
    found, wanted = sorted(store.entries()), sorted({"".join(name.partition("/")[:2]) for name in NAMES})
    _need(found == wanted, f"entries gives {found}, not {wanted}")


def _finished(store: Store) -> None:
    """entries leaves out what was never published"""
    file = store.new_file("label")
    found = [*store.entries()]
    file.discard()
    _need(found == [], f"entries gives {found}")


def _plain(store: Store) -> None:
    """is_plain says whether there is a file (of so many bytes) that is no link"""
    store.put("x", b"12345")
    _need(store.is_plain("x") and store.is_plain("x", 5), "a file of 5 bytes is not plain")
    _need(not store.is_plain("x", 4), "a file of 5 bytes is one of 4")
    _need(not store.is_plain("y") and not store.is_plain("y", 5), "a missing file is plain")
    if store.folder is not None:
        (store.folder / "link").symlink_to(store.folder / "x")
        _need(not store.is_plain("link"), "a link is plain")
        with _refused(OSError, AtlasError, what="read of a link with follow=False"):
            store.read("link", limit=10, follow=False)
    _need(store.read("x", limit=10, follow=False)[0] == b"12345", "read with follow=False gives other bytes")


def _shown(store: Store) -> None:
    """unfinished lists files that were never published and can be read, and remove_unfinished removes them"""
    store.put("x", b"published")
    file = store.new_file("label", mark="0123456789abcdef")
    file.write(b"bytes")
    file.finish()
    listed = [info.name for info in store.unfinished()]
    _need("x" not in listed and len(listed) <= 1, f"of one published and one unfinished file, unfinished lists {listed}")
    for name in listed:
        _is(store, name, b"bytes", "unfinished")
    store.remove_unfinished("0123456789abcdef")
    _need([*store.unfinished()] == [], f"remove_unfinished left {[*store.unfinished()]}")
    file.discard()


def _unfinished(store: Store) -> None:
    """remove_unfinished removes the unfinished files of one owner, and nothing else"""
    store.put("x", b"kept", mark="0123456789abcdef")
    other = store.new_file("label", mark="fedcba9876543210")
    other.write(b"other")
    file = store.new_file("label", mark="0123456789abcdef")
    file.write(b"bytes")
    store.remove_unfinished("0123456789abcdef")
    other.publish("y").result(TIMEOUT)
    _need(_names(store) == ["x", "y"], f"it left {_names(store)}")
    _is(store, "x", b"kept", "after remove_unfinished")
    _is(store, "y", b"other", "after remove_unfinished")


def _delete(store: Store) -> None:
    """delete removes the files it is given, and no others"""
    for name in ("x", "x/y", "xy", "z") if store.folder is None else ("x", "x0/y", "xy", "z"):
        store.put(name, b"1")
    store.delete(["x", "missing", "z"])
    _need(_names(store) == ["x/y", "xy"] if store.folder is None else _names(store) == ["x0/y", "xy"], f"left: {_names(store)}")
    with _refused(FileNotFoundError, what="info of a deleted file"):
        store.info("x")


def _copy(store: Store) -> None:
    """copy gives a file a second name, which stays when the first is deleted"""
    store.put("x", b"bytes")
    store.put("y", b"replaced")
    store.copy("x", "y")
    _is(store, "y", b"bytes", "after copy")
    _is(store, "x", b"bytes", "after copy")
    store.put("x", b"changed")
    _is(store, "y", b"bytes", "after the first was replaced")
    store.delete(["x"])
    _is(store, "y", b"bytes", "after the first was deleted")
    with _refused(FileNotFoundError, what="copy of a missing file"):
        store.copy("x", "z")


def _inside(store: Store) -> None:
    """inside(prefix) has the names below prefix, and no others"""
    part = store.inside(".parts/00003")
    part.create()
    part.put("x", b"inner")
    store.put("x", b"outer")
    _is(part, "x", b"inner", "of the part")
    _is(store, ".parts/00003/x", b"inner", "from outside")
    _need(_names(part) == ["x"] and _names(store, ".parts/") == [".parts/00003/x"], f"part: {_names(part)}, all: {_names(store)}")
    part.delete(["x"])
    _is(store, "x", b"outer", "after a delete in the part")


def _lock(store: Store) -> None:
    """whoever holds the lock can put, and leaves it to others"""
    with store.lock():
        version = store.put("x", b"1", expected=None)
        store.put("x", b"2", expected=version)
    def add(_: int) -> None:
        for _ in range(20):
            while True:
                try:
                    with store.lock():
                        data, seen = store.read("x", limit=100)
                        store.put("x", b"%d" % (int(data) + 1), expected=seen)
                    break
                except CommitConflict:
                    continue

    for one in _all_at_once(4, add):
        if one is not None:
            raise one
    _is(store, "x", b"82", "after 80 increments by four writers")


def _log(store: Store) -> None:
    """a log shows what was appended, is held until it is closed, and can be replaced"""
    mark = "0123456789abcdef"
    known: list[bool] = []

    def begin(locks: bool) -> bytes:
        known.append(locks)
        return b"first\n"

    with store.lock():
        log = store.new_log("log", begin, mark)
    log.append(b"second\n")
    log.sync()
    _is(store, "log", b"first\nsecond\n", "after an append")
    held = store.is_held("log")
    _need(held in (True, None) and (held is not None) == known[0], f"is_held is {held} while the log is held, and begin was told {known[0]}")
    log.close()
    log.close()
    _need(store.is_held("log") in (False, None), "is_held is True after close")
    with store.lock():
        other = store.new_log("log", lambda _: b"third\n", mark)
    _is(store, "log", b"third\n", "after it was replaced")
    other.close()
    with _refused(FileNotFoundError, what="is_held of a missing log"):
        store.is_held("missing")


def _empty(store: Store) -> None:
    """remove_if_empty keeps a store that has files"""
    store.put("x", b"1")
    store.remove_if_empty()
    _is(store, "x", b"1", "after remove_if_empty")
    _need(store.create() is False, "create says that a store with a file did not exist")


def _threads(store: Store) -> None:
    """many threads read at the same time"""
    content = {f"f{k}": bytes([k]) * 1000 for k in range(8)}
    for name, data in content.items():
        store.put(name, data)

    def read(k: int) -> None:
        for n in range(30):
            name = f"f{(k + n) % 8}"
            [(_, answer)] = store.read_ranges([Want(name, 10, 500)])
            _need(_bytes(answer, name) == content[name][:500], f"{name} gave other bytes")

    for one in _all_at_once(8, read):
        if one is not None:
            raise one


def _pickled(store: Store) -> None:
    """a pickled store is the same store, or says why it cannot be pickled"""
    store.put("x", b"bytes")
    try:
        data = pickle.dumps(store)
    except AtlasError:
        return
    _is(pickle.loads(data), "x", b"bytes", "through a pickled store")


RULES: tuple[Callable[[Store], None], ...] = (
    _missing, _round_trip, _versions, _expected, _race, _atomic, _listing, _limit, _tail, _ranges, _replaced, _stream, _new_file, _discard, _entries, _finished,
    _plain, _unfinished, _delete, _shown, _copy, _inside, _lock, _log, _empty, _threads, _pickled,
)  # fmt: skip
READING = (_missing, _round_trip, _listing, _limit, _tail, _ranges, _replaced, _stream, _entries, _inside, _threads, _pickled)
