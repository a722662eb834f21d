"""Ports of this machine."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_until_open(port: int, server: subprocess.Popen[bytes], seconds: float, why: Callable[[], str]) -> None:
    """Until somebody listens. AssertionError if the server has ended or takes too long; why: what it said."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < end, f"the server did not start: {why()}"
            time.sleep(0.05)
