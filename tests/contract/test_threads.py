"""Sixteen threads read one dataset at random, first touch included, and see what one thread sees."""

import sys
import threading

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from support import rich_rows, same, write


@pytest.mark.parametrize("options", [{}, {"copy": False}, {"verify": "always"}, {"io": "pread", "memory_limit": 2048}], ids=str)
@pytest.mark.parametrize("access", ["random", "scan"])
def test_random_reading(tmp_path, options, access):
    rows = rich_rows(80)
    path = write(tmp_path / "d", rows, shard_size=30, block_size=4, access=access)
    names = ["id", "text", "big", "wave", "note", "step"]
    rows = [{name: row[name] for name in names} for row in rows]
    wrong: list = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(3):
            dataset = AtlasDataset(path, columns=names, **options)
            barrier = threading.Barrier(16)

            def read(seed, dataset=dataset, barrier=barrier):
                rng = np.random.default_rng(seed)
                barrier.wait()
                try:
                    for _ in range(30):
                        i = int(rng.integers(80))
                        if not same(dataset[i], rows[i]):
                            wrong.append(i)
                        at = rng.integers(0, 80, 6)
                        batch = dataset.batch(at)
                        if batch["id"].tolist() != at.tolist() or batch["text"] != [rows[j]["text"] for j in at] or not same(batch["big"], np.stack([rows[j]["big"] for j in at])):
                            wrong.append(at)
                except Exception as error:
                    wrong.append(error)

            threads = [threading.Thread(target=read, args=(seed,)) for seed in range(16)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
