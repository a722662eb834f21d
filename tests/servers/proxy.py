"""A proxy in front of a server: it writes down each request, and does to answers what bad networks and servers do."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    """What was asked for. range: (first byte, byte after the last), or None."""

    method: str
    path: str
    range: tuple[int, int] | None


@dataclass(slots=True)
class Answer:
    """What is about to be sent. cut: bytes of the body after which the connection ends; stall: seconds before anything is sent."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: int | None = None
    stall: float = 0.0


Change = Callable[[Request, Answer], Answer]


@dataclass
class Proxy:
    """change: what is done to each answer; it runs in the proxy's thread. plain: requests that go on without their Range."""

    upstream: str
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    change: Change = lambda _, answer: answer
    plain: Callable[[Request], bool] = lambda _: False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request of a connection; whether it stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        lower = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(lower.get("content-length", 0)))
        asked = lower.get("range", "").removeprefix("bytes=").split("-")
        span = (int(asked[0]), int(asked[1]) + 1) if len(asked) == 2 and asked[0] and asked[1] else None
        request = Request(method, path, span)
        self.requests.append(request)
        if self.plain(request):
            headers = {name: value for name, value in headers.items() if name.lower() != "range"}
        answer = self.change(request, await self.ask(method, path, headers, body))
        if answer.stall:
            await asyncio.sleep(answer.stall)
        if answer.status == 0:  # nothing at all
            writer.transport.abort()
            return False
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in answer.headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if method != "HEAD":
            writer.write(answer.body if answer.cut is None else answer.body[: answer.cut])
        await writer.drain()
        if answer.cut is not None:
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return False
        return True

    async def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The upstream's own answer."""
        to = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        try:
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if name.lower() != "connection"), "Connection: close"]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            found = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
            lower = {name.lower(): value for name, value in found.items()}
            data = b"" if method == "HEAD" else await whole_body(reader, lower)
            kept = {name: value for name, value in found.items() if name.lower() not in ("connection", "transfer-encoding", "content-length")}
            kept["Content-Length"] = lower.get("content-length", "0") if method == "HEAD" else str(len(data))
            return Answer(int(head[0].split(" ")[1]), kept, data)
        finally:
            writer.close()


async def whole_body(reader: asyncio.StreamReader, lower: dict[str, str]) -> bytes:
    if lower.get("transfer-encoding", "").lower() == "chunked":
        data = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            data += await reader.readexactly(size)
            await reader.readline()
        return data
    return await reader.readexactly(int(lower["content-length"])) if "content-length" in lower else await reader.read()


@contextmanager
def in_front_of(upstream: str) -> Iterator[Proxy]:
    """A running proxy."""
    proxy, ready, over = Proxy(upstream), threading.Event(), threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 20)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        await asyncio.to_thread(over.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield proxy
    finally:
        over.set()
        thread.join(10)


# --- what goes wrong ---


def status(code: int) -> Change:
    text = f"<Error><Code>SlowDown</Code><Message>{code}</Message></Error>".encode()
    return lambda _, answer: Answer(code, {"Content-Type": "application/xml", "Content-Length": str(len(text))}, text)


def reset(_: Request, answer: Answer) -> Answer:
    return Answer(0, {}, b"")


def cut(_: Request, answer: Answer) -> Answer:
    answer.cut = len(answer.body) // 2
    return answer


def short(_: Request, answer: Answer) -> Answer:
    answer.body = answer.body[: len(answer.body) * 2 // 3]
    answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def zipped(_: Request, answer: Answer) -> Answer:
    answer.body = gzip.compress(answer.body)
    answer.headers |= {"Content-Encoding": "gzip", "Content-Length": str(len(answer.body))}
    return answer


def flipped(_: Request, answer: Answer) -> Answer:
    if answer.body:
        at = len(answer.body) // 2
        answer.body = answer.body[:at] + bytes([answer.body[at] ^ 4]) + answer.body[at + 1 :]
    return answer


def retagged(tag: str) -> Change:
    def change(_: Request, answer: Answer) -> Answer:
        answer.headers = {name: value for name, value in answer.headers.items() if name.lower() != "etag"} | {"ETag": tag}
        return answer

    return change


def stalled(seconds: float) -> Change:
    def change(_: Request, answer: Answer) -> Answer:
        answer.stall = seconds
        return answer

    return change
