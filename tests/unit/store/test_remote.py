"""URLs: without TLS only where it is allowed, not by an endpoint or a redirect either."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from atlas_ds.errors import AtlasError
from atlas_ds.store.remote import check_scheme, look_up

obstore_store = pytest.importorskip("obstore.store")
BODY = b"eleven byte"


class Answer(BaseHTTPRequestHandler):
    asked: list[str]
    to = ""

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_response(302 if self.to else 200)
        if self.to:
            self.send_header("Location", self.to)
        self.send_header("Content-Length", "0" if self.to else str(len(BODY)))
        self.send_header("Last-Modified", self.date_time_string())
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def serve() -> Iterator[Any]:
    servers = []

    def start(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return int(server.server_port)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("url", ["http://h/a.tar", "HTTP://h/a.tar", "Http://user@h:80/a.tar"])
def test_http_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(AtlasError, match=r"no TLS.*allow_http=True"):
        check_scheme(url, False)
    check_scheme(url, True)
    with pytest.raises(AtlasError, match="no TLS"):
        look_up(url)


def test_http_where_it_is_allowed(serve: Any) -> None:
    handler = type("Plain", (Answer,), {"asked": []})
    url = f"http://127.0.0.1:{serve(handler)}/a.tar"
    file = look_up(url, allow_http=True)
    assert file.size == len(BODY) and file.allow_http and handler.asked == ["/a.tar"]


def test_an_endpoint_without_tls(monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    handler = type("Plain", (Answer,), {"asked": []})
    for name, value in {"ENDPOINT_URL": f"http://127.0.0.1:{serve(handler)}", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(AtlasError, match=r"endpoint.*allow_http=True"):
        look_up("s3://bucket/a.tar")
    assert handler.asked == []


def test_a_redirect_from_https_to_http(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, serve: Any) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(make.split(), check=True, capture_output=True, cwd=tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    plain = type("Plain", (Answer,), {"asked": []})
    turn = type("Turn", (Answer,), {"asked": [], "to": f"http://127.0.0.1:{serve(plain)}/there.tar"})
    url = f"https://localhost:{serve(turn, context)}/a.tar"
    real = obstore_store.from_url
    trusting = lambda folder, client_options: real(folder, client_options=client_options | {"allow_invalid_certificates": True})  # noqa: E731
    monkeypatch.setattr(obstore_store, "from_url", trusting)
    with pytest.raises(AtlasError, match="redirect"):
        look_up(url)
    assert turn.asked and plain.asked == []
    assert look_up(url, allow_http=True).size == len(BODY) and plain.asked
