"""The process that helper.py starts for a forked child: it makes the child's requests."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import threading
from functools import partial
from typing import Any

from atlas_ds.errors import AtlasError, StoreError, UnsupportedError
from atlas_ds.store.helper import CURE, LENGTH, receive
from atlas_ds.store.open import open_store
from atlas_ds.store.store import Want


def serve(number: int) -> None:
    """Answers requests until the other side is gone. number: of its descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for whom it works for, whose end ends it
    ours = socket.socket(fileno=number)
    answers: queue.SimpleQueue[tuple[int, Any, Any]] = queue.SimpleQueue()
    threading.Thread(target=answer, args=(ours, answers), daemon=True).start()
    given: dict[tuple[int, str], Any] = {}
    stores: dict[tuple[int, str], Any] = {}
    ours.sendall(b"!")
    try:
        while True:
            key, options, tickets, calls, _ = receive(ours)
            if options is not None:
                given[key] = options
            try:
                if key not in stores:
                    stores[key] = opened(key[1], given[key])
                begin(stores[key], calls, [partial(done, answers, ticket) for ticket in tickets])
            except Exception as error:  # before anything was begun
                for ticket in tickets:
                    done(answers, ticket, error)
    finally:
        os._exit(0)  # not by way of Python's end, while obstore's threads run


def opened(url: str, options: Any) -> Any:
    try:
        return open_store(url, options)
    except UnsupportedError as error:  # fsspec was told of it by the program itself
        raise StoreError(f"{error}; a program that brings its own file systems to fsspec cannot read by them in a forked process: {CURE}") from None


def begin(store: Any, calls: list[Any], done: list[Any]) -> None:
    """Has calls made in other threads; each of done is told of the result of one. They are all for ranges, or it is one call of another method."""
    method, args, named = calls[0]
    if method == "range":
        store.begin([Want(*args) for _, args, _ in calls], lambda number, result: done[number](result))
    else:
        threading.Thread(target=run, args=(store, method, args, named, done[0]), daemon=True).start()


def run(store: Any, method: str, args: Any, named: Any, done: Any) -> None:
    try:
        done(getattr(store, method)(*args, **named))
    except Exception as error:
        done(error)


def done(answers: queue.SimpleQueue[tuple[int, Any, Any]], ticket: int, result: Any) -> None:
    raw = isinstance(result, memoryview)
    answers.put((ticket, None if raw else result, result if raw else b""))


def answer(ours: socket.socket, answers: queue.SimpleQueue[tuple[int, Any, Any]]) -> None:
    while True:
        ticket, result, raw = answers.get()
        try:
            data = pickle.dumps((ticket, result))
        except Exception as error:
            data = pickle.dumps((ticket, AtlasError(f"{type(result).__name__}: {result}; {error}")))
        try:
            ours.sendall(LENGTH.pack(len(data), len(raw)) + data)
            ours.sendall(raw)
        except BaseException:
            os._exit(1)  # who waits for answers must not wait for ever
