"""The samples of tars at URLs are fetched together, once, and kept as blocks of shards are. Requests are counted at the server."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import traceback
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds.bridge.webdataset.remote_tars import blocks_of
from atlas_ds.cli import main
from atlas_ds.errors import CorruptError, DatasetChanged
from atlas_ds.store.mirror import MAP, Mirror
from servers import proxy, web
from support import remove_while_threads_read
from tests.unit.bridge.tars import write_tar

COUNTS = (120, 1, 80)
ROWS = sum(COUNTS)
SAMPLES = [(tar, i) for tar, count in enumerate(COUNTS) for i in range(count)]
ORDER = np.random.default_rng(1).permutation(ROWS)


def data(tar, i, version=0):
    return np.random.default_rng((tar, i, version)).bytes(9000 + 37 * i)


def write_tars(folder, version=0):
    for tar, count in enumerate(COUNTS):
        write_tar(folder / f"t-{tar}.tar", [(f"{i:03d}.{kind}", one) for i in range(count) for kind, one in (("bin", data(tar, i, version)), ("cls", b"%d" % i), ("far", bytes(9000)))])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ATLAS_CACHE_DIR", raising=False)
    (tmp_path / "www").mkdir()
    write_tars(tmp_path / "www")
    return tmp_path


@pytest.fixture
def link(here):
    with web.serving(here / "www", here / "nginx") as url, proxy.in_front_of(url) as found:
        yield found


@pytest.fixture
def opened(here, link):
    def opened(**options):
        return atlas.open_tar(f"{link.endpoint}/t-{{0..2}}.tar", **{"allow_http": True, "cache": here / "cache", "progress": False} | options)

    opened()  # the indexes are made
    return opened


def right(dataset, rows=ORDER, step=16):
    for start in range(0, len(rows), step):
        part = [int(row) for row in rows[start : start + step]]
        for row, sample in zip(part, dataset.__getitems__(part), strict=True):
            assert sample["bin"] == data(*SAMPLES[row]) and sample.get("cls", b"%d" % SAMPLES[row][1]) == b"%d" % SAMPLES[row][1]


def gets(link, since=0):
    """(path, range) of the requests for data."""
    return [(one.path, one.range) for one in link.requests[since:] if one.method == "GET"]


def size_of(ranges):
    return sum(stop - start for _, (start, stop) in ranges)


def mirrors(folder):
    return [path for path in folder.glob("??/*") if not path.name.endswith(MAP)]


def taken(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def in_fork(function):
    """Whether it returns, in a forked child."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


# --- each once ---


def test_a_sample_is_fetched_once(opened, link):
    dataset = opened()
    seen = len(link.requests)
    assert dataset[150]["bin"] == data(*SAMPLES[150]) and len(gets(link, seen)) == 1
    seen = len(link.requests)
    assert dataset[150]["bin"] == opened()[150]["bin"] == data(*SAMPLES[150])
    assert gets(link, seen) == []


def test_a_batch_is_fetched_together(opened, link):
    """Neighbours in one request, and requests at the same time."""
    dataset = opened()
    seen = len(link.requests)
    right(dataset, range(ROWS), step=ROWS)
    assert [path for path, _ in sorted(gets(link, seen))] == [f"/t-{k}.tar" for k in range(3)]

    dataset = opened(cache=None)
    now, most, real = [0], [0], link.ask

    async def ask(*request):
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.05)
        try:
            return await real(*request)
        finally:
            now[0] -= 1

    link.ask = ask
    right(dataset, range(0, 120, 10))
    assert most[0] >= 6


@pytest.mark.parametrize("cache", ["disk", None])
def test_iteration_asks_for_many_at_a_time(opened, link, here, cache):
    dataset = opened(cache=cache and here / "cache")
    seen = len(link.requests)
    assert [(one["bin"], one["cls"]) for one in dataset] == [(data(*one), b"%d" % one[1]) for one in SAMPLES]
    found = gets(link, seen)
    assert len(found) <= 3 + ROWS // 64 + 1 and len(set(found)) == len(found)
    seen = len(link.requests)
    assert [one["cls"] for one in dataset[::3]] == [b"%d" % i for _, i in SAMPLES[::3]] and gets(link, seen) == []


def test_another_process_finds_it(opened, link, here):
    right(opened())
    seen = len(link.requests)
    code = f"""
import atlas_ds as atlas
dataset = atlas.open_tar("{link.endpoint}/t-{{0..2}}.tar", allow_http=True, cache={str(here / "cache")!r}, progress=False)
assert [int(one["cls"]) for one in dataset] == {[i for _, i in SAMPLES]}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [one.method for one in link.requests[seen:]] == ["HEAD"] * 3


@pytest.mark.parametrize("cache", ["disk", None])
def test_threads_fetch_each_sample_once(opened, link, here, cache):
    dataset = opened(cache=cache and here / "cache")
    seen, wrong = len(link.requests), []

    def read():
        try:
            right(dataset, step=5)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and size_of(gets(link, seen)) <= 1.02 * sum(path.stat().st_size for path in (here / "www").glob("*.tar"))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_share_it(opened, link, here, method):
    loading = pytest.importorskip("torch.utils.data")
    (here / "index").mkdir()
    dataset = opened(fields=["cls"], decode=True, index=here / "index")  # a fork server that began before has another environment
    assert dataset[0]["cls"] == 0
    for epoch in range(2):
        seen = len(link.requests)
        loader = loading.DataLoader(dataset, batch_size=10, num_workers=2, multiprocessing_context=method, timeout=60)
        assert [number for batch in loader for number in batch["cls"].tolist()] == [i for _, i in SAMPLES]
        found = gets(link, seen)
        assert len(set(found)) == len(found) and bool(found) == (epoch == 0)


def test_a_forked_child_fills_it(opened, link):
    dataset = opened()
    right(dataset, ORDER[:50])
    assert in_fork(lambda: right(dataset, ORDER[:100]))
    seen = len(link.requests)
    right(pickle.loads(pickle.dumps(opened(storage_options={"allow_http": True}, allow_http=False))), ORDER[:100])
    assert gets(link, seen) == []


@pytest.mark.parametrize("cache", ["disk", None])
def test_a_loader_asks_ahead(opened, link, here, cache):
    dataset = opened(fields=["cls"], decode=True, cache=cache and here / "cache")
    for epoch in range(2):
        seen = len(link.requests)
        loader = atlas.Loader(dataset, batch_size=8, shuffle=True, seed=epoch, last_batch="short", format="numpy")
        assert sorted(number for batch in loader for number in batch["cls"].tolist()) == sorted(i for _, i in SAMPLES)
        found = gets(link, seen)
        assert len(set(found)) == len(found) and bool(found) == (epoch == 0)
        counts = loader.stats().links[0].counts()
        assert counts["requests"] == len(found) and (counts["hits"], counts["blocks"]) == ((ROWS, 0) if epoch else (0, ROWS))
    joined = atlas.concat([dataset, opened(fields=["cls"], decode=True, cache=None)])
    loader = atlas.Loader(joined, batch_size=8, shuffle=True, last_batch="short", format="numpy")
    assert sum(len(batch["cls"]) for batch in loader) == 2 * ROWS and len(loader.stats().links) == 2


# --- right, or not at all ---


def flip(folder, at=lambda size: range(3000, size - 20_000, 20_000)):
    """Flips a bit here and there; returns how many."""
    flipped = 0
    for path in mirrors(folder):
        with path.open("r+b") as file:
            whole = bytearray(file.read())
            for place in at(len(whole)):
                whole[place] ^= 4
                flipped += 1
            file.seek(0)
            file.write(whole)
    return flipped


def test_a_flipped_bit_is_fetched_once_more(opened, link, here):
    one, other = opened(), opened()
    right(one)
    right(other)
    flipped = flip(here / "cache")
    seen = len(link.requests)
    right(one)
    assert 0 < len(gets(link, seen)) <= flipped and flipped > 100, "by who has read it before, too"
    seen = len(link.requests)
    right(one)
    right(other)
    right(opened())
    assert gets(link, seen) == []


def test_a_flipped_bit_of_a_map_is_fetched_once_more(opened, link, here):
    right(opened())
    for path in (here / "cache").glob("??/*" + MAP):
        with path.open("r+b") as file:
            file.seek(-200, os.SEEK_END)
            found = file.read(200)
            file.seek(-200, os.SEEK_END)
            file.write(bytes(byte ^ 1 for byte in found))
    for _ in range(2):
        seen = len(link.requests)
        right(opened())
    assert gets(link, seen) == []


def test_damage_that_comes_back_goes_around_the_cache(opened, monkeypatch):
    """A disk that does not keep what it is given: what is fetched is kept in memory."""
    real = os.pwrite
    monkeypatch.setattr("atlas_ds.store.mirror.os.pwrite", lambda fd, view, offset: real(fd, bytes(view[:99]) + b"?" + bytes(view[100:]), offset) if len(view) > 8192 else real(fd, view, offset))
    right(opened())


def test_a_tar_that_is_replaced(opened, link, here):
    dataset = opened()
    assert dataset[130]["cls"] == b"9"
    (here / "new").mkdir()
    write_tars(here / "new", version=1)
    os.utime(here / "new" / "t-2.tar", (1, 1))
    (here / "new" / "t-2.tar").replace(here / "www" / "t-2.tar")
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: was replaced"):
        dataset[140]
    with pytest.raises(DatasetChanged, match=r"t-2\.tar: was replaced"):
        dataset.__getitems__(list(range(121, 150)))
    assert opened()[130]["bin"] == data(*SAMPLES[130], 1), "another version has another mirror"
    (here / "www" / "t-0.tar").unlink()
    with pytest.raises(DatasetChanged, match=r"t-0\.tar: the tar was removed"):
        dataset[0]


@pytest.mark.parametrize("tag", ['W/"weak"', None], ids=["weak", "none"])
def test_without_a_strong_etag_it_is_kept_in_memory(here, link, tag):
    def change(_, answer):
        answer.headers = {name: value for name, value in answer.headers.items() if name.lower() != "etag"} | ({} if tag is None else {"ETag": tag})
        return answer

    link.change = change
    dataset = atlas.open_tar(f"{link.endpoint}/t-{{0..2}}.tar", allow_http=True, cache=here / "cache", progress=False)
    right(dataset)
    assert mirrors(here / "cache") == []
    seen = len(link.requests)
    right(dataset)
    assert gets(link, seen) == []


def test_a_store_that_sends_another_header(opened, link):
    """An indexed header is compared, whatever the blocks say."""
    dataset = opened()
    link.change = lambda request, answer: proxy.Answer(answer.status, answer.headers, b"x" + answer.body[1:]) if request.range else answer
    with pytest.raises(CorruptError, match="the header is not the one that was indexed"):
        dataset[7]


# --- room ---


@pytest.mark.parametrize("fields", [None, ["bin"]], ids=["all", "some"])
def test_a_limit_is_kept(opened, here, fields):
    """With gaps between the samples that are not wanted, too."""
    dataset = opened(cache_limit="1200KB", fields=fields)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            for start in range(0, ROWS, 8):
                right(dataset, ORDER[start : start + 8])
                assert taken(here / "cache") <= 1_200_000
    assert dataset._opened.remote.filling.cache.evictions > 100


def test_no_cache(opened, link, here):
    dataset = opened(cache=None, memory_limit="1MiB")
    right(dataset)
    right(dataset)
    filling = dataset._opened.remote.filling
    assert filling.used <= 1 << 20 and not mirrors(here / "cache")
    last = [int(row) for row in ORDER[-8:]]
    dataset.__getitems__(last)
    seen = len(link.requests)
    right(dataset, last)
    assert gets(link, seen) == [], "the last ones are still in memory"


def test_a_cache_that_is_removed_in_an_epoch(opened, link, here):
    dataset = opened()
    right(dataset, ORDER[:100])
    shutil.rmtree(here / "cache")
    right(dataset)
    right(dataset)  # what was read before any request is fetched now
    seen = len(link.requests)
    right(dataset)
    assert gets(link, seen) == [] and mirrors(here / "cache"), "it is kept again"


def test_a_cache_that_is_removed_while_threads_read_it(opened, here):
    dataset = opened()
    remove_while_threads_read(here / "cache", lambda rng: right(dataset, rng.integers(0, ROWS, 100)), times=5)


def test_a_full_disk(opened, monkeypatch):
    dataset = opened()
    right(dataset, ORDER[:50])

    def pwrite(fd, view, offset):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("atlas_ds.store.mirror.os.pwrite", pwrite)
    with pytest.warns(UserWarning, match="No space left on device; this process goes on without it"):
        right(dataset)
    right(dataset)


def test_where_it_is_by_default(here, link):
    """Beside the indexes, in a folder that is the user's alone, whoever makes it first."""
    url = f"{link.endpoint}/t-{{0..2}}.tar"
    atlas.open_tar(url, allow_http=True, cache=None, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right(atlas.open_tar(url, allow_http=True, progress=False), ORDER[:9])
    assert mirrors(here / "home" / "atlas-ds")


def test_arguments(opened, here):
    for name in ("t-0.tar", "t-{0..2}.tar"):
        with pytest.raises(ValueError, match=r"cache=.*is for URLs, and none of the tars is at one"):
            atlas.open_tar(f"{here}/www/{name}", cache=here / "cache")
    right(atlas.open_tar(f"{here}/www/t-{{0..2}}.tar", cache=None, memory_limit="1MiB", progress=False))
    with pytest.raises(ValueError, match="cache_limit='1KB': give at least"):
        opened(cache_limit="1KB")
    with pytest.raises(ValueError, match="memory_limit"):
        opened(memory_limit="lots")


def test_presigned_urls_share_a_mirror(here, link):
    """Whoever signed: the ETag says which tar it is. The cache never has the signature."""
    urls = [[f"{link.endpoint}/t-{k}.tar?sig={who}" for k in range(3)] for who in ("CANARYone", "CANARYother")]
    right(atlas.open_tar(urls[0], allow_http=True, cache=here / "cache", progress=False))
    seen = len(link.requests)
    right(atlas.open_tar(urls[1], allow_http=True, cache=here / "cache", progress=False))
    assert [asked for _, asked in gets(link, seen)] == [(0, 1)] * 3, "to look them up"
    assert len(mirrors(here / "cache")) == 3
    assert not [path for path in (here / "cache").rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()]


def test_local_tars_and_urls_together(here, link):
    urls = [f"{here}/www/t-0.tar", f"{link.endpoint}/t-1.tar", f"{link.endpoint}/t-2.tar"]
    dataset = atlas.open_tar(urls, allow_http=True, cache=here / "cache", progress=False)
    right(dataset)
    seen = len(link.requests)
    right(dataset)
    assert gets(link, seen) == [] and len(mirrors(here / "cache")) == 2


# --- which bytes are blocks ---


def test_only_wanted_fields_are_fetched(opened, link):
    dataset = opened(fields=["cls"])
    seen = len(link.requests)
    assert [one["cls"] for one in dataset[:30]] == [b"%d" % i for i in range(30)]
    assert size_of(gets(link, seen)) <= 30 * 1024
    seen = len(link.requests)
    right(opened(fields=["bin"]), range(30))
    right(opened(fields=["cls", "bin"]), range(30))
    assert gets(link, seen), "other fields are other blocks"


def test_interleaved_samples_are_requests_of_their_own(here, link):
    write_tar(here / "www" / "mixed.tar", [(f"{i:03d}.{kind}", b"%d" % i) for kind in ("cls", "txt") for i in range(20)])
    dataset = atlas.open_tar(f"{link.endpoint}/mixed.tar", interleaved="merge", allow_http=True, cache=here / "cache", progress=False)
    for _ in range(2):
        seen = len(link.requests)
        assert [(one["cls"], one["txt"]) for one in dataset] == [(b"%d" % i, b"%d" % i) for i in range(20)]
        assert len(gets(link, seen)) == 20
    (here / "www" / "mixed.tar").unlink()
    with pytest.raises(DatasetChanged, match=r"mixed\.tar: the tar was removed"):
        dataset[3]
    assert mirrors(here / "cache") == []


def found(members, size=100_000):
    members = np.array(members, np.int64)
    rows = type("Rows", (), {"batch": lambda self, at, names: {"members": members[at]}, "__len__": lambda self: len(members)})()
    blocks = blocks_of(SimpleNamespace(rows=rows, version=SimpleNamespace(size=size)), list(range(members.shape[1])))
    return blocks and list(zip(*(one.tolist() for one in blocks), strict=True))


def test_blocks():
    none = [-1, 0, 0]
    assert found([[[512, 10, 0]], [[1536, 9, 0]], [[50_000, 512, 0]]]) == [(0, 1024), (1024, 521), (49_488, 1024), (1545, 47_943)]
    assert found([[[512, 10, 0], [1536, 5, 0]], [none, none], [none, [2560, 1, 0]]]) == [(0, 2048), (0, 0), (2048, 513)]
    assert found([[[512, 10, 0], [2560, 5, 0]], [[1536, 5, 0], none]]) is None
    assert found([[none]] * 3) == [(0, 0)] * 3 and found(np.zeros((2, 0, 3))) == [(0, 0)] * 2
    large = 2**63 - 1
    for wrong in ([511, 1, 0], [0, 1, 0], [512, -1, 0], [512, 99_489, 0], [99_999, 2, 0], [large, large, 0], [512, large, 0], [large, -large, 0]):
        assert found([[[512, 10, 0], none], [[1536, 9, 0], wrong]]) == [(0, 522), (0, 0)]


# --- the command ---


def test_the_command(opened, here, capsys):
    dataset = opened()
    right(dataset)
    run = lambda what: (main(["cache", what, "--json", "--cache", str(here / "cache")]), json.loads(capsys.readouterr().out))  # noqa: E731
    code, info = run("info")
    assert code == 0 and [one["files"] for one in info["datasets"]] == [3] and info["bytes"] > 3_000_000
    code, checked = run("verify")
    assert (code, checked["files"], checked["blocks"], checked["damaged"]) == (0, 3, ROWS, {})
    flip(here / "cache", lambda size: [5000])
    code, checked = run("verify")
    assert code == 1 and [list(checked["damaged"].values())] == [[1, 1, 1]]
    assert run("verify")[1]["blocks"] == ROWS - 3
    right(dataset)
    assert run("verify")[1]["blocks"] == ROWS
    assert run("clear")[1]["freed"] > 3_000_000 and mirrors(here / "cache") == []
    right(dataset)


def test_mirrors_of_shards_are_as_large_as_before(tmp_path):
    assert Mirror(tmp_path / "a", 1, 10, 1000).map_size == 28_672 and Mirror(tmp_path / "a", 1, 10, 1000, hashed=True).map_size == 36_864
