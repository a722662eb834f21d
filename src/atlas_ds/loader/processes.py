"""Processes that transform examples: each gets row numbers, reads the dataset itself, and hands its batch back through shared memory."""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
import queue
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from atlas_ds.errors import LoaderTimeout

FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


class RemoteTraceback(Exception):
    """The traceback of an error in another process, as text: the cause of that error here."""

    def __str__(self) -> str:
        return str(self.args[0])


class Processes:
    """`count` processes that call a fetch; `run` is called by as many threads as there are processes.

    start_method: "forkserver" or "spawn"; the fetch (dataset, functions) is pickled once for each process.
    """

    def __init__(self, fetch: Callable[[Any], Any], count: int, *, start_method: str, timeout: float) -> None:
        context = multiprocessing.get_context(start_method)
        self._timeout = timeout
        self._idle: queue.SimpleQueue[tuple[Any, Connection]] = queue.SimpleQueue()
        self._all: list[tuple[Any, Connection]] = []
        for k in range(count):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(there, fetch), name=f"atlas-transform-{k}", daemon=True)  # type: ignore[attr-defined]
            process.start()
            there.close()
            self._all.append((process, here))
            self._idle.put((process, here))

    def run(self, task: Any) -> Any:
        """What the fetch gives for a task. Errors of the fetch are raised here; LoaderTimeout if a process does not answer."""
        process, pipe = self._idle.get(timeout=self._timeout)
        try:
            pipe.send(task)
            deadline = time.monotonic() + self._timeout
            while not pipe.poll(1.0):
                if time.monotonic() > deadline:
                    raise LoaderTimeout(f"the transform process {process.name} (pid {process.pid}) gave no batch for {self._timeout:g} s")
            kind, *content = pipe.recv()
        except (EOFError, OSError) as cause:
            process.join(1.0)
            raise RuntimeError(f"the transform process {process.name} (pid {process.pid}) ended with exit code {process.exitcode}") from cause
        finally:
            self._idle.put((process, pipe))
        if kind == "error":
            error, text = content
            raise error from RemoteTraceback(text)
        return unpacked(*content)

    def close(self) -> None:
        for _, pipe in self._all:
            pipe.close()
        for process, _ in self._all:
            process.join(2.0)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._all = []


def work(pipe: Connection, fetch: Callable[[Any], Any]) -> None:
    """The life of a process: until the other end is closed."""
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            answer: tuple[Any, ...] = ("batch", *packed(fetch(task)))
        except BaseException as error:
            answer = ("error", sendable(error), traceback.format_exc())
        try:
            pipe.send(answer)
        except (OSError, KeyboardInterrupt):
            return


def sendable(error: BaseException) -> BaseException:
    """The error, or where it cannot be sent, one that says the same."""
    try:
        ForkingPickler.dumps(error)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@dataclass(frozen=True, slots=True)
class Placed:
    """An array whose bytes lie in shared memory."""

    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def packed(batch: Any) -> tuple[Any, str | None]:
    """The batch with Placed for its arrays, and the file that holds their bytes."""
    arrays: list[tuple[int, np.ndarray]] = []
    size = 0

    def place(value: Any) -> Any:
        nonlocal size
        if isinstance(value, np.ndarray) and value.nbytes and not value.dtype.hasobject and not isinstance(value, np.ma.MaskedArray):
            placed = Placed(size, value.dtype, value.shape)
            arrays.append((size, value))
            size += -(-value.nbytes // 64) * 64
            return placed
        return value

    structure = mapped(batch, place)
    if not arrays:
        return structure, None
    fd, name = tempfile.mkstemp(prefix=f"atlas-batch-{os.getppid()}-", dir=FOLDER)
    try:
        os.ftruncate(fd, size)
        memory = np.frombuffer(mmap.mmap(fd, size), np.uint8)
        for start, array in arrays:
            memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
    except BaseException:
        os.unlink(name)
        raise
    finally:
        os.close(fd)
    return structure, name


def unpacked(structure: Any, name: str | None) -> Any:
    """The batch; its arrays lie in the shared memory, which goes when they go."""
    if name is None:
        return structure
    fd = os.open(name, os.O_RDWR)
    try:
        os.unlink(name)
        memory = np.frombuffer(mmap.mmap(fd, 0), np.uint8)
    finally:
        os.close(fd)

    def find(value: Any) -> Any:
        if not isinstance(value, Placed):
            return value
        size = value.dtype.itemsize * math.prod(value.shape)
        return memory[value.start : value.start + size].view(value.dtype).reshape(value.shape)

    return mapped(structure, find)


def mapped(batch: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(batch, dict):
        return {name: mapped(value, function) for name, value in batch.items()}
    if type(batch) in (tuple, list):
        return type(batch)(mapped(value, function) for value in batch)
    return function(batch)
