"""What many threads need is loaded once, held while it is used, and evicted when nobody uses it."""

import os
import signal
import threading
import time

import pytest

from atlas_ds.errors import AtlasError, CorruptError
from atlas_ds.store.keeping import Keeping


class Numbers:
    """Things of size 1. load waits until it may go on."""

    def __init__(self):
        self.shown, self.used, self.dropped, self.coming = set(), set(), [], set()
        self.loads = []
        self.go = threading.Event()
        self.go.set()
        self.bad = {}

    def size(self, key):
        return 1

    def begin(self, key):
        assert key not in self.shown
        self.coming.add(key)

    def give_up(self, key):
        self.coming.remove(key)

    def load(self, keys):
        self.loads.append(list(keys))
        for key in keys:
            assert self.go.wait(20)
            yield key, self.bad.get(key)

    def show(self, key):
        self.shown.add(key)
        self.coming.discard(key)

    def hide(self, key):
        self.shown.discard(key)

    def rest(self, key):
        was = key in self.used
        self.used.discard(key)
        return was

    def drop(self, key):
        assert key not in self.shown
        self.dropped.append(key)


@pytest.fixture
def things():
    return Numbers()


def run(*calls):
    """Each call in a thread of its own; their results, or errors."""
    out = [None] * len(calls)

    def one(k):
        try:
            out[k] = calls[k]()
        except BaseException as error:
            out[k] = error

    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    return threads, out


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_what_is_there_is_not_loaded_again(things):
    keeping = Keeping(things, 10)
    keeping.enter([1, 2]).exit()
    keeping.enter([2, 3]).exit()
    assert things.loads == [[1, 2], [3]] and things.shown == {1, 2, 3} and keeping.used == 3


def test_the_least_used_goes_first(things):
    keeping = Keeping(things, 3)
    for key in (1, 2, 3):
        keeping.enter([key]).exit()
    things.used = {1, 2}
    keeping.enter([4]).exit()
    assert things.dropped == [3] and things.shown == {1, 2, 4}
    keeping.enter([5]).exit()
    assert len(things.shown) == 3 and keeping.used == 3 and {4, 5} <= things.shown


def test_what_is_held_stays(things):
    keeping = Keeping(things, 2)
    hold = keeping.enter([1, 2, 3])
    keeping.enter([4]).exit()
    assert {1, 2, 3} <= things.shown
    hold.exit()
    hold.exit()
    assert len(things.shown) == 2 and keeping.used == 2


def test_one_load_for_all_who_need_it(things):
    keeping = Keeping(things, 10)
    things.go.clear()
    threads, out = run(*[lambda: keeping.enter([7])] * 16)
    until(lambda: keeping._loads and keeping._loads[7].waiting == 15)
    things.go.set()
    for thread in threads:
        thread.join()
    assert things.loads == [[7]] and [hold.keys for hold in out] == [[7]] * 16
    assert keeping._there[7] == 16
    for hold in out:
        hold.exit()
    assert keeping._there[7] == 0


def test_a_failure_fails_those_who_need_it(things):
    keeping = Keeping(things, 10)
    things.bad[7] = CorruptError("seven")
    things.go.clear()
    threads, out = run(lambda: keeping.enter([6, 7, 8]), lambda: keeping.enter([6]), lambda: keeping.enter([7]), lambda: keeping.enter([8, 9]))
    until(lambda: sum(load.waiting for load in keeping._loads.values()) == 3)
    things.go.set()
    for thread in threads:
        thread.join()
    failed = [k for k, one in enumerate(out) if isinstance(one, Exception)]
    assert failed in ([0, 2],) and all(str(out[k]) == "seven" and type(out[k]) is CorruptError for k in failed)
    assert out[1].keys == [6] and sorted(out[3].keys) == [8, 9]
    assert things.shown == {6, 8, 9} and keeping.used == 3 and things.coming == set() and keeping._there[6] == 1
    del things.bad[7]
    keeping.enter([7]).exit()
    assert 7 in things.shown


def test_a_thread_that_is_stopped_leaves_its_loads_to_others(things):
    class Stopped(BaseException):
        pass

    keeping = Keeping(things, 10)
    load, first = things.load, threading.Event()

    def stopping(keys):
        if not first.is_set():
            first.set()
            assert things.go.wait(20)
            raise Stopped
        yield from load(keys)

    things.load = stopping
    things.go.clear()
    threads, out = run(lambda: keeping.enter([1, 2]))
    first.wait(20)
    more, got = run(lambda: keeping.enter([2]))
    until(lambda: keeping._loads[2].waiting == 1)
    things.go.set()
    for thread in threads + more:
        thread.join()
    assert isinstance(out[0], Stopped) and got[0].keys == [2] and keeping.used == 1 and things.coming == set()


def test_something_that_never_comes_is_an_error(things):
    things.load = lambda keys: iter(())
    with pytest.raises(AtlasError, match="3: was asked for, and neither came nor failed"):
        Keeping(things, 10).enter([3])


def test_who_finds_everything_waits_for_nobody(things):
    keeping = Keeping(things, 10)
    keeping.enter([1]).exit()
    things.go.clear()
    threads, _ = run(lambda: keeping.enter([2]))
    until(lambda: keeping._loads)
    keeping.enter([1]).exit()  # would hang
    things.go.set()
    threads[0].join()


def test_what_a_reader_is_in_is_dropped_after_it_has_left(things, monkeypatch):
    from atlas_ds.store import keeping as room

    class Inside:
        inside = True

        def drained(self, timeout):
            return not self.inside

    monkeypatch.setattr(room, "PATIENCE", 0.01)
    keeping = Keeping(things, 1)
    keeping.pins = Inside()
    keeping.enter([1]).exit()
    keeping.enter([2]).exit()
    assert things.shown == {2} and things.dropped == []
    keeping.enter([1]).exit()  # its memory is still there: shown again, not loaded
    assert things.loads == [[1], [2]] and things.shown == {1}
    keeping.pins.inside = False
    keeping.enter([3]).exit()
    assert sorted(things.dropped) == [1, 2] and things.shown == {3}


def test_a_forked_child_has_no_loads_and_no_holds(things):
    keeping = Keeping(things, 2)
    held = keeping.enter([1])
    things.go.clear()
    threads, _ = run(lambda: keeping.enter([2]))
    until(lambda: 2 in keeping._loads)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        things.go.set()
        held.exit()
        keeping.enter([2, 3]).exit()
        good = keeping.used == 2 and len(things.shown) == 2 and set(keeping._there.values()) == {0}
        os._exit(0 if good else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    things.go.set()
    threads[0].join()
    assert status == 0
