"""How many requests reading takes, counted at the server; and what becomes of answers that are wrong."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds.errors import AtlasError, StoreError
from servers import proxy

ROWS = 4000


@pytest.fixture(scope="module")
def url(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "cars"
    rng = np.random.default_rng(0)
    with atlas.AtlasDatasetWriter(folder, shard_size=1000, block_size="16KiB") as writer:
        writer.extend({"label": i, "photo": rng.bytes(500 + i % 900), "text": f"car {i} " * 9} for i in range(ROWS))
    return server.upload(folder, "data", "counted")


def opened(url, server, link, cache="auto", **options):
    return atlas.AtlasDataset(url, cache=cache, storage_options=server.options | {"endpoint": link.endpoint} | options)


def sizes(requests):
    return sum(stop - start for _, _, (start, stop) in requests)


def present(dataset, shards=range(4)):
    """Bytes of the blocks that are in memory, of shards that are open."""
    spans = [dataset.shard_set.shard(number).holes for number in shards]
    return sum(span.range_of(number)[1] for span in spans for number in span.there())


def test_what_a_row_costs(server, url, link):
    dataset = opened(url, server, link)
    assert [(one.method, one.range) for one in link.requests] == [("GET", None)], "opening reads the manifest, and nothing else"
    groups = 2
    seen = len(link.requests)
    assert dataset[10]["label"] == 10
    first = link.requests[seen:]
    dictionaries = first[1:-groups]
    assert len(first) <= 1 + len(dictionaries) + groups and len(dictionaries) <= 2, first
    assert all(one.method == "GET" and one.range for one in first)
    for row, most in ((10, 0), (11, groups), (10, 0), (500, groups), (999, groups), (1500, 1 + groups)):
        seen = len(link.requests)
        assert dataset[row]["label"] == row
        assert len(link.requests[seen:]) <= most, (row, link.requests[seen:])


def test_a_batch_costs_its_blocks(server, url, link):
    dataset = opened(url, server, link)
    assert [dataset[k]["label"] for k in (0, 1000, 2000, 3000)] == [0, 1000, 2000, 3000]
    seen, before = len(link.requests), present(dataset)
    order = np.random.default_rng(1).permutation(ROWS)[:256]
    assert dataset.batch(order)["label"].tolist() == order.tolist()
    asked = link.requests[seen:]
    assert len(asked) <= 256 * 2
    assert sizes(asked) <= 1.1 * (present(dataset) - before)
    seen = len(link.requests)
    assert dataset.batch(order[::-1])["label"].tolist() == order[::-1].tolist() and link.requests[seen:] == []


def test_neighbours_are_one_request(server, url, link):
    dataset = opened(url, server, link)
    assert dataset[0]["label"] == 0
    seen, before = len(link.requests), present(dataset, [0])
    assert dataset.batch(range(300, 800))["label"].tolist() == list(range(300, 800))
    assert len(link.requests[seen:]) <= 2 * 3 and sizes(link.requests[seen:]) <= 1.1 * (present(dataset, [0]) - before)


@pytest.mark.parametrize("change", [proxy.status(500), proxy.status(503), proxy.status(429), proxy.reset, proxy.cut], ids=["500", "503", "429", "reset", "cut"])
def test_what_passes_is_tried_again(server, url, link, change):
    dataset = opened(url, server, link)
    left = iter([change] * 3)
    link.change = lambda request, answer: next(left, lambda _, same: same)(request, answer)
    assert dataset[2500]["label"] == 2500 and next(left, None) is None


@pytest.mark.parametrize(("change", "words"), [(proxy.zipped, "Content-Encoding"), (proxy.short, "were asked for"), (proxy.status(403), "403"), (proxy.status(404), "found|removed|changed")], ids=["gzip", "short", "403", "404"])
def test_what_does_not_pass_is_an_error(server, url, link, change, words):
    dataset = opened(url, server, link, timeout=3)
    link.change = change
    begin = time.monotonic()
    with pytest.raises((AtlasError, OSError), match=words):
        dataset[2500]
    assert time.monotonic() - begin < 10
    link.change = lambda _, same: same
    assert dataset[2500]["label"] == 2500


def test_a_server_that_stays_ill_is_an_error_in_time(server, url, link):
    dataset = opened(url, server, link, timeout=2)
    link.change = proxy.status(503)
    begin = time.monotonic()
    with pytest.raises(StoreError, match=r"bytes \d+ to \d+ cannot be read.*503"):
        dataset[2500]
    assert time.monotonic() - begin < 10
    link.change = proxy.stalled(60)
    with pytest.raises(StoreError, match="no answer within 2 s"):
        dataset[2500]


def test_a_flipped_byte_is_asked_for_again(server, url, link):
    dataset = opened(url, server, link)
    assert dataset[2000]["label"] == 2000
    left = iter([proxy.flipped])
    link.change = lambda request, answer: next(left, lambda _, same: same)(request, answer)
    assert dataset[2500]["label"] == 2500 and next(left, None) is None
    fresh = atlas.AtlasDataset(url, storage_options=server.options | {"endpoint": link.endpoint}, cache=None)
    link.change = proxy.flipped
    with pytest.raises(AtlasError, match="hash"):
        fresh[2500]


def test_a_server_without_ranges(server, url, link):
    dataset = opened(url, server, link, timeout=2)
    link.plain = lambda request: True
    with pytest.raises(AtlasError, match="cannot be read"):
        dataset[2500]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("change", [proxy.status(401), proxy.status(403), proxy.status(500), proxy.reset], ids=["401", "403", "500", "reset"])
def test_what_verify_cannot_ask_for_is_no_damage(server, url, link, change, method, fast):
    """It is an error the first time that it happens: nothing is said of the files."""
    options = server.options | {"endpoint": link.endpoint, "timeout": 1}
    shard = atlas.AtlasDataset(url, storage_options=options).shards[2].path
    link.change = lambda request, answer: change(request, answer) if shard in request.path and request.method == method else answer
    with pytest.raises(StoreError, match=shard):
        atlas.verify(url, fast=fast, progress=False, storage_options=options)
    assert method == "GET" or {one.method for one in link.requests if ".atlas" in one.path} == {"HEAD"}
    link.change = lambda request, answer: proxy.status(404)(request, answer) if shard in request.path else answer
    assert [file for file, _ in atlas.verify(url, fast=fast, progress=False, storage_options=options | {"timeout": 30}).damages] == [f"{url}/{shard}"]


FAULTS = [*map(proxy.status, (500, 503, 429)), proxy.reset, proxy.cut, proxy.short, proxy.zipped, proxy.flipped, proxy.retagged('W/"1"'), proxy.retagged('"stale"'), proxy.stalled(0.3), proxy.status(404)]


def faulty_epochs(server, url, link, folder, seed, epochs):
    """Of so many epochs under faults, each from an empty cache or without one: how many were read whole. Every row that comes is right."""
    rng = random.Random(seed)
    photos = [row["photo"] for row in opened(url, server, link, cache=None, timeout=10)]
    whole = 0
    for epoch in range(epochs):
        often = rng.choice([0.02, 0.1, 0.5])
        link.change = lambda request, answer, often=often: rng.choice(FAULTS)(request, answer) if rng.random() < often else answer
        begin = time.monotonic()
        try:
            cache = folder / str(epoch) if epoch % 2 else None
            dataset = opened(url, server, link, cache, timeout=1.5)
            order = np.array(rng.sample(range(ROWS), 256))
            for part in (order[:128], order[128:]):
                batch = dataset.batch(part)
                assert batch["label"].tolist() == part.tolist() and batch["photo"] == [photos[k] for k in part]
            whole += 1
        except (AtlasError, OSError):
            pass
        assert time.monotonic() - begin < 30
        link.change = lambda _, same: same
        shutil.rmtree(folder / str(epoch), ignore_errors=True)
    return whole


def test_a_faulty_server_gives_right_rows_or_an_error(server, url, link, tmp_path):
    assert 0 < faulty_epochs(server, url, link, tmp_path, 1, 20) <= 20


@pytest.mark.campaign
def test_a_faulty_server_for_long(server, url, link, tmp_path):
    whole = faulty_epochs(server, url, link, tmp_path, 2, 1000)
    print(f"{whole:,} of 1,000 epochs came whole, the others ended with an error in time")
    assert 100 < whole <= 1000


def forks(server, url, link, tmp_path, count, at_once=4):
    """Children of a process that has read and goes on reading: each reads rows that nobody has, and that the cache has. Returns how many failed."""
    kept, fresh = opened(url, server, link, tmp_path / "cache"), opened(url, server, link, None)
    assert [one["label"] for one in kept] == list(range(ROWS)) and fresh[1]["label"] == 1
    failed = 0
    for begin in range(0, count, at_once):
        children = []
        for k in range(begin, min(begin + at_once, count)):
            pid = os.fork()
            if pid == 0:
                try:
                    rng = np.random.default_rng(k)
                    good = all(dataset.batch(rows)["label"].tolist() == rows.tolist() for dataset in (kept, fresh) for rows in [rng.integers(0, ROWS, 20)])
                    os._exit(0 if good else 1)
                finally:
                    os._exit(2)
            children.append(pid)
        assert fresh[begin % ROWS]["label"] == begin % ROWS
        end = time.monotonic() + 60
        for pid in children:
            while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)
            failed += ended[1] != 0
    return failed


def test_forked_children_read(server, url, link, tmp_path):
    assert forks(server, url, link, tmp_path, 8) == 0


@pytest.mark.campaign
def test_a_thousand_forks(server, url, link, tmp_path):
    assert forks(server, url, link, tmp_path, 1000) == 0
