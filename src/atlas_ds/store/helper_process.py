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

from atlas_ds.errors import AtlasError
from atlas_ds.store.helper import LENGTH, receive
from atlas_ds.store.loop import loop
from atlas_ds.store.object import ObjectStore
from atlas_ds.store.store import Want


def serve(number: int) -> None:
    """Answers requests until the other side is gone. number: of its descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for whom it works for, whose end ends it
    ours = socket.socket(fileno=number)
    answers: queue.SimpleQueue[tuple[int, Any, Any]] = queue.SimpleQueue()
    threading.Thread(target=answer, args=(ours, answers), daemon=True).start()
    stores: dict[int, ObjectStore] = {}
    ours.sendall(b"!")
    try:
        while True:
            key, config, prefix, tickets, calls, _ = receive(ours)
            if config is not None:
                stores[key] = ObjectStore(*config)
            store = stores[key].at(prefix)
            try:
                store.client.get()
            except AtlasError as error:
                for ticket in tickets:
                    answers.put((ticket, error, b""))
                continue
            for ticket, (method, args, named) in zip(tickets, calls, strict=True):
                if method == "range":
                    loop.begin(store.range(Want(*args)), partial(done, answers, ticket))
                else:
                    threading.Thread(target=run, args=(store, method, args, named, partial(done, answers, ticket)), daemon=True).start()
    finally:
        os._exit(0)  # not by way of Python's end, while obstore's threads run


def run(store: ObjectStore, method: str, args: Any, named: Any, done: Any) -> None:
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
