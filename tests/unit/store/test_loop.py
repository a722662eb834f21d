"""The end of a process whose client has threads: they must be out of Python before the interpreter is finalized."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from atlas_ds.errors import StoreError
from atlas_ds.store.loop import Loop
from servers import web


async def answer():
    return 1


def test_the_end_waits_for_a_thread_that_is_telling_the_loop_something(monkeypatch):
    own, inside, leave = Loop(), threading.Event(), threading.Event()
    assert own.call(answer()) == 1
    real = asyncio.SelectorEventLoop._write_to_self

    def slow(loop):
        real(loop)
        if threading.current_thread().name == "client":  # here, another thread may run, and end the process
            inside.set()
            leave.wait(10)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "_write_to_self", slow)
    threading.Thread(target=own._loop.call_soon_threadsafe, args=(int,), name="client", daemon=True).start()
    assert inside.wait(10)
    end = threading.Thread(target=own.end, daemon=True)
    end.start()
    end.join(0.3)
    assert end.is_alive()
    leave.set()
    end.join(10)
    assert not end.is_alive()


def test_the_end_cancels_what_is_under_way():
    own, begun, results = Loop(), threading.Event(), []

    async def request():
        begun.set()
        await asyncio.sleep(60)

    waiting = threading.Thread(target=lambda: results.extend(own.each([request])), daemon=True)
    waiting.start()
    assert begun.wait(10)
    own.end()
    waiting.join(10)
    [(number, error)] = results
    assert number == 0 and isinstance(error, StoreError) and "was stopped" in str(error)


def test_a_loop_that_nobody_used_ends():
    Loop().end()


ENDS = """
import sys
from atlas_ds.store.object import ObjectStore
from atlas_ds.store.store import Want
store = ObjectStore(sys.argv[1], {"allow_http": True})
wants = [Want("file", 4096 * k, 4096) for k in range(16)]
for _ in range(3):
    list(store.read_ranges(wants))
left = store.read_ranges(wants)
if sys.argv[2] == "under way":
    next(left)
"""


@pytest.mark.campaign
@pytest.mark.parametrize("how", ["idle", "under way"])
def test_a_process_that_ends_just_after_its_requests_does_not_abort(tmp_path, how):
    with web.serving(tmp_path / "root", tmp_path / "nginx") as url, ThreadPoolExecutor(4) as pool:
        (tmp_path / "root").mkdir(exist_ok=True)
        (tmp_path / "root" / "file").write_bytes(bytes(1 << 20))
        run = partial(subprocess.run, [sys.executable, "-c", ENDS, url, how], capture_output=True, check=False)
        done = [future.result() for future in [pool.submit(run) for _ in range(300)]]
    assert {(one.returncode, one.stderr) for one in done} == {(0, b"")}


def test_a_call_in_the_loops_own_thread_is_an_error():
    own = Loop()

    async def inner():
        return own.call(answer())

    with pytest.raises(StoreError, match="wait for itself"):
        own.call(inner())
    assert own.call(answer()) == 1
