"""Blocks are asked for by the rules of filling.py. Times are counted in requests of a slow store, never in seconds of this machine."""

import contextlib
import gc
import threading
import time
import weakref

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from atlas_ds.dataset import open_shards
from atlas_ds.errors import CorruptError
from atlas_ds.store import requests as room
from atlas_ds.store.local import LocalStore
from stores import SlowStore
from support import same, write


def blobs(path, count=640, shard_size=32, size=900):
    rng = np.random.default_rng(0)
    rows = [{"i": i, "blob": rng.bytes(size)} for i in range(count)]
    return write(path, rows, shard_size=shard_size, block_size=4), rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return blobs(tmp_path_factory.mktemp("filling") / "d")


@pytest.fixture
def store(made):
    return SlowStore(LocalStore(made[0]), 0)


@pytest.fixture
def rows(made):
    return made[1]


def opened(store, **options):
    """A dataset whose shards are all open, and whose blocks are not there."""
    dataset = AtlasDataset(store, **options)
    for k in range(len(dataset.shards)):
        dataset.shard_set.shard(k)
    store.requests.clear()
    return dataset


def filling_of(dataset):
    return dataset.shard_set.keeper.filling


def at_once(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def test_rows_of_any_store(store, rows):
    dataset = AtlasDataset(store)
    assert same(list(dataset), rows) and same(dataset[-1], rows[-1]) and dataset.path == store.url
    assert dataset.batch([0, 639, 64])["blob"] == [rows[i]["blob"] for i in (0, 639, 64)]


def test_all_shards_of_a_call_are_opened_in_one_step(store):
    dataset = AtlasDataset(store)
    calls = store.calls
    dataset.batch(np.arange(0, 640, 32))
    assert store.calls == calls + 2, "one for the ends of twenty files, one for their blocks"


def test_a_hit_beside_a_miss(store, rows):
    dataset = opened(store)
    assert dataset[0]["i"] == 0
    store.delay = 1.0
    [miss] = at_once(lambda: dataset[639])
    while not store.requests or not store.now:
        time.sleep(0.001)
    hits = 0
    while miss.is_alive() and hits < 50:
        assert dataset[0]["i"] == 0
        hits += 1
    assert miss.is_alive(), "50 hits came while one miss waited"
    miss.join()


def test_a_cold_batch_asks_for_all_its_blocks_together(store, rows):
    dataset = opened(store)
    calls, store.delay = store.calls, 0.05
    at = np.random.default_rng(1).permutation(640)[:64]
    assert dataset.batch(at)["blob"] == [rows[i]["blob"] for i in at]
    assert store.calls == calls + 1 and store.most > 20


def test_threads_ask_side_by_side(store, rows):
    dataset = opened(store)
    store.delay, store.most = 0.5, 0
    at = np.random.default_rng(2).permutation(640)[:128].reshape(8, 16)
    wrong = []

    def read(part):
        if dataset.batch(part)["blob"] != [rows[i]["blob"] for i in part]:
            wrong.append(part)

    for thread in at_once(*[lambda part=part: read(part) for part in at]):
        thread.join()
    assert wrong == [] and store.most > 64, "requests of several threads were in flight together"


def test_sixteen_callers_of_one_block_make_one_request(store, rows):
    dataset = opened(store)
    store.delay = 0.2
    got = []
    for thread in at_once(*[lambda: got.append(dataset[5]["i"])] * 16):
        thread.join()
    assert got == [5] * 16 and len(store.requests) == len(set(store.requests)) <= 2


def test_a_request_that_fails_fails_those_who_need_it(store, rows):
    dataset = opened(store, columns=["blob"])
    dataset[0]
    blob = store.requests[-1]
    store.failing[(blob.name, blob.offset)] = 10**9
    other = opened(store, columns=["blob"])
    store.delay = 0.1
    out = {}

    def read(name, at):
        try:
            out[name] = other.batch(at)["blob"]
        except OSError as error:
            out[name] = error

    for thread in at_once(lambda: read("bad", [0, 100]), lambda: read("good", [100, 200]), lambda: read("also bad", [1])):
        thread.join()
    assert out["good"] == [rows[100]["blob"], rows[200]["blob"]]
    assert all(isinstance(out[name], OSError) and "the link broke" in str(out[name]) for name in ("bad", "also bad"))
    store.failing.clear()
    assert other[0]["blob"] == rows[0]["blob"], "and the next call asks again"


def test_a_block_whose_hash_is_wrong_is_asked_for_once_more(store, rows):
    dataset = opened(store, columns=["blob"])
    dataset[0]
    want = store.requests[-1]
    other = opened(store, columns=["blob"])
    store.wrong[(want.name, want.offset)] = 1
    assert other[0]["blob"] == rows[0]["blob"] and len(store.requests) == 2
    third = opened(store, columns=["blob"])
    store.wrong[(want.name, want.offset)] = 2
    with pytest.raises(CorruptError, match=r"chunk|block|page"):
        third[0]
    assert len(store.requests) == 2


def test_nearby_blocks_are_one_request(store):
    dataset = opened(store, columns=["blob"])
    list(dataset[:32])
    assert len(store.requests) < 8, "eight blocks that follow each other"
    store.requests.clear()
    dataset.batch([32, 63])
    assert len(store.requests) == 2, "these are far apart"


def test_requests_stay_below_the_limits(store, rows, monkeypatch):
    monkeypatch.setattr(room, "MAX_REQUESTS", 24)
    monkeypatch.setattr(room, "MAX_GAP", -1)
    dataset = opened(store)
    store.delay, store.most = 0.02, 0
    at = np.random.default_rng(3).permutation(640).reshape(4, 160)
    for thread in at_once(*[lambda part=part: dataset.batch(part) for part in at]):
        thread.join()
    assert 12 < store.most <= 24


def test_merged_ranges_are_bounded(monkeypatch, made):
    monkeypatch.setattr(room, "MAX_REQUEST", 5000)
    store = SlowStore(LocalStore(made[0]))
    dataset = opened(store, columns=["blob"])
    list(dataset[:64])
    largest = max(int(shard.blocks()["bytes"].max()) for shard in map(dataset.shard_set.shard, range(2)))
    assert largest <= max(want.size for want in store.requests) <= max(5000, largest)


def test_what_is_kept_stays_within_the_limit(made):
    path, rows = made
    dataset = AtlasDataset(path, io="pread", memory_limit=16 << 10)
    keeping = filling_of(dataset)
    order = np.random.default_rng(1).integers(0, 640, 800).tolist()
    for i in order:
        assert same(dataset[i], rows[i])
        assert keeping.used == sum(block.span.range_of(block.number)[1] for block in keeping._there) <= 16 << 10
    assert not any(keeping._there.values()) and len(keeping._there) > 2


def test_a_batch_larger_than_the_cache(made):
    path, rows = made
    dataset = AtlasDataset(path, io="pread", memory_limit=1)
    assert dataset.batch(slice(None))["i"].tolist() == list(range(640)) and same(dataset[7], rows[7]) and same(list(dataset), rows)
    assert filling_of(dataset).used == 0


def test_scan_access_and_dictionaries(tmp_path):
    rows = [{"s": f'{{"key": {i}, "another": "value {i % 7}", "more": [{i}, {i + 1}]}}' * 3} for i in range(3000)]
    for access in ("random", "scan"):
        path = write(tmp_path / access, rows, access=access, shard_size=1000)
        assert same(list(AtlasDataset(path, io="pread", memory_limit=4096)), rows)
        assert same(list(AtlasDataset(SlowStore(LocalStore(path)), memory_limit=4096)), rows)


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_cold_shards_are_closed(made, monkeypatch, io):
    path, rows = made
    monkeypatch.setattr(open_shards, "MAX_OPEN", 4)
    dataset = AtlasDataset(path, io=io)
    order = np.random.default_rng(5).permutation(640).tolist()
    for i in order[:300]:
        assert same(dataset[i], rows[i])
        assert len(dataset.shard_set.is_open) <= 5
    assert dataset.batch(order)["i"].tolist() == order, "a call that needs them all has them all"
    assert len(dataset.shard_set.is_open) <= 5 and same(list(dataset), rows)


def test_a_dataset_whose_request_failed_goes_with_its_last_reference(store, rows):
    """The traceback of the error must not keep it: a cache is large, and the collector may come late."""
    dataset = opened(store, columns=["blob"])
    dataset[0]
    want = store.requests[-1]
    gone = []
    other = opened(store, columns=["blob"])
    weakref.finalize(filling_of(other), gone.append, True)
    store.failing[(want.name, want.offset)] = 10**9
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(OSError):
            other[0]
        del other
        assert gone == [True]
    finally:
        gc.enable()


def test_permits_come_back():
    permits, calls = room.Permits(10), [room.Call() for _ in range(3)]
    assert permits.take(calls[0], [1] * 4) == 4 and permits.take(calls[1], [1] * 100) == 6
    [waiting] = at_once(lambda: permits.take(calls[2], [1] * 3))
    time.sleep(0.05)
    assert waiting.is_alive() and calls[2].permits == 0
    calls[0].permits = 0
    permits.given()
    waiting.join(20)
    assert calls[2].permits == 3
    del calls[1]  # of a call that was interrupted before it could say 0
    assert permits.take(room.Call(), [1] * 100) == 7


def test_large_requests_take_more_permits():
    permits, calls = room.Permits(10), [room.Call() for _ in range(3)]
    assert permits.take(calls[0], [4, 4, 4]) == 2 and calls[0].permits == 8
    assert permits.take(calls[1], [40, 1]) == 1, "one that is larger than all there are waits for nobody"
    [waiting] = at_once(lambda: permits.take(calls[2], [1]))
    calls[0].permits = 0
    permits.given()
    time.sleep(0.05)
    assert waiting.is_alive() and calls[2].permits == 0
    calls[1].permits = 0
    permits.given()
    waiting.join(20)
    assert calls[2].permits == 1


def mixed_reading(dataset, rows, seconds, threads=8):
    """Threads that read single rows, batches and runs, and compare every value. Returns (rows read, what was wrong)."""
    wrong, counts, end = [], [0] * threads, time.monotonic() + seconds

    def read(k):
        rng = np.random.default_rng(k)
        try:
            while time.monotonic() < end and not wrong:
                i = int(rng.integers(len(rows)))
                at = rng.integers(0, len(rows), 5)
                start = int(rng.integers(len(rows) - 8))
                good = same(dataset[i], rows[i]) and dataset.batch(at)["blob"] == [rows[j]["blob"] for j in at]
                if not good or not same(list(dataset[start : start + 8]), rows[start : start + 8]):
                    wrong.append((i, at, start))
                counts[k] += 14
        except BaseException as error:
            wrong.append(error)

    for thread in at_once(*[lambda k=k: read(k) for k in range(threads)]):
        thread.join()
    return sum(counts), wrong


def few_blocks(made):
    biggest = max(int(AtlasDataset(made[0], io="pread").shard_set.shard(k).blocks()["bytes"].max()) for k in range(20))
    return AtlasDataset(made[0], io="pread", memory_limit=4 * biggest)


def test_8_threads_with_room_for_4_blocks(made):
    count, wrong = mixed_reading(few_blocks(made), made[1], 10)
    assert wrong == [] and count > 1_000


@pytest.mark.campaign
def test_8_threads_with_room_for_4_blocks_for_an_hour(made):
    count, wrong = mixed_reading(few_blocks(made), made[1], 3600)
    assert wrong == [] and count > 600_000


def test_8_threads_with_shards_that_close(made, monkeypatch):
    monkeypatch.setattr(open_shards, "MAX_OPEN", 3)
    for io in ("mmap", "pread"):
        count, wrong = mixed_reading(AtlasDataset(made[0], io=io, memory_limit=8 << 10), made[1], 5)
        assert wrong == [] and count > 500
