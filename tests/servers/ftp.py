"""A real FTP server: pyftpdlib."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.ports import free_port, wait_until_open

PATIENCE = 60.0


@contextmanager
def serving(folder: Path, user: str | None = None, password: str | None = None) -> Iterator[str]:
    """Serves a folder, to anybody or to one user; yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(port), "-d", str(folder)]
    if user is not None and password is not None:
        command += ["-u", user, "-P", password]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_open(port, server, PATIENCE, lambda: "pyftpdlib says nothing")
        yield f"ftp://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
