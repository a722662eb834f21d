"""A process forked while a loader's threads are at work: its child reads, begins epochs of its own, and never waits for a lock of a thread that it has not."""

import gc
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset, forks
from atlas_ds.forks import Lock
from atlas_ds.loader.buffers import Buffers
from atlas_ds.loader.fetch import Chunked
from atlas_ds.order.orders import Window
from support import write
from unit.loader.parts import as_it_is, load

FORKS = int(os.environ.get("ATLAS_CAMPAIGN_FORKS", "5000"))


def in_child(work, seconds=30):
    """What a forked child says: "" if all is well. A child that hangs is ended by an alarm."""
    reader, writer = os.pipe()
    gc.disable()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            work()
            code = 0
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(code)
    gc.enable()
    os.close(writer)
    said = b""
    while part := os.read(reader, 4096):
        said += part
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"ended by signal {os.WTERMSIG(status)} (SIGALRM: it hung)"
    return said.decode() if status else ""


def held(lock):
    """A thread that holds a lock until it is told."""
    go, has = threading.Event(), threading.Event()

    def hold():
        with lock.held:
            has.set()
            go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    has.wait(60)
    return lambda: (go.set(), thread.join())


def test_a_lock_that_a_thread_holds():
    lock = Lock()
    release = held(lock)

    def work():
        with lock.held:
            assert lock.torn

    assert in_child(work, 5) == ""
    release()
    with lock.held:
        assert not lock.torn
        assert in_child(lambda: lock.held.acquire(), 5) == ""


@pytest.mark.parametrize("kind", ["buffers", "window", "chunked", "mix"])
def test_every_lock_that_outlives_an_epoch(numbers, kind):
    dataset = AtlasDataset(numbers)
    if kind == "buffers":
        owner = Buffers(dataset.schema.fields, 10)
        use = lambda: owner.acquire(5)  # noqa: E731
    elif kind == "window":
        owner = Window((1000, 10), lanes=4, window=3, seed=1, epoch=0)
        want = Window((1000, 10), lanes=4, window=3, seed=1, epoch=0).take(0, 1000)
        use = lambda: np.testing.assert_array_equal(owner.take(0, 1000), want)  # noqa: E731
    elif kind == "chunked":
        owner = Chunked(dataset.batch, np.arange(0, 1001, 100), 4)
        use = lambda: owner(np.arange(0, 1000, 7))  # noqa: E731
    else:
        mix = atlas.Mix([(dataset, 2), (dataset[::-1], 1)])
        owner = load(mix, seed=0).sampler.plan().order
        use = lambda: owner.take(0, 1000)  # noqa: E731
    release = held(owner._lock)
    assert in_child(use, 10) == ""
    release()
    use()


def hammer(path, forks, seed, **options):
    """Forks at random moments of an epoch that several threads read."""
    rng = random.Random(seed)
    dataset = AtlasDataset(path)
    want = dataset.batch([5, 900, 17])["x"]
    ids = sorted(dataset.column("i").tolist())
    done = 0
    while done < forks:
        loader = load(dataset, batch_size=rng.choice([1, 8, 64]), num_threads=3, prefetch="64KB", seed=rng.randrange(99), **options)
        batches = iter(loader)
        last = len(loader) - 1
        for number, _ in enumerate(batches):
            if number == last or rng.random() < 0.5:
                continue
            time.sleep(rng.random() / 500)

            def work(batches=batches, loader=loader):
                np.testing.assert_array_equal(dataset.batch([5, 900, 17])["x"], want)
                assert dataset[3]["i"] == 3
                try:
                    next(batches)
                except RuntimeError as error:
                    assert "forked during an epoch" in str(error)
                else:
                    raise AssertionError("the inherited iterator went on")
                own = load(dataset, batch_size=100, num_threads=2, **options)
                assert sorted(int(i) for batch in own for i in batch["i"]) == ids
                if rng.random() < 0.3:
                    assert sum(len(batch["i"]) for batch in loader) == len(dataset), "the loader itself begins an epoch anew"
                loader.close()

            said = in_child(work)
            assert said == "", f"after {done} forks, seed {seed}: {said}"
            done += 1
            if done == forks or rng.random() < 0.1:
                break
        batches.close()


OPTIONS = [{}, {"shuffle": "window", "lanes": 2, "window": 2}, {"transform_example": as_it_is}]


@pytest.mark.filterwarnings("ignore:a window order", "ignore:.*multi-threaded.*fork")
@pytest.mark.parametrize("options", OPTIONS, ids=["exact", "window", "examples"])
def test_forks_while_a_loader_runs(numbers, options):
    hammer(numbers, 70, 1, **options)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_forks_while_chunks_are_decoded(tmp_path):
    rows = [{"i": i, "x": np.full(8, i, np.float32)} for i in range(1000)]
    path = write(tmp_path / "d", rows, access="scan", shard_size=400, block_size=64)
    hammer(path, 30, 2, shuffle="window", lanes=2, window=2)


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore:a window order", "ignore:.*multi-threaded.*fork")
@pytest.mark.parametrize("options", OPTIONS, ids=["exact", "window", "examples"])
def test_many_forks_while_a_loader_runs(numbers, options):
    hammer(numbers, -(-FORKS // len(OPTIONS)), 3, **options)


def test_no_signal_interrupts_the_repairs_of_a_child():
    """Ctrl-C goes to all processes of a terminal. One that raised in the middle of the repairs would leave the rest undone."""

    class Interrupted:
        def after_fork(self):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    first, late = Interrupted(), None
    forks.in_child(first)
    late = Lock()  # repaired after it
    old = signal.signal(signal.SIGUSR1, interrupt)
    try:
        code = 1
        with late.held:
            try:
                pid = os.fork()
            except KeyboardInterrupt:  # in the child, once all is repaired
                pid = 0
            if pid == 0:
                os._exit(0 if late.held.acquire(blocking=False) else 2)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == 0
    finally:
        signal.signal(signal.SIGUSR1, old)
