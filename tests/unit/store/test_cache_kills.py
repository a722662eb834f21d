"""Readers of one cache that are killed at any moment: no wrong byte, no more on the disk than the limit, no long wait."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import atlas_ds as atlas


def taken(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


READER = """
import sys, time, warnings, numpy as np, atlas_ds as atlas
warnings.simplefilter("error")
url, options, cache, seed, limit = sys.argv[1], eval(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
dataset = atlas.AtlasDataset(url, storage_options=options, cache=cache, cache_limit=limit)
rng = np.random.default_rng(seed)
while True:
    rows = rng.integers(0, len(dataset), 8)
    began = time.monotonic()
    found = dataset.batch(rows)
    took = time.monotonic() - began
    for row, label, data in zip(rows.tolist(), found["label"].tolist(), found["photo"], strict=True):
        if label != row or bytes(data) != np.random.default_rng(row).bytes(30_000 + row % 900):
            print("wrong", row, flush=True)
    print("took", took, flush=True)
"""
LARGE_ROWS = 3000  # about 90 MB


@pytest.fixture(scope="module")
def large(server, tmp_path_factory):
    """(url, a twentieth of its bytes)"""
    folder = tmp_path_factory.mktemp("d") / "large"
    with atlas.AtlasDatasetWriter(folder, shard_size="8MiB") as writer:
        writer.extend({"label": i, "photo": np.random.default_rng(i).bytes(30_000 + i % 900)} for i in range(LARGE_ROWS))
    return server.upload(folder, "data", "large"), taken(folder) // 20


@pytest.fixture
def small_disk(tmp_path, large):
    """A file system with 5 % more than the limit, where this process may make one; else a folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={large[1] * 105 // 100 // 4096 * 4}k", "atlas", folder], capture_output=True).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def killed_readers(server, url, limit, folder, seconds, readers=8, seed=0):
    """Readers of one cache that is too small for the data, one of which is killed each second. Returns (batches read, longest wait, most bytes there,
    what was wrong)."""
    rng = random.Random(seed)
    numbers = iter(range(10**6))
    files = {}

    def start():
        number = next(numbers)
        out = (folder.parent / f"out-{number}").open("w+b")
        child = subprocess.Popen([sys.executable, "-c", READER, url, repr(server.options), str(folder / "c"), str(number), str(limit)], stdout=out, stderr=subprocess.STDOUT)
        files[child] = out
        return child

    running = [start() for _ in range(readers)]
    end, most = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(20):
            time.sleep(0.05)
            most = max(most, taken(folder))
        victim = rng.randrange(readers)
        running[victim].send_signal(signal.SIGKILL)
        running[victim].wait()
        running[victim] = start()
    for child in running:
        child.kill()
        child.wait()
    batches, waited, wrong = 0, 0.0, []
    for out in files.values():
        out.seek(0)
        for line in out.read().decode().splitlines():
            if line.startswith("took"):
                batches, waited = batches + 1, max(waited, float(line.split()[1]))
            else:
                wrong.append(line)
        out.close()
    return batches, waited, most, wrong


def check_readers_that_are_killed(server, large, folder, seconds):
    url, limit = large
    batches, waited, most, wrong = killed_readers(server, url, limit, folder, seconds)
    print(f"{batches:,} batches, longest wait {waited:.2f} s, at most {most:,} bytes of {limit:,}")
    assert not wrong and batches > 2 * seconds, (batches, wrong[:20])
    assert waited < 30 and most <= limit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = atlas.AtlasDataset(url, storage_options=server.options, cache=folder / "c", cache_limit=limit)
        rows = np.random.default_rng(7).integers(0, LARGE_ROWS, 64)
        assert [label for k in range(0, 64, 8) for label in dataset.batch(rows[k : k + 8])["label"].tolist()] == rows.tolist()


def test_readers_that_are_killed(server, large, small_disk):
    check_readers_that_are_killed(server, large, small_disk, 60)


@pytest.mark.campaign
def test_readers_that_are_killed_for_long(server, large, small_disk):
    check_readers_that_are_killed(server, large, small_disk, 600)
