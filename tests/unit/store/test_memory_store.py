"""MemoryStore: it is not sent to other processes, and a forked child has a copy."""

import os
import pickle
import threading

import pytest

from atlas_ds.store.memory import MemoryStore


def test_it_is_not_pickled():
    for store in (MemoryStore("memory:d"), MemoryStore("memory:d").inside("a")):
        with pytest.raises(TypeError, match=r"memory:d.*cannot be sent to another process: write to a folder"):
            pickle.dumps(store)


def test_two_have_nothing_in_common():
    MemoryStore("memory:d").put("x", b"1")
    assert list(MemoryStore("memory:d").list()) == []


def in_a_child(work) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_has_a_copy():
    store = MemoryStore()
    store.put("x", b"1")
    log = store.new_log("log", b"", "m")

    def work():
        store.put("x", b"2")
        return store.read("x", limit=1)[0] == b"2" and store.is_held("log", near=True) is False

    assert in_a_child(work) == 0 and store.read("x", limit=1)[0] == b"1" and store.is_held("log", near=True) is True
    log.close()


def test_a_child_that_is_forked_while_another_thread_works():
    store, held, done = MemoryStore(), threading.Event(), threading.Event()

    def hold():
        with store.lock(), store._shelf.guard:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)

    def work():
        with store.lock():
            return bool(store.put("x", b"1", expected=None))

    assert in_a_child(work) == 0
    done.set()
    thread.join()


def test_bytes_that_are_changed_after_a_put():
    store, data = MemoryStore(), bytearray(b"abc")
    store.put("x", data)
    data[0] = 0
    assert store.read("x", limit=3)[0] == b"abc"
