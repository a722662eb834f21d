"""Nothing is left: threads, descriptors, files in memory, memory; and what is still held is never written over."""

import gc
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas_ds import AtlasDataset, Sampler
from atlas_ds.loader.buffers import Buffers
from support import fd_count, same, write
from unit.loader import parts
from unit.loader.parts import load


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def held() -> tuple[int, int, list[str], int]:
    """Threads, descriptors, files in memory of the loader, child processes."""
    gc.collect()
    names = sorted(name for name in os.listdir("/dev/shm") if name.startswith(("atlas-batch", "torch_"))) if os.path.isdir("/dev/shm") else []
    return threading.active_count(), fd_count(), names, len(children())


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def nothing_is_left(before) -> None:
    end = time.monotonic() + 20
    while held() != before:
        assert time.monotonic() < end, f"{before} became {held()}: {threading.enumerate()}"
        time.sleep(0.02)


def cycles(path, times, **options):
    """Iterates, and ends in every way there is."""
    dataset = AtlasDataset(path)
    for k in range(times):
        loader = load(dataset, batch_size=50, format="torch" if k % 2 else "numpy", **options)
        batches = iter(loader)
        if k % 5 == 0:
            continue
        next(batches)
        if k % 5 == 1:
            loader.close()
        elif k % 5 == 2:
            batches.close()
        elif k % 5 == 3:
            list(batches)


def no_leak(path, times, most, **options):
    cycles(path, 10, **options)
    before, memory = held(), resident()
    cycles(path, times, **options)
    nothing_is_left(before)
    assert resident() - memory < most, f"{(resident() - memory) / 1e6:.1f} MB more after {times} cycles"


def test_cycles(numbers):
    no_leak(numbers, 100, 8 << 20, num_threads=4)
    no_leak(numbers, 20, 8 << 20, num_threads=3, transform=parts.as_it_is, prefetch=1)


def test_cycles_with_processes(numbers):
    cycles(numbers, 1, transform_processes=1)  # the fork server stays
    before = held()
    cycles(numbers, 5, transform_processes=2, transform_example=parts.as_it_is)
    nothing_is_left(before)


@pytest.mark.campaign
def test_a_thousand_cycles(numbers):
    no_leak(numbers, 1000, 16 << 20, num_threads=4)
    no_leak(numbers, 1000, 16 << 20, num_threads=3, transform=parts.as_it_is, prefetch=1)


@pytest.mark.campaign
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_twenty_cycles_with_processes(numbers, method):
    cycles(numbers, 1, transform_processes=1, start_method=method)
    before = held()
    cycles(numbers, 20, transform_processes=2, start_method=method)
    cycles(numbers, 20, transform_processes=2, start_method=method, transform_example=parts.slowly, prefetch=1)
    nothing_is_left(before)


def test_epochs_do_not_grow(numbers):
    loader = load(AtlasDataset(numbers), num_threads=2, format="torch")
    for _ in range(10):
        list(loader)
    before, memory = held(), resident()
    for _ in range(60):
        for batch in loader:
            assert len(batch["i"])
    batch = None
    nothing_is_left(before)
    assert resident() - memory < 8 << 20


# --- buffers ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """4,000 rows of 4 KB."""
    rows = ({"i": i, "x": np.full(1024, i, np.float32), "s": {"y": np.int16(i)}} for i in range(4000))
    return write(tmp_path_factory.mktemp("memory") / "wide", rows, shard_size=1500, compression="none")


@pytest.mark.parametrize("format", ["numpy", "torch"])
@pytest.mark.parametrize("batch_size", [1, 16, 300])
def test_batches_that_are_kept_stay_what_they_are(wide, format, batch_size):
    dataset = AtlasDataset(wide)[:1500]
    kept, parts_kept = [], []
    for _ in range(2):
        for number, batch in enumerate(load(dataset, batch_size=batch_size, format=format, num_threads=3)):
            kept.append(batch if number % 3 == 0 else None)
            parts_kept.append((batch["i"].tolist(), batch["x"][-1:, ::7]) if number % 3 == 1 else None)
    rows = [step for _ in range(2) for step in Sampler(dataset, batch_size=batch_size, seed=5, last_batch="short")]
    for batch, own, step in zip(kept[: len(kept) // 2], parts_kept, rows):
        if batch is not None:
            assert batch["i"].tolist() == step and all((batch["x"][k] == i).all() and batch["s"]["y"][k] == i for k, i in enumerate(step))
        if own is not None:
            assert own[0] == step and (own[1] == step[-1]).all()


def test_buffers(wide):
    buffers = Buffers(AtlasDataset(wide).schema.fields, 10)
    first = buffers.acquire(10)
    assert {name: (array.shape, array.dtype.name) for name, array in first.items()} == {
        "i": ((10,), "int64"),
        "x": ((10, 1024), "float32"),
        "s.y": ((10,), "int16"),
    }
    address = first["x"].ctypes.data
    for look in (lambda array: array[3:5, ::2], torch.from_numpy, lambda array: torch.from_numpy(array)[2].view(-1), memoryview, lambda array: array.reshape(-1)[:1].base):
        seen = look(first["x"])
        del first
        first = buffers.acquire(4)
        assert first["x"].ctypes.data != address, "somebody looks still"
        del seen, first
        addresses = {buffers.acquire(10)["x"].ctypes.data for _ in range(5)}
        assert len(addresses) <= 2, "it is used again"
        first = buffers.acquire(10)
        address = first["x"].ctypes.data
    assert all(array.flags.writeable and array.flags.aligned for array in first.values())
    many = [buffers.acquire(10) for _ in range(200)]
    assert len({one["x"].ctypes.data for one in many}) == 200


@pytest.mark.parametrize("prefetch", [1, 1 << 20, 4 << 20])
@pytest.mark.parametrize("options", [{}, {"transform": parts.as_it_is}, {"transform_example": parts.as_it_is}])
def test_what_lies_ready_is_bounded(wide, prefetch, options):
    """A loop that is slower than the threads: no more than prefetch and one piece are ready."""
    loader = load(AtlasDataset(wide), batch_size=64, num_threads=4, prefetch=prefetch, **options)
    piece = 64 * (4096 + 8 + 2) * 1.1
    for number, batch in enumerate(loader):
        assert batch["x"].nbytes
        if number % 8 == 0:
            time.sleep(0.03)
    assert 0 < loader.stats().most_bytes <= prefetch + max(piece, 1 << 20)


def test_memory_does_not_grow_when_nothing_is_kept(wide):
    loader = load(AtlasDataset(wide), batch_size=64, num_threads=2, prefetch="4MB", format="torch")
    for batch in loader:
        assert len(batch["i"])
    before = resident()
    for _ in range(5):
        for batch in loader:
            assert len(batch["i"])
    assert resident() - before < 24 << 20, "80 MB went through"
    assert same(int(batch["x"][0][0]), int(batch["i"][0]))
