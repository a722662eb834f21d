"""Tars at URLs, read in place and imported: the rows of local ones, from S3, from a web server, and at presigned URLs, whose queries nobody sees."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import traceback
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from atlas_ds import AtlasDataset, convert, import_webdataset, open_tar
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged, StoreError, UnsupportedError
from atlas_ds.store.clients import Client
from servers import proxy, s3, web
from tests.support import same
from tests.unit.bridge.tars import write_tar

CANARY = "CANARYquery123456"
HTTP = {"allow_http": True}
RNG = np.random.default_rng(0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that nginx serves, with three tars; and where indexes go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    for k, count in enumerate((30, 1, 50)):
        write_tar(tmp_path / "www" / f"t-{k}.tar", [(f"{k}/{i:03d}.{kind}", data) for i in range(count) for kind, data in (("cls", b"%d" % (100 * k + i)), ("txt", b"x" * i))])
    return tmp_path


@pytest.fixture
def link(here):
    with web.serving(here / "www", here / "nginx") as url, proxy.in_front_of(url) as found:
        yield found


def local(here):
    shutil.copytree(here / "www", here / "local", dirs_exist_ok=True)
    return list(open_tar(f"{here}/local/t-{{0..2}}.tar"))


def times(link, method):
    return [one for one in link.requests if one.method == method]


def saved(*folders):
    """All names and bytes of files below some folders."""
    files = [path for folder in folders for path in Path(folder).rglob("*")]
    return b"".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in files)


# --- in place ---


def test_rows_are_those_of_local_tars(here, link):
    url = f"{link.endpoint}/t-{{0..2}}.tar"
    with pytest.raises(AtlasError, match=r"t-0\.tar: http is not encrypted"):
        open_tar(url)
    expected = local(here)
    for dataset in (open_tar(url, allow_http=True), open_tar(url, storage_options=HTTP), open_tar([f"{link.endpoint}/t-{k}.tar" for k in range(3)], allow_http=True)):
        assert same(list(dataset), expected) and same(dataset.__getitems__([80, 3, -1]), [expected[k] for k in (80, 3, -1)])
        assert dataset.tars == tuple(f"{link.endpoint}/t-{k}.tar" for k in range(3))
    assert same(list(pickle.loads(pickle.dumps(dataset))), expected)
    assert len(list((here / "cache").rglob("*.atlas"))) == 3


def test_a_sample_is_one_request_and_all_are_of_one_client(here, link, monkeypatch):
    made = []
    real = Client._make
    monkeypatch.setattr(Client, "_make", lambda self: made.append(self) or real(self))
    dataset = open_tar(f"{link.endpoint}/t-{{0..2}}.tar", allow_http=True)
    seen = len(link.requests)
    assert [dataset[k]["cls"] for k in (0, 30, 31, 80)] == [b"0", b"100", b"200", b"249"]
    assert [one.method for one in link.requests[seen:]] == ["GET"] * 4
    again = open_tar(f"{link.endpoint}/t-{{0..2}}.tar", allow_http=True)
    assert [one.method for one in link.requests[seen + 4 :]] == ["HEAD"] * 3, "the indexes are there"
    assert same(again[5], dataset[5]) and len(made) == 1


def test_a_tar_that_was_changed(here, link):
    dataset = open_tar(f"{link.endpoint}/t-{{0..2}}.tar", allow_http=True)
    write_tar(here / "www" / "t-2.tar", [(f"2/{i:03d}.{kind}", b"?" * 9) for i in range(50) for kind in ("cls", "txt")])
    os.utime(here / "www" / "t-2.tar", (1, 1))
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: was replaced"):
        dataset[80]
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: the tar was changed"):
        pickle.loads(pickle.dumps(dataset))
    assert open_tar(f"{link.endpoint}/t-{{0..2}}.tar", allow_http=True)[80]["cls"] == b"?" * 9
    (here / "www" / "t-1.tar").unlink()
    with pytest.raises(DatasetChanged, match=r"t-1\.tar: the tar was removed"):
        dataset[30]
    assert dataset[0]["cls"] == b"0"


def test_what_is_no_tar_is_named(here, link):
    (here / "www" / "page.tar").write_text("<html>sign in</html>" * 99)
    with pytest.raises(CorruptError, match=r"page\.tar: byte 0: is a text file that begins with .*sign in.*not a tar"):
        open_tar(f"{link.endpoint}/page.tar?sig={CANARY}", allow_http=True)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("query", ["", f"?sig={CANARY}"], ids=["plain", "query"])
def test_workers_of_a_dataloader(here, link, method, query):
    """By fork, too, after the parent has read, where obstore itself would hang."""
    data = pytest.importorskip("torch.utils.data")
    if query:  # the server wants it
        link.change = lambda request, answer: answer if CANARY in request.path else proxy.status(403)(request, answer)
    dataset = open_tar([f"{link.endpoint}/t-{k}.tar{query}" for k in range(3)], fields=["cls"], decode=True, allow_http=True)
    assert dataset[0]["cls"] == 0
    loader = data.DataLoader(dataset, batch_size=10, num_workers=2, multiprocessing_context=method, timeout=60)
    expected = [100 * k + i for k, count in enumerate((30, 1, 50)) for i in range(count)]
    assert [number for batch in loader for number in batch["cls"].tolist()] == expected
    assert dataset[80]["cls"] == 249


def test_a_forked_child_opens_and_imports(here, link):
    """All of it: looking up, streaming to make the index, samples."""
    expected = local(here)
    assert same(list(open_tar(f"{link.endpoint}/t-0.tar", allow_http=True)), expected[:30])

    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(100)  # it must not hang
        try:
            assert same(list(open_tar(f"{link.endpoint}/t-{{0..2}}.tar", allow_http=True)), expected)
            assert import_webdataset(f"{link.endpoint}/t-{{0..2}}.tar", here / "out", allow_http=True, progress=False).rows == 81
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert same(list(AtlasDataset(here / "out")), expected)


# --- imports ---


def test_an_import_of_a_large_tar(here, link):
    """In ranges, and never one at a time."""
    data = [RNG.bytes(1 << 20) for _ in range(20)]
    write_tar(here / "www" / "large.tar", [(f"{k:02d}.bin", one) for k, one in enumerate(data)])
    done = import_webdataset(f"{link.endpoint}/large.tar", here / "out", allow_http=True)
    assert done.rows == 20 and [row["bin"] for row in AtlasDataset(here / "out")] == data
    ranges = sorted(one.range for one in times(link, "GET"))
    assert len(ranges) == 6 and [stop for _, stop in ranges[:-1]] == [start for start, _ in ranges[1:]]


def test_an_import_whose_tar_is_replaced_leaves_nothing(here, link):
    write_tar(here / "www" / "large.tar", [(f"{k:02d}.bin", RNG.bytes(1 << 20)) for k in range(40)])
    first = []

    def change(request, answer):
        if request.method == "GET" and not first:
            first.append(request)
            os.utime(here / "www" / "large.tar", (1, 1))
        return answer

    link.change = change
    with pytest.raises(DatasetChanged, match=r"large\.tar: was replaced"):
        import_webdataset(f"{link.endpoint}/large.tar", here / "out", allow_http=True)
    assert first and not (here / "out").exists()


def test_a_url_that_is_given_twice_has_its_rows_twice(here, link):
    done = import_webdataset([f"{link.endpoint}/t-0.tar"] * 2, here / "out", allow_http=True)
    assert done.rows == 60 and [row["cls"] for row in AtlasDataset(here / "out")] == [b"%d" % k for k in range(30)] * 2


def test_urls_that_differ_in_their_query_are_different_tars(here, link):
    real = link.ask
    link.ask = lambda method, path, headers, body: real(method, path.replace("/get?id=", "/t-").partition("&")[0] + ".tar", headers, body)
    urls = [f"{link.endpoint}/get?id={k}&sig={CANARY}" for k in (2, 0)]
    done = import_webdataset(urls, here / "out", split={urls[1]: "val", urls[0]: "train"}, allow_http=True)
    assert done.rows == 80 and [len(AtlasDataset(here / "out", split=one)) for one in ("train", "val")] == [50, 30]
    assert [row["cls"] for row in open_tar(urls, allow_http=True)] == [row["cls"] for row in AtlasDataset(here / "out")]


def test_the_query_is_nowhere(here, link, capsys, caplog):
    caplog.set_level(0)
    urls = [f"{link.endpoint}/t-{k}.tar?sig={CANARY}" for k in range(3)]
    dataset = open_tar(urls, allow_http=True)
    assert dataset[31]["cls"] == b"200"
    said = [repr(dataset), repr(dataset.tars), dataset._repr_html_() if hasattr(dataset, "_repr_html_") else "", repr(dataset._opened.opening), repr(dataset._read)]
    said += [pickle.dumps(dataset).decode("latin-1"), pickle.dumps(dataset.tars).decode("latin-1")]
    with pytest.raises(AtlasError, match="is left out of pickles"):
        pickle.loads(pickle.dumps(dataset))
    said += [repr(import_webdataset(urls, here / "out", allow_http=True)), repr(import_webdataset(urls, here / "dry", allow_http=True, dry_run=True).notes)]
    write_tar(here / "www" / "odd.tar", [(f"{i:03d}.json", b"{" if i == 400 else b"1") for i in range(500)])
    link.change = lambda request, answer: proxy.status(403)(request, answer) if "t-1.tar" in request.path else answer
    odd = f"{link.endpoint}/odd.tar?sig={CANARY}"
    calls = (
        lambda: dataset[30],
        lambda: import_webdataset([odd, *urls], here / "out2", decode=True, allow_http=True, resume=True),
        lambda: import_webdataset([urls[0], urls[1]], here / "out3", allow_http=True, resume=True),
        lambda: convert(urls[1], here / "out4", storage_options=HTTP),
        lambda: convert(urls[1], here / "out4"),
        lambda: convert(urls[1], here / "out4", storage_options=HTTP, icc=["a"]),
        lambda: convert(urls[1], here / "out4", storage_options=HTTP, source_format="csv"),
        lambda: convert(urls[1], here / "out4", storage_options=HTTP, keep_names=True),
        lambda: import_webdataset(urls, here / "out5", split={urls[0] + "0": "train"}, allow_http=True),
        lambda: import_webdataset(f"{link.endpoint}/{{x}}.tar?sig={CANARY}", here / "out6", allow_http=True),
        lambda: open_tar(f"{link.endpoint}/{{0..9999999}}.tar?sig={CANARY}", allow_http=True),
        lambda: open_tar(f"ftp://host/a.tar?sig={CANARY}"),
        lambda: open_tar(f"pipe:curl https://host/a.tar?sig={CANARY}"),
        lambda: open_tar(f"https://host/a.tar?sig={CANARY}\0"),
        lambda: AtlasDataset(f"https://host/a.tar?sig={CANARY}"),
    )
    for call in calls:
        with pytest.raises((AtlasError, ValueError)) as failed:
            call()
        said += [str(failed.value), "".join(getattr(failed.value, "__notes__", ())), repr(getattr(failed.value, "lines", ()))]
    for arguments in ([urls[1]], ["--allow-http", urls[1]], ["--allow-http", "--icc", "cls", urls[0]], ["--allow-http", urls[0]], ["--allow-http", "--dry-run", "--json", urls[0]], [str(here / "www"), urls[0]]):
        main(["convert", *arguments, str(here / "cli")])
    main(["convert", urls[0], urls[1], str(here / "x-%06d.tar")])
    said += [*capsys.readouterr(), caplog.text]
    assert not [one for one in said if CANARY in one]
    assert CANARY.encode() not in saved(here / "cache", *here.glob("out*"), here / "cli", here / "nginx")


def test_an_import_is_resumed_with_a_new_signature(here, link):
    """The parts that are there were made of the same tars, whoever signed for them."""
    link.change = lambda request, answer: proxy.status(403)(request, answer) if "t-2.tar" in request.path and request.range != (0, 1) else answer
    with pytest.raises(StoreError, match="403"):
        import_webdataset([f"{link.endpoint}/t-{k}.tar?sig={CANARY}" for k in range(3)], here / "out", allow_http=True, resume=True, workers=1)
    kept = saved(here / "out")
    assert b"t-0.tar" in kept and CANARY.encode() not in kept
    link.change = lambda _, same: same
    seen = len(link.requests)
    done = import_webdataset([f"{link.endpoint}/t-{k}.tar?sig=ANOTHER" for k in range(3)], here / "out", allow_http=True, resume=True, workers=1)
    assert done.rows == 81
    streamed = [one.path.partition("?")[0] for one in link.requests[seen:] if one.range != (0, 1)]
    assert streamed.count("/t-1.tar") == 0 and streamed.count("/t-2.tar") == 1


# --- a real S3 ---


def test_tars_in_a_bucket(here, server):
    expected = local(here)
    url = server.upload(here / "local", "data", "tars") + "/t-{0..2}.tar"
    assert same(list(open_tar(url, storage_options=server.options)), expected)
    for number, take in enumerate((import_webdataset, convert)):
        assert take(url, here / f"out{number}", storage_options=server.options).rows == 81
        assert same(list(AtlasDataset(here / f"out{number}")), expected)
    pickled = pickle.dumps(open_tar(url, storage_options=server.options))
    assert s3.SECRET.encode() not in pickled + saved(here / "cache", here / "out0")
    with pytest.raises(ValueError, match="did you mean 'region'"):
        open_tar(url, storage_options=server.options | {"regoin": "x"})
    with pytest.raises(StoreError, match=r"tars/t-0\.tar.*without TLS.*--allow-http"):
        open_tar(url, storage_options={name: value for name, value in server.options.items() if name != "allow_http"})
    for call in (open_tar, lambda sources, **named: import_webdataset(sources, here / "no", **named), lambda sources, **named: convert(sources, here / "no", **named)):
        with pytest.raises(ValueError, match="storage_options= is for URLs"):
            call(str(here / "local" / "t-0.tar"), storage_options=server.options)


def test_presigned_tars(here, server):
    """Nobody here has keys; a new signature finds the old index."""
    expected = local(here)
    server.upload(here / "local", "data", "signed")
    with proxy.in_front_of(server.endpoint) as link:
        signer = s3.S3(link.endpoint).client(signature_version="s3v4")
        sign = lambda seconds: [signer.generate_presigned_url("get_object", {"Bucket": "data", "Key": f"signed/t-{k}.tar"}, ExpiresIn=seconds) for k in range(3)]  # noqa: E731
        urls = sign(600)
        assert same(list(open_tar(urls, allow_http=True)), expected) and not times(link, "HEAD")
        seen = len(link.requests)
        dataset = open_tar(sign(700), allow_http=True)
        assert [one.range for one in link.requests[seen:]] == [(0, 1)] * 3, "no tar is read again"
        assert same(dataset[80], expected[80])
        assert convert(urls[2], here / "out", storage_options=HTTP).rows == 50 and same(list(AtlasDataset(here / "out")), expected[31:])
        secret = dict(part.split("=") for part in urlsplit(urls[0]).query.split("&"))["X-Amz-Signature"]
        assert len(secret) == 64 and secret.encode() not in saved(here / "cache", here / "out")
        assert main(["convert", "--allow-http", "--quiet", *urls, str(here / "cli")]) == 0 and same(list(AtlasDataset(here / "cli")), expected)
        with pytest.raises(StoreError, match=r"signed/t-0\.tar.*403") as refused:
            open_tar(urls[0].replace(secret, secret[::-1]), allow_http=True)
        assert "wrong" in str(refused.value) and secret[::-1] not in str(refused.value)


def test_convert_takes_urls_of_tars(here, link):
    """By the name, or if it is told; another URL is refused without asking anybody."""
    real = link.ask
    link.ask = lambda method, path, headers, body: real(method, path.replace("/get?id=", "/t-") + ("" if ".tar" in path else ".tar"), headers, body)
    for source, options in ((f"{link.endpoint}/t-0.tar?sig={CANARY}", {}), (f"{link.endpoint}/get?id=0", {"source_format": "webdataset"})):
        assert convert(source, here / "out", overwrite=True, storage_options=HTTP, **options).rows == 30
    seen = len(link.requests)
    for source, options in ((f"{link.endpoint}/get?id={CANARY}", {}), (f"{link.endpoint}/t-0.tar", {"source_format": "csv"})):
        with pytest.raises(UnsupportedError, match="is a URL") as refused:
            convert(source, here / "no", storage_options=HTTP, **options)
        assert CANARY not in str(refused.value) and len(link.requests) == seen
