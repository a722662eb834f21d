"""Large calls on compressed columns share their rows with a helper thread: the values, the errors and the life of the process stay the same."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter
from atlas_ds.errors import CorruptError
from support import child

WORDS = ["atlas", "shard", "block", "page", "cell", "column", "row", "view", "order", "span"]


def rows_of(count):
    draw = random.Random(7)
    return [{"id": f"row-{i}", "text": " ".join(draw.choices(WORDS, k=draw.randrange(5, 90)))} for i in range(count)]


ROWS = rows_of(6000)


@pytest.fixture(scope="module", params=["random", "scan"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("helper") / request.param
    with AtlasDatasetWriter(path, shard_size=2500, access=request.param, block_size="16KiB") as writer:
        writer.extend(ROWS)
    return path


def expected(indices):
    return {"id": [ROWS[i]["id"] for i in indices], "text": [ROWS[i]["text"] for i in indices]}


@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("count", [63, 64, 65, 1000, 6000])
def test_a_shared_batch_has_the_same_values(path, io, count):
    ds = AtlasDataset(path, io=io)
    for seed in range(3):
        indices = np.random.default_rng(seed).integers(0, len(ROWS), count)
        assert ds.batch(indices) == expected(indices)
        assert ds.__getitems__(indices.tolist()) == [ROWS[i] for i in indices]
    assert ds.batch([4000] * count) == expected([4000] * count)
    assert list(ds) == ROWS


def test_many_threads_want_the_helper(path):
    ds = AtlasDataset(path)

    def work(seed):
        for turn in range(20):
            indices = np.random.default_rng((seed, turn)).integers(0, len(ROWS), 256)
            assert ds.batch(indices) == expected(indices)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_damage_in_either_half_is_named(path, tmp_path):
    ds = AtlasDataset(path)
    shard = ds.shards[0]
    data = bytearray((path / shard.path).read_bytes())
    middle = shard.bytes // 2  # pages of values: most of the file
    data[middle] ^= 1
    for name in os.listdir(path):
        (tmp_path / name).write_bytes((path / name).read_bytes())
    (tmp_path / shard.path).write_bytes(data)
    hurt = AtlasDataset(tmp_path)
    for indices in (np.arange(shard.rows), np.arange(shard.rows)[::-1]):
        with pytest.raises(CorruptError, match=shard.path):
            hurt.batch(indices)
    whole = np.arange(shard.rows, len(ROWS))
    assert hurt.batch(whole) == expected(whole)


def test_a_fork_after_the_helper_began_reads_alone(path):
    child(f"""
import os, threading
import numpy as np
from atlas_ds import AtlasDataset
ds = AtlasDataset({str(path)!r})
want = ds.batch(np.arange(3000))
before = len(os.listdir("/proc/self/task"))
for turn in range(20):
    child = os.fork()
    if child == 0:
        ok = ds.batch(np.arange(3000)) == want and len(os.listdir("/proc/self/task")) == 1
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ds.batch(np.arange(3000)) == want
assert len(os.listdir("/proc/self/task")) <= before
""")
