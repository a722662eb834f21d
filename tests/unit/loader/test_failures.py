"""What goes wrong: errors keep their traceback and their place, nothing hangs, and everything ends."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from atlas_ds import AtlasDataset, Sampler
from atlas_ds.errors import CorruptError, LoaderTimeout
from support import child, write
from unit.loader import parts
from unit.loader.parts import ids, load


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("atlas-loader")]


@pytest.fixture(autouse=True)
def threads_end():
    """No test leaves a thread behind."""
    yield
    gc.collect()
    end = time.monotonic() + 30
    while ours():
        assert time.monotonic() < end, f"left: {ours()}"
        time.sleep(0.01)


def place_of(row, dataset, **options):
    """The step that has the row."""
    return next(k for k, rows in enumerate(Sampler(dataset, **({"batch_size": 7, "seed": 5, "last_batch": "short"} | options))) if row in rows)


def until_error(loader, kind):
    """The batches before the error, and the error."""
    batches = []
    with pytest.raises(kind) as found:
        for batch in loader:
            batches.append(batch)
    return batches, found


# --- transforms ---------------------------------------------------------------


@pytest.mark.parametrize("num_threads", [0, 1, 4])
def test_an_error_in_a_thread(numbers, num_threads):
    dataset = AtlasDataset(numbers)
    loader = load(dataset, transform_example=parts.fail_at_77, num_threads=num_threads)
    batches, found = until_error(loader, KeyError)
    assert len(batches) == place_of(77, dataset) == loader.state_dict()["position"] // 7
    assert [entry.name for entry in found.traceback][-1] == "fail_at_77" and "this row has no caption" in str(found.value)
    assert loader.epoch == 0 and len(until_error(loader, KeyError)[0]) == len(batches), "once more from the start"


@pytest.mark.parametrize("num_threads", [0, 1, 4])
def test_the_batches_before_an_error_are_given_out(numbers, num_threads):
    """Small batches are read many at once: those before the bad one are not lost with it."""

    def fail(batch):
        if 77 in batch["i"]:
            raise KeyError("no caption")
        return batch

    dataset = AtlasDataset(numbers)
    for size in (1, 2, 7):
        batches, _ = until_error(load(dataset, transform=fail, num_threads=num_threads, batch_size=size), KeyError)
        assert ids(batches) == list(Sampler(dataset, batch_size=size, seed=5))[: place_of(77, dataset, batch_size=size)]


def test_errors_in_a_process(numbers):
    dataset = AtlasDataset(numbers)[:150]
    for transform, kind, says in [
        (parts.fail_at_77, KeyError, "this row has no caption"),
        (parts.fail_oddly_at_77, RuntimeError, "TwoPartError: no caption at 77"),
        (parts.unpicklable_at_77, Exception, "pickle"),
    ]:
        batches, found = until_error(load(dataset, transform_example=transform, transform_processes=1), kind)
        assert len(batches) == place_of(77, dataset)
        text = "".join(traceback.format_exception(found.value))
        assert says in text
        if transform is not parts.unpicklable_at_77:
            assert f"in {transform.__name__}" in text, "where it happened in the other process"


def test_a_function_that_cannot_be_sent(numbers):
    with pytest.raises(Exception, match="pickle"):
        list(load(AtlasDataset(numbers), transform_example=lambda row: row, transform_processes=2))


def test_a_process_is_killed(numbers):
    dataset = AtlasDataset(numbers)[:150]
    loader = load(dataset, transform_example=parts.killed_at_77, transform_processes=2, on_error="skip")
    batches, found = until_error(loader, RuntimeError)
    assert "exited with code -9" in str(found.value) and len(batches) == place_of(77, dataset)
    assert loader.stats().skipped == 0, "no bad sample"


def test_tensors_of_processes(numbers):
    pytest.importorskip("torch")
    dataset = AtlasDataset(numbers)[:50]
    for batch in load(dataset, transform_example=parts.tensors, transform_processes=1):
        assert (batch["x"] == 2 * batch["i"][:, None]).all()


# --- time -------------------------------------------------------------------------


def test_a_thread_hangs(numbers):
    dataset = AtlasDataset(numbers)
    for num_threads in (1, 3):
        loader = load(dataset, transform=hang_until_told, num_threads=num_threads, timeout=1)
        told.clear()
        with pytest.raises(LoaderTimeout, match=r"no batch was ready within 1 s(?s:.*)hang_until_told"):
            list(loader)
        assert ours(), "without waiting for the thread, which hangs still"
        told.set()


told = threading.Event()


def hang_until_told(batch):
    if 77 in batch["i"]:
        told.wait(60)
    return batch


def test_a_process_hangs(numbers):
    dataset = AtlasDataset(numbers)[:150]
    loader = load(dataset, transform_example=parts.hang_at_77, transform_processes=1, timeout=4, on_error="replace")
    batches, found = until_error(loader, LoaderTimeout)
    assert "atlas-loader-0" in str(found.value) and len(batches) == place_of(77, dataset) and loader.stats().skipped == 0


def test_an_answer_that_comes_late_is_not_taken_for_another(numbers):
    """The process that was asked for row 77 and did not answer is asked nothing else."""
    from atlas_ds.loader.fetch import Examples
    from atlas_ds.loader.processes import ProcessDied, Processes

    processes = Processes(Examples(AtlasDataset(numbers), parts.hang_at_77, None, None), 2, start_method="forkserver", timeout=2)
    try:
        with pytest.raises(LoaderTimeout):
            processes.run(np.array([77]))
        for row in (1, 2, 3):
            assert processes.run(np.array([row]))["i"].tolist() == [row]
        with pytest.raises(LoaderTimeout):
            processes.run(np.array([77]))
        with pytest.raises(ProcessDied, match="have exited"):
            processes.run(np.array([1]))
    finally:
        processes.close()


def test_a_slow_consumer_is_no_error(numbers):
    loader = load(AtlasDataset(numbers)[:21], num_threads=2, timeout=0.8, prefetch=1)
    for _ in loader:
        time.sleep(0.9)
    assert loader.epoch == 1


# --- damage -----------------------------------------------------------------------


def damaged(folder, **options):
    """100 rows with noise, of which a byte is turned in row 40; and the rows that cannot be read."""
    rng = np.random.default_rng(0)
    rows = [{"i": i, "noise": rng.bytes(64)} for i in range(100)]
    path = write(folder, rows, shard_size=30, block_size=4, **options)
    for file in path.glob("*.atlas"):
        data = bytearray(file.read_bytes())
        at = data.find(rows[40]["noise"])
        if at >= 0:
            data[at + 5] ^= 1
            file.write_bytes(data)
    dataset = AtlasDataset(path)
    bad = []
    for i in range(100):
        try:
            dataset[i]
        except CorruptError:
            bad.append(i)
    assert 40 in bad and len(bad) < 30
    return dataset, set(bad)


WAYS = [{"num_threads": 0}, {"num_threads": 4}, {"transform_example": parts.as_it_is}, {"shuffle": "window", "lanes": 3, "window": 2}]


@pytest.mark.filterwarnings("ignore:a window order")
@pytest.mark.parametrize("access", ["random", "scan"])
@pytest.mark.parametrize("way", WAYS)
def test_damaged_bytes(tmp_path, way, access):
    dataset, bad = damaged(tmp_path / "d", access=access)
    order = {name: way[name] for name in ("shuffle", "lanes", "window") if name in way}
    for size in (1, 7):
        options = way | {"batch_size": size}
        steps = list(Sampler(dataset, batch_size=size, seed=5, last_batch="short", **order))
        rows = dataset.rows
        batches, found = until_error(load(dataset, **options), CorruptError)
        assert len(batches) == next(k for k, step in enumerate(steps) if set(step) & bad), "the batch that has the row"
        assert ".atlas" in str(found.value)

        skipping = load(dataset, on_error="skip", **options)
        assert ids(skipping) == [[i for i in step if i not in bad] for step in steps] and skipping.epoch == 1
        stats = skipping.stats()
        assert {row for row, _ in stats.skips} == bad and stats.skipped == len(bad) and all("CorruptError" in text for _, text in stats.skips)
        assert f"{len(bad)} bad samples" in str(stats) and len(rows) == 100

    replacing = load(dataset, on_error="replace", **way | {"batch_size": 50})
    for batch, step in zip(ids(replacing), Sampler(dataset, batch_size=50, seed=5, **order)):
        assert len(batch) == 50 and all(a == b if b not in bad else a in step and a not in bad for a, b in zip(batch, step))
    assert {row for row, _ in replacing.stats().skips} == bad
    with pytest.raises(ValueError, match=r"no row of the batch that begins with row .* can be read, so none can replace the others"):
        list(load(dataset, on_error="replace", **way | {"batch_size": 1}))


def test_skipping_in_a_process_and_with_masks(numbers):
    dataset = AtlasDataset(numbers)[:150]
    loader = load(dataset, transform_example=parts.fail_at_77, transform_processes=1, on_error="skip", last_batch="pad", batch_size=16)
    batches = list(loader)
    assert sum(len(batch["i"]) for batch in batches) == 160 - 1 == sum(len(batch["mask"]) for batch in batches)
    assert loader.stats().skips == [(77, "KeyError: 'this row has no caption'")]
    assert sorted(int(i) for batch in batches for i, real in zip(batch["i"], batch["mask"]) if real) == [i for i in range(150) if i != 77]


def test_ranks_stay_equal_whatever_is_skipped(tmp_path):
    dataset, bad = damaged(tmp_path / "d")
    for mode in ("skip", "replace"):
        ranks = [load(dataset, rank=rank, world_size=2, on_error=mode, batch_size=10) for rank in range(2)]
        runs = [list(loader) for loader in ranks]
        assert len(runs[0]) == len(runs[1]) == 5 and ranks[0].state_dict() == ranks[1].state_dict()
        seen = [i for run in runs for batch in ids(run) for i in batch]
        assert len(seen) == (100 - len(bad) if mode == "skip" else 100) and set(seen) == set(range(100)) - bad


# --- ends ---------------------------------------------------------------------------


def test_an_exception_in_the_loop(numbers):
    loader = load(AtlasDataset(numbers), num_threads=4)
    with pytest.raises(ZeroDivisionError):
        for _ in loader:
            1 / 0  # noqa: B018
    assert loader.state_dict()["position"] == 7


def test_close_during_iteration(numbers):
    for options in ({}, {"transform_example": parts.as_it_is, "transform_processes": 1}):
        loader = load(AtlasDataset(numbers), batch_size=100, num_threads=3, prefetch=1, **options)
        batches = iter(loader)
        next(batches)
        loader.close()
        with pytest.raises(RuntimeError, match="closed"):
            list(batches)
        loader.close()
        assert sum(map(len, ids(loader))) == 1000, "a closed loader can begin again"


def test_context_manager(numbers):
    with load(AtlasDataset(numbers), num_threads=3, prefetch=1) as loader:
        batches = iter(loader)
        next(batches)
        assert ours()
    assert not ours()
    with pytest.raises(RuntimeError, match="closed"):
        list(batches)


def test_closed_by_another_thread(numbers):
    """While the loop waits, and between two batches."""
    loader = load(AtlasDataset(numbers), transform=hang_until_told, num_threads=1)
    told.clear()
    batches = iter(loader)
    closer = threading.Timer(0.3, lambda: (loader.close(), told.set()))
    told_early = threading.Timer(0.5, told.set)
    closer.start()
    told_early.start()
    with pytest.raises(RuntimeError, match="closed while waiting for a batch"):
        list(batches)
    closer.join()
    told_early.join()

    batches = iter(load(AtlasDataset(numbers), num_threads=2))
    next(batches)
    other = threading.Thread(target=batches.close)
    other.start()
    other.join()
    assert list(batches) == []


def test_iterators_that_were_never_begun(numbers):
    loader = load(AtlasDataset(numbers), num_threads=3, prefetch=1)
    for _ in range(5):
        iter(loader)
        assert list(zip([], loader)) == []
    gc.collect()
    assert not ours()


def test_threads_that_cannot_be_started(numbers, monkeypatch):
    start = threading.Thread.start

    def refuse(self):
        if self.name == "atlas-loader-2":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for options in ({"num_threads": 4}, {"transform_processes": 3}):
        with pytest.raises(RuntimeError, match="can't start new thread"):
            iter(load(AtlasDataset(numbers), **options))
        assert not ours() and not multiprocessing.active_children()


def test_fork_during_an_epoch(numbers):
    """The child has no threads: an error, at once, even if one of the parent's threads held a lock just then."""
    loader = load(AtlasDataset(numbers), batch_size=5, num_threads=4, transform=parts.as_it_is, prefetch=3000)
    for k, batch in enumerate(loader):
        assert len(batch["i"]) == 5
        if k % 10:
            continue
        batches = iter(loader)
        next(batches)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                list(batches)
            except RuntimeError as error:
                code = 2 if "forked" in str(error) else 3
                loader.close()
                code = 0 if code == 2 and sum(len(batch["i"]) for batch in loader) == 1000 else code
            finally:
                os._exit(code)
        assert ended(pid) == 0


def ended(pid, seconds=60):
    end = time.monotonic() + seconds
    while not (done := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail("the child hangs")
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(done[1])


# --- in a Python of its own -----------------------------------------------------------

HEAD = """
    import os, signal, sys, threading, time
    from unit.loader import parts
    from unit.loader.parts import load
    from atlas_ds import AtlasDataset
    dataset = AtlasDataset(sys.argv[1])
    def main():
"""


def run(body: str, path) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(HEAD) + textwrap.indent(textwrap.dedent(body), "    ") + '\nif __name__ == "__main__":\n    main()\n'
    return child(code, path, timeout=60, check=False)


PROCESSES = "transform_example=parts.slowly, transform_processes=2"


@pytest.mark.parametrize("options", ["num_threads=4", "num_threads=4, transform=parts.as_it_is", PROCESSES])
def test_the_interpreter_ends_with_a_half_used_iterator(numbers, options):
    done = run(
        f"""
        global batches, unused
        loader = load(dataset, batch_size=5, {options})
        batches = iter(loader)
        unused = iter(loader)
        next(batches)
        print("end", flush=True)
        """,
        numbers,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.parametrize("options", ["num_threads=4, transform=wait", PROCESSES])
def test_ctrl_c(numbers, options):
    done = run(
        f"""
        wait = lambda batch: time.sleep(0.02) or batch
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                for batch in load(dataset, batch_size=5, {options}):
                    pass
        except KeyboardInterrupt:
            print("stopped", flush=True)
        deadline = time.monotonic() + 20
        while [t for t in threading.enumerate() if t.name.startswith("atlas-loader")]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        """,
        numbers,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


def test_processes_end_with_a_loop_that_is_killed(numbers):
    done = run(
        f"""
        import multiprocessing
        batches = iter(load(dataset, batch_size=5, {PROCESSES}))
        next(batches)
        print(*(process.pid for process in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        numbers,
    )
    pids = done.stdout.split()
    assert done.returncode == -signal.SIGKILL and len(pids) == 2
    end = time.monotonic() + 20
    while [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_of_a_terminal_reaches_the_processes_too(numbers, tmp_path):
    """The signal goes to the whole group: one traceback, the loop's."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(HEAD)
        + textwrap.indent(
            textwrap.dedent(
                """
                while True:
                    for batch in load(dataset, batch_size=5, transform_example=parts.with_pid, transform_processes=2):
                        print(batch["pid"][0], flush=True)
                        time.sleep(0.05)
                """
            ),
            "    ",
        )
        + '\nif __name__ == "__main__":\n    main()\n'
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, script, numbers], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    assert process.stdout is not None
    seen: set[str] = set()
    while len(seen) < 2:  # both have begun: a Python that is still starting says something of its own
        line = process.stdout.readline()
        assert line
        seen.add(line)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
