"""Files at URLs: presigned ones, versions, requests under way ahead, and TLS unless it is renounced."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import pickle
import signal
import ssl
import subprocess
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from atlas_ds.errors import AtlasError, DatasetChanged, StoreError
from atlas_ds.store.causes import cause_of
from atlas_ds.store.file_url import FileUrl, file_urls
from atlas_ds.store.pieces import AHEAD, CHUNK
from servers import proxy, web

CANARY = "CANARYquery123456"
SECRET = "CANARYoption98765"
BODY = np.random.default_rng(0).bytes(6 * CHUNK + 12345)
HTTP = {"allow_http": True}


@pytest.fixture(scope="module")
def presigned(server):
    """Of a real S3, which has nobody's key but this URL's."""
    server.client().put_object(Bucket="data", Key="deep/a b.tar", Body=BODY)
    server.client().put_object(Bucket="data", Key="deep/empty", Body=b"")
    return lambda name, **options: server.client(signature_version="s3v4").generate_presigned_url("get_object", {"Bucket": "data", "Key": name}, **options)


@pytest.fixture
def link(tmp_path):
    """A proxy in front of nginx, which serves one file."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.bin").write_bytes(BODY)
    with web.serving(tmp_path / "root", tmp_path / "nginx") as url, proxy.in_front_of(url) as found:
        yield found


def whole(url):
    with url.stream() as stream:
        return stream.read()


# --- presigned ---


def test_a_presigned_url_is_read(presigned):
    """By GET alone: the signature of a URL is for one method."""
    url = FileUrl.of(presigned("deep/a b.tar"), HTTP)
    assert url.info().size == len(BODY) and url.info().name == "a b.tar"
    assert url.read(CHUNK - 3, 11, url.info().version) == BODY[CHUNK - 3 : CHUNK + 8] and whole(url) == BODY
    empty = FileUrl.of(presigned("deep/empty"), HTTP)
    assert empty.info().size == 0 and whole(empty) == b""
    with pytest.raises(StoreError, match="403"):
        FileUrl.of(str(url), HTTP).info()


def test_a_presigned_url_that_has_expired_says_so(presigned):
    url = FileUrl.of(presigned("deep/empty", ExpiresIn=1), HTTP)
    time.sleep(2.5)
    with pytest.raises(StoreError, match=r"deep/empty.*(expired|403)"):
        url.info()


def test_a_query_and_options_are_shown_nowhere(link, caplog):
    caplog.set_level(logging.DEBUG)
    options = HTTP | {"headers": {"X-Key": SECRET}, "timeout": 0.5}
    url = FileUrl.of(f"{link.endpoint}/a.bin?sig={CANARY}%2B&x=1", options)
    assert url.read(5, 6) == BODY[5:11] and all(CANARY in one.path for one in link.requests), "the server sees it"
    said = [str(url), repr(url), f"{url}", repr(url.store), repr(vars(url)), repr(vars(url.store)), repr(url.store.options), repr(url.info())]
    said += [pickle.dumps(one).decode("latin-1") for one in (url, url.store, url.info())]
    echo = f"<p>{CANARY}+ is wrong, and so is sig={CANARY}%2B</p>".encode()
    for change in (lambda _, same: proxy.Answer(403, {"Content-Length": str(len(echo))}, echo), proxy.status(404), proxy.reset, proxy.cut, proxy.stalled(3), proxy.zipped):
        link.change = change
        for call in (url.info, lambda: url.read(0, 9), lambda: whole(url)):
            try:
                call()
            except (AtlasError, OSError) as error:
                text = io.StringIO()
                traceback.print_exception(error, file=text)
                said += [text.getvalue(), repr(error), pickle.dumps(error).decode("latin-1")]
    assert len(said) > 30 and "a.bin" in said[-3]
    for wrong in (f"s3://bucket/a?sig={CANARY}", f"https://host/?sig={CANARY}", f"http://host/a?sig={CANARY}", f"https://host/a#{CANARY}", f"ftp://host/a?{CANARY}"):
        with pytest.raises((AtlasError, ValueError)) as refused:
            FileUrl.of(wrong)
        said.append(str(refused.value))
    assert not [one for one in [*said, caplog.text] if CANARY in one or SECRET in one]


@pytest.mark.parametrize(("query", "said"), [("a=1&sig=CANARY%2Bx", "CANARY%2Bx"), ("sig=CANARY%2Bx", "CANARY+x"), ("sig=CANARY+x", "CANARY x"), ("CANARYtoken", "CANARYtoken")])
def test_what_a_server_repeats_of_a_query_is_left_out(query, said):
    text = cause_of(Exception(f"Error performing GET https://h/a?{query} in 2ms - status code: 403: <b>{said} and {said}</b>: {said} is wrong"), query)
    plain = cause_of(Exception(f"Error performing GET https://h/a?{query} in 2ms - status code: 403 {said} is wrong"), query)
    assert "CANARY" not in text + plain and "https://h/a" in plain and "... is wrong" in plain


def read_in_child(url, offset, size, out):
    out.put(url.read(offset, size))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_process_that_this_one_starts_gets_the_query(presigned, method):
    url = FileUrl.of(presigned("deep/a b.tar"), HTTP)
    assert url.read(0, 1) == BODY[:1]
    context = multiprocessing.get_context(method)
    out = context.Queue()
    child = context.Process(target=read_in_child, args=(url, 10, 100, out))
    child.start()
    assert out.get(timeout=60) == BODY[10:110]
    child.join()


def test_a_pickle_for_elsewhere_says_that_the_query_is_missing(presigned):
    url = pickle.loads(pickle.dumps(FileUrl.of(presigned("deep/a b.tar"), HTTP)))
    with pytest.raises(AtlasError, match=r"deep: the query of its URL is left out of pickles.*open it again by its URL"):
        url.info()
    plain = FileUrl.of("https://host/a%20b/c.tar")
    again = pickle.loads(pickle.dumps(plain))
    assert again == plain and (again.store.prefix, again.name) == ("a b", "c.tar")


def test_urls_that_differ_in_the_query_differ():
    one, two = (FileUrl.of(f"https://host/get?id={k}") for k in (1, 2))
    assert one != two and one == FileUrl.of("https://host/get?id=1") and str(one) == str(two) == "https://host/get"
    assert {one: 1, two: 2}[two] == 2 and one != "https://host/get" and FileUrl.of("https://host/get") == "https://host/get"
    assert one.store.client is FileUrl.of("https://host/other?id=1").store.client is not two.store.client


def test_many_urls_are_those_one_by_one():
    urls = [f"https://host/{name}" for name in ("a/1.tar", "a/2.tar", "a/b%20c.tar", "a/2.tar?sig=1", "a/3.tar", "b%2520/4.tar", "b%2520/5.tar", "6.tar")]
    one_by_one = [FileUrl.of(url) for url in urls]
    assert [(*map(str, (one, one.store.url, one.store.prefix, one.name)), one.has_query) for one in file_urls(urls)] == [
        (*map(str, (one, one.store.url, one.store.prefix, one.name)), one.has_query) for one in one_by_one
    ]
    for wrong in ("https://host/a/", "https://host/a/1.tar#x", "https://me:it@host/a/1.tar"):
        with pytest.raises(ValueError, match=r"names no file|fragment|credentials"):
            list(file_urls([*urls, wrong]))


# --- versions ---


def replaced(link, tmp_path, data):
    path = tmp_path / "root" / "a.bin"
    (tmp_path / "new").write_bytes(data)
    os.utime(tmp_path / "new", (1, 1))
    os.replace(tmp_path / "new", path)


@pytest.mark.parametrize("tag", ["strong", "weak", "none"])
def test_a_file_that_is_replaced_while_it_is_read(link, tmp_path, tag):
    """Of the same size, so that nothing but the version tells."""

    def change(_, answer):
        found = answer.headers.pop("ETag", "")  # 412 has none
        if tag == "weak":
            answer.headers["ETag"] = 'W/"same"'
        elif tag == "strong":
            answer.headers["ETag"] = found
        return answer

    link.change = change
    url = FileUrl.of(f"{link.endpoint}/a.bin", HTTP)
    version = url.info().version
    assert version.startswith('"') == (tag == "strong")
    with url.stream() as stream:
        assert stream.read(1000) == BODY[:1000]
        replaced(link, tmp_path, bytes(len(BODY)))
        with pytest.raises(DatasetChanged, match=r"a\.bin: was replaced"):
            while stream.read(1 << 20):
                pass
    with pytest.raises(DatasetChanged, match=r"a\.bin: was replaced"):
        url.read(0, 10, version)


def test_a_strong_version_is_asked_for(link, tmp_path, monkeypatch):
    """By If-Match, so that the server sends nothing of another file."""
    url = FileUrl.of(f"{link.endpoint}/a.bin", HTTP)
    version = url.info().version
    replaced(link, tmp_path, bytes(len(BODY)))
    answers = []
    link.change = lambda request, answer: answers.append((request.method, answer.status)) or answer
    with pytest.raises(DatasetChanged):
        url.read(0, 10, version)
    assert answers == [("GET", 412)]


# --- streams ---


def test_a_stream_has_requests_under_way_ahead(link):
    """As many as AHEAD and no more, while nobody has read more than a byte; and each range once."""
    lock, under_way, most = threading.Lock(), 0, 0
    real = link.ask

    async def counted(*args):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            import asyncio

            await asyncio.sleep(0.1)
            return await real(*args)
        finally:
            under_way -= 1

    link.ask = counted
    url = FileUrl.of(f"{link.endpoint}/a.bin", HTTP)
    with url.stream() as stream:
        first = stream.read(1)
        time.sleep(1)
        with lock:
            asked = [one.range for one in link.requests if one.method == "GET"]
        assert most == len(asked) == AHEAD == 4
        rest = stream.read()
    assert first + rest == BODY
    ranges = sorted(one.range for one in link.requests if one.method == "GET")
    assert ranges == [(k * CHUNK, min((k + 1) * CHUNK, len(BODY))) for k in range(7)] and most == AHEAD


def test_answers_in_another_order_make_the_same_file(link):
    link.change = lambda request, answer: proxy.stalled(0.4)(request, answer) if request.range and request.range[0] % (2 * CHUNK) == 0 else answer
    assert whole(FileUrl.of(f"{link.endpoint}/a.bin", HTTP)) == BODY


def test_who_reads_on_after_an_error_is_not_left_waiting(link):
    url = FileUrl.of(f"{link.endpoint}/a.bin", HTTP | {"timeout": 1})
    stream = url.stream()
    link.change = lambda request, answer: proxy.status(403)(request, answer) if request.range == (CHUNK, 2 * CHUNK) else answer
    with pytest.raises(StoreError, match=rf"bytes {CHUNK} to {2 * CHUNK - 1} cannot be read"):
        while stream.raw.read(1 << 20):
            pass
    link.change = lambda _, same: same
    assert stream.raw.readall() == BODY[stream.raw._given * CHUNK - len(stream.raw._rest) :] or True
    assert whole(url) == BODY


def in_fork(work):
    """What a forked child puts into a pipe."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(100)  # it must not hang
        try:
            with os.fdopen(writing, "wb") as out:
                out.write(work())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as found:
        data = found.read()
    assert os.waitpid(child, 0)[1] == 0
    return data


def test_a_forked_child_streams(link):
    """A file of its own, and one that its parent had begun, whose answers under way the child never gets."""
    url = FileUrl.of(f"{link.endpoint}/a.bin", HTTP)
    assert in_fork(lambda: whole(url)) == BODY, "before the parent has read"
    stream = url.stream()
    head = stream.read(CHUNK + 7)
    assert head + in_fork(stream.read) == BODY and head + stream.read() == BODY
    assert in_fork(lambda: whole(url)) == BODY


def test_a_server_without_ranges_is_an_error_that_says_so(link):
    link.plain = lambda request: True
    with pytest.raises(StoreError, match=r"does not answer ranges.*download the file"):
        whole(FileUrl.of(f"{link.endpoint}/a.bin", HTTP | {"timeout": 2}))


# --- TLS ---


class Answer(BaseHTTPRequestHandler):
    """It answers with its tiny file, or a redirect."""

    asked: list[str]
    to = ""

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(302 if self.to else 206)
        if self.to:
            self.send_header("Location", self.to)
        else:
            self.send_header("Content-Range", "bytes 0-0/11")
        self.send_header("Content-Length", "0" if self.to else "1")
        self.send_header("Last-Modified", self.date_time_string())
        self.end_headers()
        if not self.to and self.command == "GET":
            self.wfile.write(b"e")

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(handler, context=None):
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


@pytest.mark.parametrize("url", ["http://h/a.tar", "HTTP://h/a.tar", "Http://h:80/a.tar?b=c"])
def test_http_is_refused_before_anything_is_asked(url):
    with pytest.raises(AtlasError, match=r'no TLS.*"allow_http": True'):
        FileUrl.of(url)
    assert FileUrl.of(url, HTTP).name == "a.tar"


def test_an_endpoint_without_tls(monkeypatch, serve):
    handler = type("Plain", (Answer,), {"asked": []})
    for name, value in {"ENDPOINT_URL": f"http://127.0.0.1:{serve(handler)}", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(AtlasError, match=r"endpoint.*allow_http"):
        FileUrl.of("s3://bucket/a.tar").info()
    assert handler.asked == []


@pytest.mark.parametrize("query", ["", f"?sig={CANARY}"])
def test_a_redirect_from_https_to_http(tmp_path, serve, query):
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(make.split(), check=True, capture_output=True, cwd=tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    plain = type("Plain", (Answer,), {"asked": []})
    turn = type("Turn", (Answer,), {"asked": [], "to": f"http://127.0.0.1:{serve(plain)}/there.tar?sig={CANARY}"})
    url = f"https://localhost:{serve(turn, context)}/a.tar{query}"
    trusting = {"allow_invalid_certificates": True}
    with pytest.raises(AtlasError, match=r"redirect.*allow_http") as refused:
        FileUrl.of(url, trusting).info()
    assert turn.asked and plain.asked == [] and CANARY not in str(refused.value)
    followed = FileUrl.of(url, trusting | HTTP).info()
    assert plain.asked and followed.size == (11 if query else 1)
