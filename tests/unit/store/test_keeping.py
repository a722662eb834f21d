"""What many threads need is loaded once, held while it is used, and evicted when nobody uses it."""

import os
import random
import signal
import sys
import threading
import time

import pytest

from atlas_ds._core.base import ALL_LEFT
from atlas_ds.errors import AtlasError, CorruptError
from atlas_ds.store import keeping
from atlas_ds.store.keeping import Keeping


class Numbers(Keeping):
    """Things of size 1. load waits until it may go on."""

    def __init__(self, limit=10):
        super().__init__(limit)
        self.shown, self.read, self.dropped, self.coming = set(), set(), [], set()
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
        self.coming.discard(key)

    def load(self, keys):
        self.loads.append(list(keys))
        for key in keys:
            until(self.go.is_set)  # its wait() leaves a lock locked where it is interrupted
            yield key, self.bad.get(key)

    def show(self, key):
        self.shown.add(key)
        self.coming.discard(key)

    def hide(self, key):
        self.shown.discard(key)

    def take_used(self, key):
        was = key in self.read
        self.read.discard(key)
        return was

    def drop(self, key):
        assert key not in self.shown
        self.dropped.append(key)


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


def test_what_is_there_is_not_loaded_again():
    things = Numbers(10)
    things.hold([1, 2]).exit()
    things.hold([2, 3]).exit()
    assert things.loads == [[1, 2], [3]] and things.shown == {1, 2, 3} and things.used == 3


def test_the_least_used_goes_first():
    things = Numbers(3)
    for key in (1, 2, 3):
        things.hold([key]).exit()
    things.read = {1, 2}
    things.hold([4]).exit()
    assert things.dropped == [3] and things.shown == {1, 2, 4}
    things.hold([5]).exit()
    assert len(things.shown) == 3 and things.used == 3 and {4, 5} <= things.shown


def test_what_is_held_stays():
    things = Numbers(2)
    hold = things.hold([1, 2, 3])
    things.hold([4]).exit()
    assert {1, 2, 3} <= things.shown
    hold.exit()
    hold.exit()
    assert len(things.shown) == 2 and things.used == 2


def test_one_load_for_all_who_need_it():
    things = Numbers(10)
    things.go.clear()
    threads, out = run(*[lambda: things.hold([7])] * 16)
    until(lambda: things._loads and len(things._loads[7].waiting) == 15)
    things.go.set()
    for thread in threads:
        thread.join()
    assert things.loads == [[7]] and [list(hold.keys) for hold in out] == [[7]] * 16
    assert things._there[7] == 16
    for hold in out:
        hold.exit()
    assert things._there[7] == 0


def test_a_failure_fails_those_who_need_it():
    things = Numbers(10)
    things.bad[7] = CorruptError("seven")
    things.go.clear()
    threads, out = run(lambda: things.hold([6, 7, 8]), lambda: things.hold([6]), lambda: things.hold([7]), lambda: things.hold([8, 9]))
    until(lambda: sum(len(load.waiting) for load in things._loads.values()) == 3)
    things.go.set()
    for thread in threads:
        thread.join()
    failed = [k for k, one in enumerate(out) if isinstance(one, Exception)]
    assert failed in ([0, 2],) and all(str(out[k]) == "seven" and type(out[k]) is CorruptError for k in failed)
    assert list(out[1].keys) == [6] and sorted(out[3].keys) == [8, 9]
    assert things.shown == {6, 8, 9} and things.used == 3 and things.coming == set() and things._there[6] == 1
    del things.bad[7]
    things.hold([7]).exit()
    assert 7 in things.shown


def test_a_thread_that_is_stopped_leaves_its_loads_to_others():
    class Stopped(BaseException):
        pass

    things = Numbers(10)
    load, first = things.load, threading.Event()

    def stopping(keys):
        if not first.is_set():
            first.set()
            assert things.go.wait(20)
            raise Stopped
        yield from load(keys)

    things.load = stopping
    things.go.clear()
    threads, out = run(lambda: things.hold([1, 2]))
    first.wait(20)
    more, got = run(lambda: things.hold([2]))
    until(lambda: len(things._loads[2].waiting) == 1)
    things.go.set()
    for thread in threads + more:
        thread.join()
    assert isinstance(out[0], Stopped) and list(got[0].keys) == [2] and things.used == 1 and things.coming == set()


def test_something_that_never_comes_is_an_error():
    things = Numbers()
    things.load = lambda keys: iter(())
    with pytest.raises(AtlasError, match="3: was asked for, and neither came nor failed"):
        things.hold([3])


def test_who_finds_everything_waits_for_nobody():
    things = Numbers(10)
    things.hold([1]).exit()
    things.go.clear()
    threads, _ = run(lambda: things.hold([2]))
    until(lambda: things._loads)
    things.hold([1]).exit()  # would hang
    things.go.set()
    threads[0].join()


def test_what_a_reader_is_in_is_dropped_after_it_has_left():
    class Inside:
        inside = True

        def empty(self, seen=0):
            return seen if self.inside else ALL_LEFT

        def drained(self, timeout):
            return not self.inside

    things = Numbers(1)
    things.pins = Inside()
    things.hold([1]).exit()
    things.hold([2]).exit()
    assert things.shown == {2} and things.dropped == []
    things.hold([1]).exit()  # its memory is still there: shown again, not loaded
    assert things.loads == [[1], [2]] and things.shown == {1}
    things.pins.inside = False
    things.hold([3]).exit()
    assert sorted(things.dropped) == [1, 2] and things.shown == {3}


def test_a_forked_child_has_no_loads_and_no_holds():
    things = Numbers(2)
    held = things.hold([1])
    things.go.clear()
    threads, _ = run(lambda: things.hold([2]))
    until(lambda: 2 in things._loads)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        things.go.set()
        held.exit()
        things.hold([2, 3]).exit()
        good = things.used == 2 and len(things.shown) == 2 and set(things._there.values()) == {0}
        os._exit(0 if good else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    things.go.set()
    threads[0].join()
    assert status == 0


def test_a_call_that_fails_holds_nothing_of_what_it_waited_for():
    things = Numbers(10)
    things.bad[1] = OSError("one")
    things.go.clear()
    threads, out = run(lambda: things.hold([2]))
    until(lambda: 2 in things._loads)
    more, got = run(lambda: things.hold([1, 2]))
    until(lambda: len(things._loads[2].waiting) == 1)
    things.go.set()
    for thread in threads + more:
        thread.join()
    assert str(got[0]) == "one" and things._there == {2: 1}
    out[0].exit()
    assert things._there == {2: 0} and things.used == 1


def test_an_answer_that_comes_twice_is_an_error():
    things = Numbers(10)
    things.load = lambda keys: iter([(keys[0], None), (keys[0], None)])
    with pytest.raises(AtlasError, match="3: came twice, or was not asked for"):
        things.hold([3])
    assert set(things._there.values()) == {0}


def test_an_error_that_cannot_be_copied_reaches_all_who_wait():
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    things = Numbers(10)
    things.bad[7] = Odd(1, 2)
    things.go.clear()
    threads, out = run(*[lambda: things.hold([7])] * 2)
    until(lambda: 7 in things._loads and len(things._loads[7].waiting) == 1)
    things.go.set()
    for thread in threads:
        thread.join()
    assert [type(error) for error in out] == [Odd, Odd]


def test_what_readers_keep_is_bounded():
    """What readers keep from being dropped takes at most as much as the limit; then whoever needs room waits for them."""

    class Inside:
        waited = 0

        def empty(self, seen=0):
            return seen

        def drained(self, timeout):
            self.waited += 1
            return True

    things = Numbers(2)
    things.pins = Inside()
    for key in range(20):
        things.hold([key]).exit()
        assert things._leaving <= 3
    assert things.pins.waited >= 5 and len(things.dropped) >= 14


def test_what_is_forgotten_is_not_counted():
    class Inside:
        def empty(self, seen=0):
            return seen

        def drained(self, timeout):
            return False

    things = Numbers(2)
    things.pins = Inside()
    for key in (1, 2, 3):
        things.hold([key]).exit()
    assert things._there.keys() == {2, 3} and things._going.keys() == {1} and (things.used, things._leaving) == (2, 1)
    things.forget([1, 2, 9])
    assert things._there.keys() == {3} and not things._going and (things.used, things._leaving) == (1, 0) and things.dropped == []


# --- Ctrl-C ---


class Interrupts:
    """Real ones: a signal whose handler raises KeyboardInterrupt, after a random time, and now and then another soon after."""

    def __init__(self, seed):
        self.random, self.count, self._armed, self._again = random.Random(seed), 0, False, False
        self._old = signal.signal(signal.SIGALRM, self._raise)

    def _raise(self, number, frame):
        if self._armed:
            self._armed, self.count = self._again, self.count + 1
            self._again = False
            if self._armed:
                signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-6, 3e-5))
            raise KeyboardInterrupt

    def run(self, call, most):
        """Calls something, and interrupts it within `most` seconds if it takes so long."""
        try:
            try:
                self._again = self.random.random() < 0.3
                self._armed = True
                signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-6, most))
                call()
            finally:
                self._armed = False
        except KeyboardInterrupt:
            self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def close(self):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._old)


@pytest.fixture
def interrupts():
    """An interrupt in __del__ is told, and goes no further: here nobody is told."""
    told, sys.unraisablehook = sys.unraisablehook, id  # not of Python code, which would be interrupted, too
    one = Interrupts(1)
    yield one
    one.close()
    sys.unraisablehook = told


def check_whole(things):
    """Nothing is torn: all can be loaded, nothing is held, the sums are right, and what was dropped is not shown."""
    threads, out = run(lambda: things.hold([1, 2, 3, 4, 5]))
    threads[0].join(20)
    assert not threads[0].is_alive(), "somebody waits for a load that nobody does"
    assert things.shown >= {1, 2, 3, 4, 5}, (out, things._there, things._loads, things._going, things.coming)
    out[0].exit()
    assert set(things._there.values()) <= {0} and not things._loads and not things.left
    assert things.used == len(things._there) <= things.limit and things._leaving == len(things._going)
    assert things.shown == set(things._there) and things.coming == set()


def prepared():
    things = Numbers(3)
    for key in (1, 2, 3):
        things.hold([key]).exit()
    things.read = {1}
    return things


def test_a_call_may_be_interrupted_anywhere(monkeypatch, interrupts):
    monkeypatch.setattr(keeping, "LOOK", 0.01)
    while interrupts.count < 1500:
        things = prepared()
        interrupts.run(lambda things=things: things.hold([2, 4, 5]).exit(), 1.5e-4)
        check_whole(things)


def test_a_call_that_waits_may_be_interrupted_anywhere(monkeypatch, interrupts):
    monkeypatch.setattr(keeping, "LOOK", 0.01)
    while interrupts.count < 150:
        things = prepared()
        things.go.clear()
        loader, held = run(lambda things=things: things.hold([4]))
        until(lambda things=things: 4 in things._loads)
        timer = threading.Timer(0.0005, things.go.set)
        timer.start()
        interrupts.run(lambda things=things: things.hold([2, 4]).exit(), 2e-3)
        timer.join()
        loader[0].join(20)
        held[0].exit()
        check_whole(things)


def test_a_fork_while_others_evict_leaves_a_whole_child():
    """The child has what the parent's threads were in the middle of."""
    things = Numbers(2)
    drop, forked = things.drop, []

    def forking(key):
        if not forked:
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                forked.append(0)
            else:
                forked.append(pid)
        drop(key)

    things.drop = forking
    things.hold([1, 2, 3, 4, 5]).exit()
    if forked == [0]:
        try:
            check_whole(things)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 0
