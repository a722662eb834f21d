"""A process that asks a store for files on behalf of a forked child.

obstore hangs for ever in a child that was forked after its parent had used it, other libraries may, and torch forks its workers by default. So a
forked child starts a clean process (by exec), and sends its requests there through a pair of sockets, which nobody else can open. The process
ends when the child does.

Messages are pickled, each after its length; the bytes of a range follow theirs as they are.
"""

from __future__ import annotations

import itertools
import json
import pickle
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from atlas_ds.errors import StoreError
from atlas_ds.forks import Lock, forked, in_child
from atlas_ds.store.store import Bytes, Want

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = 30.0  # seconds for the process to start
LENGTH = struct.Struct("<QQ")  # of a message, and of the bytes that follow it
CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from atlas_ds.store.helper_process import serve; serve(int(sys.argv[1]))"
CURE = 'start workers with multiprocessing_context="forkserver" or "spawn", or read with atlas_ds.Loader, which needs no workers'


class Client(Protocol):
    """What makes the requests of a store: one for a root. number: by which the other process knows it. forks: whether it works in a forked child."""

    number: int
    forks: bool


class Asking(Protocol):
    """A store whose requests the other process makes: open_store(url, options)."""

    @property
    def url(self) -> str: ...
    @property
    def client(self) -> Client: ...
    @property
    def options(self) -> Any: ...


numbers = itertools.count()


class Helper:
    """The process of a forked child, started when it is first needed, and the answers that are waited for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reset()
        in_child(self)

    def _reset(self) -> None:
        self._socket: socket.socket | None = None
        self._sending: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting: dict[int, tuple[int, queue.SimpleQueue[tuple[int, Any]]]] = {}
        self._known: set[tuple[int, str]] = set()

    def after_fork(self) -> None:
        if self._socket is not None:
            self._socket.close()  # of the parent, whose helper it is
        self._reset()

    @property
    def running(self) -> bool:
        return self._socket is not None

    def call(self, store: Asking, method: str, *args: Any, **named: Any) -> Any:
        """What a method of the store returns or raises there."""
        ((_, answer),) = self.each(store, [(method, args, named)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ranges(self, store: Asking, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        return self.each(store, [("range", tuple(want), {}) for want in wants])

    def each(self, store: Asking, calls: Sequence[tuple[str, Any, Any]]) -> Iterator[tuple[int, Any]]:
        """Makes calls together; yields the number of each, and its result or error, as they come."""
        answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        tickets = self.send(store, calls, answers)
        try:
            for _ in calls:
                yield answers.get()
        finally:
            for ticket in tickets:
                self._waiting.pop(ticket, None)

    def send(self, store: Asking, calls: Sequence[tuple[str, Any, Any]], answers: queue.SimpleQueue[tuple[int, Any]], first: int = 0) -> list[int]:
        """Makes calls, whose numbers, from first on, and results or errors are put into a queue; their tickets."""
        tickets = list(itertools.islice(numbers, len(calls)))
        with self._lock.held:
            if self._socket is None:
                self._start(store.url)
            key = store.client.number, store.url
            try:
                data = pickle.dumps((key, None if key in self._known else store.options, tickets, list(calls)))
            except Exception as error:
                why = f"this process was forked, and storage_options cannot be sent to the one that reads for it ({type(error).__name__})"
                raise StoreError(f"{store.url}: {why}; {CURE}") from None
            self._waiting.update({ticket: (k, answers) for k, ticket in enumerate(tickets, first)})
            self._sending.put(LENGTH.pack(len(data), 0) + data)
            self._known.add(key)
        return tickets

    def _start(self, place: str) -> None:
        ours, theirs = socket.socketpair()
        try:
            command = [sys.executable, "-P", "-c", CODE, str(theirs.fileno()), json.dumps([one for one in sys.path if isinstance(one, str)])]
            subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
            theirs.close()
            ours.settimeout(PATIENCE)
            if ours.recv(1) != b"!":
                raise OSError("it ended at once")
        except OSError as error:
            ours.close()
            why = f"this process was forked, where what asks the store may hang, and no other could be started to read for it ({sys.executable}: {error})"
            raise StoreError(f"{place}: {why}; {CURE}") from error
        finally:
            theirs.close()
        ours.settimeout(None)
        self._socket = ours
        threading.Thread(target=self._send, args=(ours, self._sending), name="atlas-helper-requests", daemon=True).start()
        threading.Thread(target=self._receive, args=(ours,), name="atlas-helper-answers", daemon=True).start()

    def _send(self, ours: socket.socket, sending: queue.SimpleQueue[bytes | None]) -> None:
        """Sends what is to be sent: in a thread of its own, so that an interrupt (Ctrl-C) cannot leave a message half sent."""
        while (message := sending.get()) is not None:
            try:
                ours.sendall(message)
            except OSError:
                return  # the other thread sees the end, too

    def _receive(self, ours: socket.socket) -> None:
        """Hands answers to those who wait for them, until the process ends. The next call starts another one."""
        try:
            while True:
                ticket, answer, raw = receive(ours)
                waiting = self._waiting.pop(ticket, None)
                if waiting is not None:
                    number, answers = waiting
                    answers.put((number, memoryview(raw) if answer is None else answer))
        except BaseException:  # the process has ended, or sent what cannot be read
            with self._lock.held:
                left = list(self._waiting.values())
                self._sending.put(None)
                self._reset()
            ours.close()
            for number, answers in left:
                answers.put((number, StoreError(f"the process that reads URLs for this forked one has ended; read again; if it ends again, {CURE}")))


helper = Helper()


def elsewhere(store: Asking) -> bool:
    """Whether another process has to ask for this one."""
    return forked.now and not store.client.forks


def where_it_works(method: Callable[P, T]) -> Callable[P, T]:
    """A method of a store that a forked child has another process call."""

    @wraps(method)
    def call(*args: P.args, **named: P.kwargs) -> T:
        store, *rest = cast("tuple[Asking, Any]", args)
        return cast("T", helper.call(store, method.__name__, *rest, **named)) if elsewhere(store) else method(*args, **named)

    return call


def receive(ours: socket.socket) -> Any:
    """The next message, with the bytes that follow it at its end."""
    head = exactly(ours, LENGTH.size)
    length, raw = LENGTH.unpack(head)
    message = pickle.loads(exactly(ours, length))  # from a process of our own, through our own pair of sockets
    return (*message, exactly(ours, raw))


def exactly(ours: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = ours.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return data
