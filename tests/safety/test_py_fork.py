"""fork while threads read: the child reads on with what the parent had open, and never hangs."""

import os
import signal
import threading
import time

import pytest

from atlas_ds import AtlasDataset
from support import rich_rows, same, write


def fork_while_reading(tmp_path, times, options):
    rows = rich_rows(40)
    dataset = AtlasDataset(write(tmp_path / "d", rows, shard_size=15, block_size=4), **options)
    stop = threading.Event()

    def read(k):
        while not stop.is_set():
            dataset[k % 40]
            dataset.batch([k % 40, 3, 17])
            k += 7

    threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
    [thread.start() for thread in threads]
    try:
        for k in range(times):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    good = all(same(dataset[i], rows[i]) for i in range(k % 5, 40, 5)) and dataset.batch([k % 40])["id"][0] == k % 40
                    code = 0 if good else 2
                finally:
                    os._exit(code)
            deadline = time.monotonic() + 60
            while not (done := os.waitpid(pid, os.WNOHANG))[0]:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    pytest.fail(f"child {k} hangs")
                time.sleep(0.001)
            assert os.waitstatus_to_exitcode(done[1]) == 0, f"child {k}"
    finally:
        stop.set()
        [thread.join() for thread in threads]


def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("options", [{}, {"io": "pread", "memory_limit": 4096}], ids=["mmap", "pread"])
def test_fork_with_threads(tmp_path, options):
    fork_while_reading(tmp_path, 25, options)


@pytest.mark.campaign
@pytest.mark.parametrize("options", [{}, {"io": "pread", "memory_limit": 4096}], ids=["mmap", "pread"])
def test_fork_with_threads_at_length(tmp_path, options):
    fork_while_reading(tmp_path, 500, options)


def test_a_child_of_a_child(tmp_path):
    rows = rich_rows(20)
    dataset = AtlasDataset(write(tmp_path / "d", rows), io="pread", memory_limit=4096)
    assert same(dataset[3], rows[3])
    pid = os.fork()
    if pid == 0:
        inner = os.fork()
        if inner == 0:
            os._exit(0 if same(dataset[7], rows[7]) else 1)
        os._exit(status_of(inner))
    assert status_of(pid) == 0 and same(dataset[9], rows[9])
