"""The cache on a disk: what is fetched once, what it takes, what happens to those who die in it. Requests are counted at the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds._core.base import PINS_BYTES, Pins
from atlas_ds.errors import CorruptError
from atlas_ds.store import cache as cache_module
from atlas_ds.store import ledger
from atlas_ds.store.byte_locks import ByteLocks
from atlas_ds.store.cache import cache_at
from atlas_ds.store.mirror import MAP
from servers import proxy
from support import remove_while_threads_read

ROWS = 4000
HERE = Path(__file__).resolve().parents[2]


def photo(i):
    return np.random.default_rng(i).bytes(500 + i % 900)


@pytest.fixture(scope="module")
def url(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "cars"
    with atlas.AtlasDatasetWriter(folder, shard_size=1000, block_size="16KiB") as writer:
        writer.extend({"label": i, "photo": photo(i), "text": f"car {i} " * 9} for i in range(ROWS))
    return server.upload(folder, "data", "cached")


@pytest.fixture
def opened(server, url, link, tmp_path):
    def opened(**options):
        return atlas.AtlasDataset(url, storage_options=server.options | {"endpoint": link.endpoint}, **{"cache": tmp_path / "cache"} | options)

    return opened


ORDER = np.random.default_rng(1).permutation(ROWS)


def right(dataset, at=ORDER, step=256):
    """Reads rows in batches, and compares each value."""
    for start in range(0, len(at), step):
        rows = at[start : start + step]
        found = dataset.batch(rows)
        assert found["label"].tolist() == rows.tolist()
        assert [bytes(one) for one in found["photo"][:5]] == [photo(int(i)) for i in rows[:5]]


def blocks(link, since=0):
    """Requests for parts of shards."""
    return [one for one in link.requests[since:] if one.range is not None]


def mirrors(folder):
    return [path for path in folder.glob("??/*") if not path.name.endswith(MAP)]


def taken(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def test_the_second_epoch_asks_for_nothing(opened, link):
    dataset = opened()
    right(dataset)
    seen = len(link.requests)
    right(dataset)
    assert link.requests[seen:] == []
    assert [dataset[i]["label"] for i in range(0, ROWS, 97)] == list(range(0, ROWS, 97)) and link.requests[seen:] == []


def test_another_process_finds_it(opened, link, server, url, tmp_path):
    right(opened())
    seen = len(link.requests)
    code = f"""
import numpy as np, atlas_ds as atlas
dataset = atlas.AtlasDataset({url!r}, storage_options={server.options | {"endpoint": link.endpoint}!r}, cache={str(tmp_path / "cache")!r})
assert dataset.batch(np.arange({ROWS}))["label"].tolist() == list(range({ROWS}))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [one.range for one in link.requests[seen:]] == [None], "the manifest, and nothing else"


def test_two_datasets_at_a_time_fetch_each_block_once(opened, link):
    one, other = opened(), opened()
    right(one, ORDER[:2000])
    seen = len(link.requests)
    right(other, ORDER[:2000])
    assert link.requests[seen:] == []


def test_threads_of_two_datasets_fetch_each_block_once(opened, link, tmp_path):
    datasets = [opened(), opened()]
    for dataset in datasets:
        assert [dataset[k]["label"] for k in range(0, ROWS, 1000)] == list(range(0, ROWS, 1000)), "all shards are open"
    seen = len(link.requests)
    threads = [threading.Thread(target=right, args=(dataset,)) for dataset in datasets for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    size = sum(path.stat().st_size for path in mirrors(tmp_path / "cache"))
    assert sum(stop - start for start, stop in (one.range for one in blocks(link, seen))) <= 1.02 * size


CHILD = """
import sys, numpy as np, atlas_ds as atlas
url, options, cache, seed = sys.argv[1], eval(sys.argv[2]), sys.argv[3], int(sys.argv[4])
dataset = atlas.AtlasDataset(url, storage_options=options, cache=cache)
print("open", flush=True)
sys.stdin.readline()
order = np.random.default_rng(seed).permutation(len(dataset))
for start in range(0, len(order), 128):
    assert dataset.batch(order[start:start + 128])["label"].tolist() == order[start:start + 128].tolist()
"""


def test_processes_at_a_time_fetch_each_block_once(server, url, link, tmp_path):
    def change(_, answer):
        time.sleep(0.001)
        return answer

    link.change = change
    arguments = [url, repr(server.options | {"endpoint": link.endpoint}), str(tmp_path / "cache")]
    children = [subprocess.Popen([sys.executable, "-c", CHILD, *arguments, str(k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for k in range(4)]
    for child in children:
        assert child.stdout.readline() == b"open\n"
    seen = len(link.requests)
    for child in children:
        child.stdin.write(b"\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    sizes = {path.stat().st_size for path in mirrors(tmp_path / "cache")}
    asked = [one.range for one in blocks(link, seen)]
    ends = [stop - start for start, stop in asked if stop in sizes]  # of shards: whoever opens one first, and those who open it at that moment
    assert len(ends) <= 4 * 4
    assert sum(stop - start for start, stop in asked) - sum(ends) <= 1.02 * sum(sizes), "small gaps are fetched with what lies beside them"


def test_a_limit_is_kept(opened, tmp_path):
    dataset = opened(cache_limit="1500KB")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(0, ROWS, 16):
            rows = ORDER[k : k + 16]
            assert dataset.batch(rows)["label"].tolist() == rows.tolist()
            assert taken(tmp_path / "cache") <= 1_500_000
    found = dataset.shard_set.keeper.filling.cache
    assert found.evictions > 100 and found.info().bytes <= 1_500_000


def test_what_is_needed_at_once_and_does_not_fit_is_kept_in_memory(opened):
    dataset = opened(cache_limit="1MiB")
    with pytest.warns(UserWarning, match=r"cache at .* needed at once, and the limit is"):
        right(dataset, step=2000)


def test_flipped_bits_are_fetched_once_more(opened, link, tmp_path):
    right(opened())
    for path in mirrors(tmp_path / "cache"):
        data = bytearray(path.read_bytes())
        for at in range(100_000, len(data) - 20_000, 100_000):
            data[at] ^= 4
        with path.open("r+b") as file:
            file.write(data)
    seen = len(link.requests)
    dataset = opened()
    right(dataset)
    fetched = blocks(link, seen)
    assert 4 <= len(fetched) <= 4 * 9
    seen = len(link.requests)
    right(dataset)
    right(opened())
    assert blocks(link, seen) == []


def test_what_is_wrong_at_the_store_too_is_an_error(opened, link):
    """And nobody else finds it."""
    other, dataset = opened(), opened()
    assert other[0]["label"] == dataset[0]["label"] == 0
    link.change = proxy.flipped
    with pytest.raises(CorruptError, match="hash"):
        dataset.batch(np.arange(900, 960))
    link.change = lambda _, answer: answer
    right(other, np.arange(900, 960))


def test_broken_ends_are_fetched_once_more(opened, link, tmp_path):
    right(opened())
    for path in mirrors(tmp_path / "cache"):
        with path.open("r+b") as file:
            file.seek(-2000, os.SEEK_END)
            file.write(bytes(2000))
    right(opened())
    right(opened())


def test_a_broken_map_is_made_anew(opened, tmp_path):
    right(opened())
    for number, path in enumerate(sorted((tmp_path / "cache").glob("??/*" + MAP))):
        data = path.read_bytes()
        path.write_bytes([b"", b"\xff" * len(data), data[:5000], data[:9000] + os.urandom(len(data) - 9000)][number])
    right(opened())


def test_a_cache_that_is_removed_is_made_again(opened, link, tmp_path):
    dataset = opened()
    right(dataset, ORDER[:2000])
    shutil.rmtree(tmp_path / "cache")
    right(dataset)
    seen = len(link.requests)
    right(dataset)
    assert link.requests[seen:] == [], "it is kept again"
    right(opened())
    assert mirrors(tmp_path / "cache")


def test_mirrors_that_are_removed_are_made_again(opened, link, tmp_path):
    dataset = opened()
    right(dataset, ORDER[:2000])
    for folder in (tmp_path / "cache").glob("??"):
        shutil.rmtree(folder)
    right(dataset)
    seen = len(link.requests)
    right(dataset)
    assert link.requests[seen:] == []


def test_a_full_disk(opened, monkeypatch, tmp_path):
    """Another one fills the disk: it goes on without the cache, after one warning."""
    dataset = opened()
    right(dataset, ORDER[:500])
    real, left = os.pwrite, iter(range(20))

    def pwrite(fd, data, offset):
        if next(left, None) is None:
            raise OSError(28, os.strerror(28))
        return real(fd, data, offset)

    monkeypatch.setattr("atlas_ds.store.mirror.os.pwrite", pwrite)
    with pytest.warns(UserWarning, match="No space left on device; this process goes on without it") as told:
        right(dataset)
        right(dataset)
    assert len([one for one in told if "goes on" in str(one.message)]) == 1


def test_forked_children_share_it(opened, link):
    dataset = opened()
    right(dataset, ORDER[:1000])
    pid = os.fork()
    if pid == 0:
        try:
            right(dataset, ORDER[:2000])
            assert dataset.shard_set.keeper.filling.cache.info().processes == 2
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    seen = len(link.requests)
    right(dataset, ORDER[:2000])
    assert link.requests[seen:] == []


def test_a_loader_reads_it(opened, link):
    dataset = opened()
    for shuffle in ("window", "exact"):
        seen = len(link.requests)
        labels = [label for batch in atlas.Loader(dataset, batch_size=64, shuffle=shuffle, last_batch="short", format="numpy") for label in batch["label"].tolist()]
        assert sorted(labels) == list(range(ROWS))
        ranges = [(one.path, one.range) for one in blocks(link, seen)]
        assert len(ranges) == len(set(ranges))
    assert ranges == [], "the first epoch has fetched everything"


def test_statistics_in_words(opened):
    loader = atlas.Loader(opened(), batch_size=64, shuffle="window", format="numpy")
    for _ in loader:
        pass
    counts = loader.stats().links[0].counts()
    assert counts["requests"] >= 4 and counts["bytes"] > 3e6 and counts["busy"] > 0 and counts["hits"] == 0
    assert "the store: " in str(loader.stats()) and "the link was busy" in str(loader.stats()) and "; 0 % of the reads found" in str(loader.stats())
    for _ in loader:
        pass
    hits = loader.stats().links[0].counts()["hits"]
    assert hits >= counts["blocks"], "a block of labels is read for several chunks"
    assert f"nothing was asked for; all {hits:,} reads found their block in the cache or in memory" in str(loader.stats())


def test_hits_are_counted_exactly(opened):
    """A read is that of a column, by rows one after another in a block."""
    dataset, rows = opened(), np.arange(ROWS)
    half = rows[: ROWS // 2]
    traffic = dataset.shard_set.keeper.filling.requests.traffic
    dataset.shard_set.ask(dataset.projection, half)
    assert traffic.hits == 0
    dataset.shard_set.ask(dataset.projection, half)
    reads = 0
    for name in dataset.schema.names:
        one = opened(columns=[name])
        one.shard_set.ask(one.projection, half)
        reads += len(one.shard_set.needs(one.projection, half))
    assert traffic.hits == reads > 10
    dataset.shard_set.ask(dataset.projection, rows)
    assert traffic.hits == 2 * reads, "of all rows, those of the first half"
    assert dataset.shard_set.ask(dataset.projection, np.array([0, ROWS - 1, 0])) is None
    assert traffic.hits == 2 * reads + 3 * len(dataset.schema.names)


def test_arguments(opened, tmp_path, url):
    with pytest.raises(ValueError, match="cache_limit='1KB': give at least"):
        opened(cache_limit="1KB")
    with pytest.raises(ValueError, match="cache_limit='lots'"):
        opened(cache_limit="lots")
    with atlas.AtlasDatasetWriter(tmp_path / "d") as writer:
        writer.add_example({"i": 1})
    with pytest.raises(ValueError, match="is for URLs, and this is a folder"):
        atlas.AtlasDataset(tmp_path / "d", cache=tmp_path / "cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cache="):
        opened(cache=tmp_path / "file")
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "notes").touch()
    with pytest.raises(OSError, match="others may read or write it; give a folder that is yours alone"):
        opened(cache=tmp_path / "open")
    (tmp_path / "new").mkdir(mode=0o755)
    assert opened(cache=tmp_path / "new")[0]["label"] == 0 and (tmp_path / "new").stat().st_mode & 0o777 == 0o700, "an empty folder is made for it"


def test_without_a_place_for_a_cache(server, url, link, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "file" / "x"))
    with pytest.warns(UserWarning, match="blocks are kept in memory: set ATLAS_CACHE_DIR"):
        dataset = atlas.AtlasDataset(url, storage_options=server.options | {"endpoint": link.endpoint})
    right(dataset, ORDER[:500])


def test_a_block_that_another_process_fetches_forever(opened, monkeypatch):
    """It is stopped, not killed: the others go on without the cache."""
    dataset = opened()
    assert dataset[0]["label"] == 0
    monkeypatch.setattr(cache_module, "FETCH_PATIENCE", 0.3)
    span = dataset.shard_set.shard(0).holes
    found = dataset.shard_set.keeper.filling.cache
    claim = cache_module.Claim(found._locks)
    for number in range(len(span.states)):
        if not span.states[number]:
            claim.take(span.mirror, number)
    with pytest.warns(UserWarning, match="another process has been fetching a block"):
        right(dataset, np.arange(1000))
    claim.end()


def test_a_reader_that_stays_inside(opened, monkeypatch):
    """What it reads cannot be evicted: there is no room, and the others go on in memory."""
    monkeypatch.setattr(cache_module, "ROOM_PATIENCE", 0.3)
    monkeypatch.setattr(cache_module, "READER_PATIENCE", 0.1)
    dataset = opened(cache_limit="1500KB")
    right(dataset, ORDER[:16])
    found = cache_at(dataset.shard_set.keeper.filling.cache.folder)
    monkeypatch.setattr(type(found), "_drained", lambda self: False)
    with pytest.warns(UserWarning, match="no room for"):
        for k in range(0, ROWS, 16):
            rows = ORDER[k : k + 16]
            assert dataset.batch(rows)["label"].tolist() == rows.tolist()


def test_a_cache_that_is_removed_while_threads_read_it(opened, tmp_path):
    dataset = opened()
    remove_while_threads_read(tmp_path / "cache", lambda rng: right(dataset, rng.integers(0, ROWS, 400), step=100), times=8)


def test_threads_that_wait_together_for_a_reader_in_memory_that_was_left():
    """Of a cache that was removed: each of them finds the reader gone."""
    left = bytearray(PINS_BYTES)
    pins = Pins()
    pins.move(bytearray(PINS_BYTES), 0, Pins(left))
    left[0] = 1  # readers inside
    found = []
    threads = [threading.Thread(target=lambda: found.append(pins.drained(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    left[0] = 0
    for thread in threads:
        thread.join(30)
    assert found == [True] * 4


RESERVES = """
import os, sys
from pathlib import Path
from atlas_ds.store import ledger
from atlas_ds.store.byte_locks import ByteLocks
from atlas_ds.store.cache import cache_at
from atlas_ds.store.ledger import Reservation
found = cache_at(Path(sys.argv[1]))
assert found._ledger.reserve(Reservation(), 600_000, 1_500_000)
os.kill(os.getpid(), 9)
"""


def test_what_the_dead_have_reserved_is_free_again(opened, tmp_path):
    right(opened(cache_limit="1500KB"), ORDER[:16])
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", RESERVES, str(tmp_path / "cache")]).returncode == -9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right(opened(cache_limit="1500KB"), ORDER[:1000], step=16)


def test_the_sum_is_never_below_the_truth(opened, tmp_path):
    dataset = opened()
    right(dataset, ORDER[:2000])
    found = dataset.shard_set.keeper.filling.cache
    for path in mirrors(tmp_path / "cache")[:2]:
        path.unlink()
    right(dataset)
    right(opened())
    assert found.info().bytes >= taken(tmp_path / "cache")
    assert found.clear() > 0 and taken(tmp_path / "cache") <= found.info().bytes < 300_000
    right(dataset)
    assert found.info().bytes >= taken(tmp_path / "cache")


def test_strange_files_in_it(opened, tmp_path):
    right(opened(), ORDER[:500])
    for number, name in enumerate(["notes", "a" * 64, "a" * 64 + MAP, "b" * 64 + MAP]):
        folder = tmp_path / "cache" / (name[:2] if number else "zz")
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x" * 5000)
    (tmp_path / "cache" / "cc").write_bytes(b"not a folder")
    right(opened(cache_limit="1500KB"), step=16)
    assert not (tmp_path / "cache" / "aa" / ("a" * 64)).exists() and (tmp_path / "cache" / "zz" / "notes").exists()


def test_a_ledger_that_another_process_holds_forever(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE", 0.2)
    dataset = opened()
    right(dataset, ORDER[:100])
    other = ByteLocks(tmp_path / "cache" / "lock")
    me = object()
    assert other.try_take(ledger.LEDGER_LOCK, me)
    with pytest.warns(UserWarning, match="has held the lock of byte 0 .* goes on without it"):
        right(dataset)
    other.give(ledger.LEDGER_LOCK, me)


def test_a_fork_after_the_cache_was_removed(opened, tmp_path):
    dataset = opened()
    right(dataset, ORDER[:500])
    shutil.rmtree(tmp_path / "cache")
    right(dataset, ORDER[500:1000])
    pid = os.fork()
    if pid == 0:
        try:
            right(dataset, ORDER[:1500])
            os._exit(0 if dataset.shard_set.keeper.filling.cache.info().processes == 2 else 2)
        except BaseException:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
