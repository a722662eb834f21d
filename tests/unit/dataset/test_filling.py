"""io="pread": blocks come and go within a few KB, and rows are the same as through mmap."""

import os
import signal
import threading

import numpy as np

from atlas_ds import AtlasDataset
from atlas_ds.dataset import filling as room
from support import same, write


def blobs(path, count=200):
    rng = np.random.default_rng(0)
    rows = [{"i": i, "blob": rng.bytes(900), "text": f"row {i} " * 20} for i in range(count)]
    return write(path, rows, shard_size=64, block_size=4), rows


def fillings(limit):
    """The live fillings of datasets opened with this cache_bytes."""
    return [filling for filling in room._all if filling._limit == limit and filling._shards]


def test_equality_and_eviction(tmp_path, monkeypatch):
    path, rows = blobs(tmp_path / "d")
    loads = []
    load = room.Filling._load
    monkeypatch.setattr(room.Filling, "_load", lambda self, key: (loads.append(key), load(self, key)))
    dataset = AtlasDataset(path, io="pread", cache_bytes=16 << 10)
    order = np.random.default_rng(1).integers(0, 200, 600).tolist()
    assert all(same(dataset[i], rows[i]) for i in order)
    assert len(loads) > 2 * len(set(loads)) > 100


def test_held_bytes_stay_within_the_limit(tmp_path):
    path, rows = blobs(tmp_path / "d")
    dataset = AtlasDataset(path, io="pread", cache_bytes=16 << 10)
    assert same(list(dataset), rows) and same(dataset.batch([0, 199, 64])["blob"], [rows[i]["blob"] for i in (0, 199, 64)])
    mine = fillings(16 << 10)
    for guard in mine:
        dataset[0]
        biggest = max(int(blocks["bytes"].max()) for _, _, blocks, *_ in guard._shards.values())
        assert guard._held == sum(int(guard._shards[k][2][n]["bytes"]) for k, n in guard._present) and not any(guard._present.values())
        assert guard._held <= max(16 << 10, biggest)
    assert mine


def test_a_batch_larger_than_the_cache(tmp_path):
    path, rows = blobs(tmp_path / "d")
    dataset = AtlasDataset(path, io="pread", cache_bytes=1)
    assert dataset.batch(slice(None))["i"].tolist() == list(range(200)) and same(dataset[7], rows[7]) and same(list(dataset), rows)


def test_sixteen_threads(tmp_path):
    path, rows = blobs(tmp_path / "d")
    dataset = AtlasDataset(path, io="pread", cache_bytes=8 << 10)
    wrong: list = []

    def read(seed):
        rng = np.random.default_rng(seed)
        try:
            for _ in range(60):
                i = int(rng.integers(200))
                if not same(dataset[i], rows[i]):
                    wrong.append(i)
                at = rng.integers(0, 200, 5)
                if dataset.batch(at)["blob"] != [rows[j]["blob"] for j in at]:
                    wrong.append(at)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_scan_access_and_dictionaries(tmp_path):
    rows = [{"s": f'{{"key": {i}, "another": "value {i % 7}", "more": [{i}, {i + 1}]}}' * 3} for i in range(3000)]
    for access in ("random", "scan"):
        path = write(tmp_path / access, rows, access=access, shard_size=1000)
        assert same(list(AtlasDataset(path, io="pread", cache_bytes=4096)), rows)
        assert AtlasDataset(path, io="pread", cache_bytes=4096)[2999] == rows[2999]


def test_a_fork_while_another_thread_reads(tmp_path):
    path, rows = blobs(tmp_path / "d")
    dataset = AtlasDataset(path, io="pread", cache_bytes=8 << 10)
    assert same(list(dataset), rows)
    (filling,) = fillings(8 << 10)
    held, done = threading.Event(), threading.Event()

    def hold():
        with filling._lock:
            filling._held += 12345  # between two steps of its bookkeeping
            held.set()
            done.wait()
            filling._held -= 12345

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        good = same([dataset[i] for i in range(0, 200, 9)], rows[::9]) and filling._held <= 8 << 10
        os._exit(0 if good else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    done.set()
    thread.join()
    assert status == 0
