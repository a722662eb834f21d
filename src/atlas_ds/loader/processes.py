"""Processes that transform examples: each receives row numbers, reads the dataset itself, and returns its batch through
shared memory."""

from __future__ import annotations

import contextlib
import math
import mmap
import multiprocessing
import os
import pickle
import queue
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler, recv_handle, send_handle
from typing import Any, Literal

import numpy as np

from atlas_ds.dataset.row_place import add_note
from atlas_ds.errors import LoaderTimeout
from atlas_ds.loader.pipeline import dump
from atlas_ds.schema.examples import like

StartMethod = Literal["forkserver", "spawn"]
"""How processes are started: never by fork, since a fork of a process with threads may hang."""


class ProcessDied(RuntimeError):
    """A process exited before it answered."""


class RemoteTraceback(Exception):
    """The traceback of an error in another process, as text; chained as the cause of that error here."""

    def __str__(self) -> str:
        return str(self.args[0])


class Processes:
    """`count` processes that call a fetch; as many threads as processes may call `run` at a time.

    start_method: "forkserver" or "spawn"; the fetch (dataset, functions) is pickled once for each process.
    """

    def __init__(self, fetch: Callable[[Any], Any], count: int, *, start_method: StartMethod, timeout: float) -> None:
        context = multiprocessing.get_context(start_method)
        try:
            ForkingPickler.dumps(fetch)
        except Exception as cause:
            raise TypeError(
                f"transform_processes={count} sends the dataset, transform_example and collate_fn to other processes, but one of them cannot be pickled: "
                f"{cause}. Define functions at module level; lambdas cannot be pickled"
            ) from cause
        self._timeout = timeout
        self._pid = os.getpid()
        self._closed = False
        self._alive = count
        self._lock = threading.Lock()
        self._idle: queue.SimpleQueue[tuple[Any, Connection] | None] = queue.SimpleQueue()
        self._all: list[tuple[Any, Connection]] = []
        try:
            for k in range(count):
                here, there = context.Pipe()
                process = context.Process(target=serve, args=(there, fetch), name=f"atlas-transform-{k}", daemon=True)  # type: ignore[attr-defined]
                with there:
                    process.start()
                self._all.append((process, here))
                self._idle.put((process, here))
        except BaseException:
            self.close()
            raise

    def run(self, task: Any) -> Any:
        """The result of the fetch for a task. Raises the errors of the fetch, and LoaderTimeout if the process does not answer."""
        process, pipe = self._acquire()
        try:
            kind, content, more = self._exchange(process, pipe, task)
        except BaseException as error:
            died = isinstance(error, EOFError | OSError) and not isinstance(error, LoaderTimeout)
            self._drop(process, pipe, patience=5.0 if died else 0.0)  # a late answer would be mistaken for that to the next task
            if not died:
                raise
            raise ProcessDied(f"the transform process {process.name} exited with code {process.exitcode}; see stderr for a reason") from error
        self._idle.put((process, pipe))
        if kind == "error":
            raise content from RemoteTraceback(more)
        return unpacked(content, more)

    def _acquire(self) -> tuple[Any, Connection]:
        try:
            found = self._idle.get(timeout=self._timeout)
        except queue.Empty:
            raise LoaderTimeout(f"no transform process was free for {self._timeout:g} s") from None
        if found is None:
            self._idle.put(None)
            raise ProcessDied("all transform processes of this epoch have exited")
        return found

    def _exchange(self, process: Any, pipe: Connection, task: Any) -> tuple[str, Any, Any]:
        pipe.send(task)
        deadline = time.monotonic() + self._timeout
        while not pipe.poll(0.2):
            if self._closed:
                raise RuntimeError("the loader was closed while waiting for a batch")
            if time.monotonic() > deadline:
                raise LoaderTimeout(f"the transform process {process.name} (pid {process.pid}) returned no batch within {self._timeout:g} s:\n{dump()}")
        kind, content, more = pipe.recv()
        if kind == "batch":
            return kind, content, recv_handle(pipe) if more else None  # a descriptor of 0 would be standard input
        return kind, content, more

    def _drop(self, process: Any, pipe: Connection, patience: float) -> None:
        """Removes a process; the others continue. patience: seconds that it may take to exit by itself."""
        process.join(0.0 if self._closed else patience)
        process.kill()
        process.join()
        pipe.close()
        with self._lock:
            self._alive -= 1
            if self._alive == 0:
                self._idle.put(None)

    def stop(self) -> None:
        """Makes `run` stop waiting."""
        self._closed = True

    def close(self) -> None:
        """Stops the processes: idle ones exit by themselves, the others are killed."""
        if os.getpid() != self._pid:
            return
        self._closed = True
        for _, pipe in self._all:
            pipe.close()
        deadline = time.monotonic() + 1.0
        for process, _ in self._all:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._all = []


def serve(pipe: Connection, fetch: Callable[[Any], Any]) -> None:
    """The main loop of a process, until the other end of the pipe is closed. Ctrl-C is handled by the training loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        while True:
            answer, fd = answer_to(fetch, pipe.recv())
            try:
                pipe.send_bytes(answer)
                if fd is not None:
                    send_handle(pipe, fd, os.getppid())
            finally:
                if fd is not None:
                    os.close(fd)


def answer_to(fetch: Callable[[Any], Any], task: Any) -> tuple[Any, int | None]:
    """The pickled answer to a task, and the descriptor of the file with its arrays."""
    fd = None
    try:
        structure, fd = packed(fetch(task))
        return ForkingPickler.dumps(("batch", structure, fd is not None)), fd
    except BaseException as error:
        if fd is not None:
            os.close(fd)
        return ForkingPickler.dumps(("error", sendable(error), traceback.format_exc())), None


def sendable(error: BaseException) -> BaseException:
    """The error, or a RuntimeError with the same text if it cannot be pickled."""
    try:
        pickle.loads(ForkingPickler.dumps(error))
    except Exception:
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            add_note(plain, str(note))
        return plain
    return error


@dataclass(frozen=True, slots=True)
class SharedArray:
    """An array whose bytes are in shared memory."""

    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def packed(batch: Any) -> tuple[Any, int | None]:
    """The batch with a SharedArray for each array, and the descriptor of the file with their bytes. The file has no name, so
    a crash leaves nothing behind."""
    arrays: list[tuple[int, np.ndarray]] = []
    size = 0

    def place(value: Any) -> Any:
        nonlocal size
        if isinstance(value, np.ndarray) and value.nbytes and not value.dtype.hasobject and not isinstance(value, np.ma.MaskedArray):
            placed = SharedArray(size, value.dtype, value.shape)
            arrays.append((size, value))
            size += -(-value.nbytes // 64) * 64
            return placed
        return value

    structure = mapped(batch, place)
    if not arrays:
        return structure, None
    fd = anonymous_file()
    try:
        os.ftruncate(fd, size)
        memory = np.frombuffer(mmap.mmap(fd, size), np.uint8)
        for start, array in arrays:
            memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
    except BaseException:
        os.close(fd)
        raise
    return structure, fd


def anonymous_file() -> int:
    """A file in memory without a name. Not in /dev/shm, which has only 64 MB in a container."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("atlas-batch")
    fd, name = tempfile.mkstemp(prefix="atlas-batch-")
    os.unlink(name)
    return fd


def unpacked(structure: Any, fd: int | None) -> Any:
    """The batch; its arrays are in the shared memory, which is freed with them."""
    if fd is None:
        return structure
    try:
        memory = np.frombuffer(mmap.mmap(fd, 0), np.uint8)
    finally:
        os.close(fd)

    def find(value: Any) -> Any:
        if not isinstance(value, SharedArray):
            return value
        size = value.dtype.itemsize * math.prod(value.shape)
        return memory[value.start : value.start + size].view(value.dtype).reshape(value.shape)

    return mapped(structure, find)


def mapped(batch: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(batch, dict):
        return {name: mapped(value, function) for name, value in batch.items()}
    if type(batch) is list:
        return [mapped(value, function) for value in batch]
    if isinstance(batch, tuple):
        return like(batch, [mapped(value, function) for value in batch])
    return function(batch)
