"""Writing to object stores: the rules of a store on real ones, and answers that are lost, refused or late."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time

import pytest

from atlas_ds.errors import CommitConflict, StoreError, UnsupportedError
from atlas_ds.store import leased_log, spool
from atlas_ds.store.object import ObjectStore
from atlas_ds.testing import check_store
from servers import azure, proxy, s3
from servers.proxy import Answer

numbers = itertools.count()
MARK = "0123456789abcdef"


@pytest.fixture
def store(server, link):
    return ObjectStore(f"s3://data/writing/{next(numbers)}", server.options | {"endpoint": link.endpoint})


def puts(link, name):
    return [one for one in link.requests if one.method == "PUT" and one.path.split("?")[0].endswith(name)]


def once(wrong, times=1, method="PUT", name="x"):
    """Does something to the first answers about a file."""
    left = [times]

    def change(request, answer):
        if request.method == method and request.path.split("?")[0].endswith(name) and left[0]:
            left[0] -= 1
            return wrong(request, answer)
        return answer

    return change


def test_the_rules(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.KEY)  # for stores that were pickled
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.SECRET)
    check_store(lambda: ObjectStore(f"s3://data/writing/{next(numbers)}", server.options))


def test_the_rules_on_azure(tmp_path, monkeypatch):
    with azure.running(tmp_path) as options:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azure.KEY)
        check_store(lambda: ObjectStore(f"az://data/writing/{next(numbers)}", options))


def test_the_rules_in_a_forked_child(server):
    url = f"s3://data/writing/{next(numbers)}"

    def child():
        store = ObjectStore(url, server.options)
        first = store.put("x", b"one", expected=None)
        with pytest.raises(CommitConflict):
            store.put("x", b"two", expected=None)
        store.put("x", b"two", expected=first)
        file = store.new_file("label")
        file.write(bytes(20_000_000))
        assert file.publish("y").result(60) == store.info("y")
        assert store.read("x", limit=10)[0] == b"two" and store.info("y").size == 20_000_000

    assert list(ObjectStore("s3://data/writing", server.options).list()) is not None  # so that this process has used its client
    pid = os.fork()
    if pid == 0:
        try:
            child()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


# --- conditions ---


@pytest.mark.parametrize("before", [None, b"old"])
def test_an_answer_that_is_lost(store, link, before):
    expected = None if before is None else store.put("x", before)
    link.change = once(proxy.reset)
    version = store.put("x", b"new", expected=expected)
    assert store.read("x", limit=10) == (b"new", version)
    link.change = once(proxy.reset, times=2)
    assert store.put("x", b"newer", expected=version) == store.info("x").version


def test_an_answer_that_is_lost_before_another_writer(store, link, server):
    other = ObjectStore(store.url, server.options)

    def lost(request, answer):
        other.put("x", b"other")
        return Answer(0, {}, b"")

    link.change = once(lost)
    with pytest.raises(CommitConflict, match="already exists"):
        store.put("x", b"new", expected=None)


def test_equal_bytes_of_another_writer_are_no_success(store, server):
    first = store.put("x", b"1")
    ObjectStore(store.url, server.options).put("x", b"2", expected=first)
    with pytest.raises(CommitConflict, match="was replaced by another writer"):
        store.put("x", b"2", expected=first)


@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_an_answer_that_asks_for_patience(store, link, code):
    store.put("y", b"1", expected=None)
    link.change = once(proxy.status(code), times=2)
    assert store.put("x", b"new", expected=None) == store.info("x").version


def test_a_store_that_stays_ill(server, link):
    store = ObjectStore(f"s3://data/writing/{next(numbers)}", server.options | {"endpoint": link.endpoint, "timeout": 2})
    store.put("y", b"1", expected=None)
    link.change = lambda request, answer: proxy.status(500)(request, answer) if request.path.endswith("/x") else answer
    began = time.monotonic()
    with pytest.raises(StoreError, match="x: cannot be written"):
        store.put("x", b"new", expected=None)
    assert time.monotonic() - began < 20


def test_a_store_that_looks_at_no_conditions(store, link):
    def says_yes(_, answer):
        return Answer(200, {"ETag": '"0"', "Content-Length": "0"}, b"") if answer.status == 412 else answer

    link.change = says_yes
    with pytest.raises(UnsupportedError, match=r"does not look at conditions.*single_writer=True"):
        store.put("x", b"1", expected=None)
    store.put("x", b"1")
    store.alone = True
    version = store.put("x", b"2", expected=store.info("x").version)
    with pytest.raises(CommitConflict):
        store.put("x", b"3", expected=None)
    assert store.inside("p").alone and store.info("x").version == version
    pid = os.fork()
    if pid == 0:
        try:
            store.put("x", b"4", expected=version)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0 and store.read("x", limit=10)[0] == b"4"


def test_it_is_asked_once_what_a_store_can_do(store, link):
    for k in range(5):
        store.put(f"x{k}", b"1", expected=None)
    ObjectStore(store.url, store.options).put("y", b"1", expected=None)
    assert len(puts(link, "/.atlas-probe")) == 3
    assert [one.name for one in store.list()] == ["x0", "x1", "x2", "x3", "x4", "y"] == sorted(store.entries())


# --- large files ---


def test_a_file_that_is_sent_again(store, link):
    data = os.urandom(30_000_000)
    link.change = once(proxy.reset, times=2)
    file = store.new_file("label")
    for start in range(0, len(data), 999_983):
        file.write(data[start : start + 999_983])
    info = file.publish("x").result(60)
    assert info == store.info("x") and info.size == len(data)
    with store.stream("x") as found:
        assert found.read() == data


def test_two_are_sent_at_a_time_and_others_wait(store, link):
    file = store.new_file("label")
    file.write(b"1")
    taken = [spool.places.take() for _ in range(spool.AT_ONCE)]
    done = []
    waiting = threading.Thread(target=lambda: done.append(file.publish("a").result(30)))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive() and done == []
    for give_back in taken:
        give_back()
    waiting.join(30)
    assert done[0].name == "a"


def test_a_spooled_file_leaves_nothing(store, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for end in ("discard", "publish"):
        file = store.new_file("label")
        file.write(b"1" * 100)
        file.publish("x").result(30) if end == "publish" else file.discard()
    with pytest.raises(ValueError, match="is already published"):
        file.write(b"more")
    open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
    assert list(tmp_path.iterdir()) == [] and not any(str(tmp_path) in path for path in open_files)


def test_a_child_that_frees_a_file_writes_nothing_into_it(store):
    file = store.new_file("label")
    file.write(b"1" * 1000)
    pid = os.fork()
    if pid == 0:
        del file  # with what is in its buffer
        os._exit(0)
    os.waitpid(pid, 0)
    file.write(b"2" * 1000)
    assert file.publish("x").result(30).size == 2000
    assert store.read("x", limit=10_000)[0] == b"1" * 1000 + b"2" * 1000


def test_an_interrupt_while_a_file_is_being_sent_stops_nothing(store, monkeypatch):
    started = threading.Thread.start

    def interrupted(thread):
        started(thread)
        if thread.name == "atlas-upload":
            raise KeyboardInterrupt

    file = store.new_file("label")
    file.write(b"1" * 1000)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        file.publish("x")
    file.discard()  # as a shard does then
    end = time.monotonic() + 20
    while not list(store.list()) and time.monotonic() < end:
        time.sleep(0.05)
    assert store.info("x").size == 1000 and spool.places._free._value <= spool.AT_ONCE


# --- logs ---


def test_a_log_that_another_writer_takes_over(store):
    first = store.new_log("log", lambda held: b"first\n" if held else b"", MARK)
    second = store.new_log("log", lambda _: b"second\n", MARK)
    first.append(b"more\n")
    with pytest.raises(CommitConflict, match="another writer has taken it over"):
        first.sync()
    for call in (first.sync, lambda: first.append(b"more\n")):
        with pytest.raises(CommitConflict, match="another writer has taken it over"):
            call()
    first.close()
    assert store.is_held("log") and store.read("log", limit=100)[0] == b"second\n"
    second.close()


def test_a_log_whose_answer_comes_too_late(server, link):
    store = ObjectStore(f"s3://data/writing/{next(numbers)}", server.options | {"endpoint": link.endpoint, "timeout": 1})
    log = store.new_log("log", lambda _: b"first\n", MARK)

    def late(_, answer):
        answer.stall = 3
        return answer

    log.append(b"second\n")
    link.change = once(late, name="/log")
    with pytest.raises(StoreError, match="no answer within 1 s"):
        log.sync()
    log.append(b"third\n")
    log.sync()
    assert store.read("log", limit=100)[0] == b"first\nsecond\nthird\n"
    log.append(b"fourth\n")
    link.change = once(late, name="/log")
    with pytest.raises(StoreError):
        log.sync()
    other = store.new_log("log", lambda _: b"other\n", MARK)
    with pytest.raises(CommitConflict, match="another writer has taken it over"):
        log.sync()
    log.close()
    other.close()
    assert store.read("log", limit=100)[0] == b"other\n"


def test_a_log_whose_holder_has_died(store, monkeypatch):
    log = store.new_log("log", lambda _: b"first\n", MARK)
    assert store.is_held("log")
    monkeypatch.setattr("atlas_ds.store.object.LEASE", 1.0)
    end = time.monotonic() + 20
    while store.is_held("log") and time.monotonic() < end:
        time.sleep(0.2)
    assert not store.is_held("log")
    monkeypatch.setattr(leased_log, "BEAT", 0.0)
    assert log.keep() and store.is_held("log"), "one that lives says so"
    log.close()


def test_a_log_that_was_removed_stays_away(store):
    log = store.new_log("log", lambda _: b"first\n", MARK)
    store.delete(["log"])
    log.close()
    assert list(store.list()) == []


def test_a_long_log_is_not_written_for_each_line(store, link):
    log = store.new_log("log", lambda _: b"x" * 100_000, MARK)
    for _ in range(200):
        log.append(b"y" * 100)
        log.sync()
    assert 10 <= len(puts(link, "/log")) <= 30
    log.close()
    assert len(store.read("log", limit=1 << 20)[0]) == 120_000


def test_a_forked_child_leaves_its_parents_log_alone(store):
    log = store.new_log("log", lambda _: b"first\n", MARK)
    pid = os.fork()
    if pid == 0:
        log.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert store.is_held("log")
    log.append(b"second\n")
    log.sync()
    log.close()
    assert not store.is_held("log")


# --- what cannot be written ---


def test_web_servers_are_not_written_to():
    store = ObjectStore("http://127.0.0.1:1/x", {"allow_http": True})
    for call in (store.create, lambda: store.put("x", b""), lambda: store.new_file("x"), lambda: store.new_log("x", lambda _: b"", MARK)):
        with pytest.raises(UnsupportedError, match="HTTP servers are read, and not written to"):
            call()
