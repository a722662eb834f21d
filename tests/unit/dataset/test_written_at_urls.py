"""Datasets that are written at URLs: by one writer and by many, killed, and with answers that are lost."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import CommitConflict, SchemaError, StoreError, UnsupportedError, WriterBusy
from atlas_ds.store import leased_log
from atlas_ds.store.owner import this_process
from servers import proxy
from servers.proxy import Answer

numbers = itertools.count()
ROWS = 1000


def row(i):
    return {"i": i, "x": np.full(50, i, np.float32)}


@pytest.fixture
def where(server, link):
    """(URL, options), by way of the proxy."""
    return f"s3://data/written/{next(numbers)}", server.options | {"endpoint": link.endpoint}


def write(where, rows, **options):
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], **({"shard_size": 100} | options)) as writer:
        writer.extend(map(row, rows))


def numbers_in(where):
    dataset = atlas.AtlasDataset(where[0], storage_options=where[1], cache=None)
    batch = dataset.batch(slice(None))
    assert all((x == i).all() for i, x in zip(batch["i"], batch["x"], strict=True))
    return batch["i"].tolist()


def files(where):
    from atlas_ds.store.object import ObjectStore

    return {one.name: one.size for one in ObjectStore(*where).list()}


def shard_puts(link):
    """How often each shard was sent."""
    names = [one.path.split("?")[0].rpartition("/")[2] for one in link.requests if one.method == "PUT"]
    return [name for name in names if name.endswith(".atlas")]


def test_it_is_what_a_folder_would_be(where, tmp_path):
    write(where, range(ROWS))
    with atlas.AtlasDatasetWriter(tmp_path / "d", shard_size=100) as writer:
        writer.extend(map(row, range(ROWS)))
    assert files(where) == {path.name: path.stat().st_size for path in (tmp_path / "d").iterdir() if path.name[0] != "."}
    assert numbers_in(where) == list(range(ROWS)) and atlas.verify(where[0], storage_options=where[1]).damages == []


def test_splits_and_metadata(where):
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=30, metadata={"a": 1}) as writer:
        for i in range(100):
            writer.add_example(row(i), split="test" if i % 5 == 0 else "train")
    dataset = atlas.AtlasDataset(where[0], storage_options=where[1])
    assert dataset.metadata == {"a": 1} and dataset.splits == {"test": 20, "train": 80}


def test_what_exists_is_not_replaced_without_a_word(where):
    write(where, range(10))
    with pytest.raises(FileExistsError, match="append=True"):
        write(where, range(10))
    write(where, range(10, 20), append=True)
    assert numbers_in(where) == list(range(20))
    with pytest.raises(SchemaError), atlas.AtlasDatasetWriter(where[0], storage_options=where[1], append=True) as writer:
        writer.add_example({"other": 1})
    assert numbers_in(where) == list(range(20))


def test_readers_of_what_was_replaced_read_on(where):
    write(where, range(ROWS))
    old = atlas.AtlasDataset(where[0], storage_options=where[1], cache=None)
    write(where, range(5), overwrite=True)
    assert numbers_in(where) == list(range(5))
    assert old.batch(slice(None))["i"].tolist() == list(range(ROWS)), "its shards stay"


def test_nothing_is_left_of_a_writer_that_gives_up(where):
    with pytest.raises(KeyError), atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100) as writer:
        writer.extend(map(row, range(ROWS)))
        raise KeyError
    assert not any(name.endswith(".atlas") or name == MANIFEST for name in files(where))
    write(where, range(10))
    assert numbers_in(where) == list(range(10))


def test_a_second_writer_waits(where):
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1]) as writer:
        writer.add_example(row(0))
        with pytest.raises(WriterBusy, match="another writer is active here"):
            atlas.AtlasDatasetWriter(where[0], storage_options=where[1])
    assert numbers_in(where) == [0]


@pytest.mark.parametrize(("url", "options", "why"), [
    ("http://127.0.0.1:1/d", {"allow_http": True}, "HTTP servers are read, and not written to"),
    ("memory://d", None, "what fsspec reads is not written to"),
])  # fmt: skip
def test_where_it_cannot_be_written(url, options, why):
    with pytest.raises(UnsupportedError, match=why):
        atlas.AtlasDatasetWriter(url, storage_options=options)


@pytest.mark.parametrize("name", ["storage_options", "single_writer"])
def test_arguments_for_urls_only(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}= is for URLs"):
        atlas.AtlasDatasetWriter(tmp_path / "d", **{name: {"region": "x"} if name == "storage_options" else True})


def test_a_rejected_example_loses_no_shard_on_its_way(where, link):
    def late(request, answer):
        if request.method == "PUT" and request.path.split("?")[0].endswith(".atlas"):
            answer.stall = 0.5
        return answer

    link.change = late
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100, schema={"i": int}) as writer:
        for i in range(150):
            if i == 100:
                with pytest.raises(SchemaError):
                    writer.add_example({"i": "x"})
            writer.add_example({"i": i})
    assert atlas.AtlasDataset(where[0], storage_options=where[1], cache=None).batch(slice(None))["i"].tolist() == list(range(150))


def test_an_append_reads_dictionaries_and_not_all_of_a_shard(where, link):
    rows = [{"b": np.random.default_rng(k).bytes(1 << 20), "t": f"the same words again and again {k}" * 3} for k in range(20)]
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1]) as writer:
        writer.extend(rows)
    seen = len(link.requests)
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], append=True) as writer:
        writer.extend(rows[:2])
    ranges = [one.range for one in link.requests[seen:] if one.method == "GET" and one.path.split("?")[0].endswith(".atlas")]
    assert ranges and all(one is not None and one[1] - one[0] < 1 << 20 for one in ranges)


# --- kills ---

WRITE = """
import json, sys
import numpy as np
import atlas_ds as atlas
url, options, rows = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
with atlas.AtlasDatasetWriter(url, storage_options=options, shard_size=100, resume="resume" in sys.argv) as writer:
    for i in range(writer.position, rows):
        writer.add_example({"i": i, "x": np.full(50, i, np.float32)})
"""


def started(where, *more):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, "-c", WRITE, where[0], json.dumps(where[1]), str(ROWS), *more], env=environment)


def check_kills(where, link, tmp_path, kills, rng):
    """Kills a writer, and those that resume it, at random; then one goes on undisturbed. Returns how often each shard was sent."""
    write((where[0] + "-whole", where[1]), range(ROWS))
    seen = len(link.requests)
    for number in range(kills):
        process = started(where, *(["resume"] if number else []))
        due = int(rng.integers(1, 20))  # requests
        begin = len(link.requests)
        while process.poll() is None and len(link.requests) - begin < due:
            time.sleep(0.002)
        process.kill()
        process.wait()
    assert started(where, "resume").wait() == 0
    assert files(where) == files((where[0] + "-whole", where[1])), "names have hashes of the bytes"
    assert numbers_in(where) == list(range(ROWS)) and atlas.verify(where[0], storage_options=where[1]).damages == []
    link.requests[:seen] = []
    return shard_puts(link)


def test_a_killed_writer_is_resumed(where, link, tmp_path):
    sent = check_kills(where, link, tmp_path, 3, np.random.default_rng(0))
    assert len(sent) <= 10 + 3 * 3, "of finished shards, those whose log was not written yet are sent again"


@pytest.mark.campaign
def test_killed_writers_are_resumed(server, link, tmp_path):
    rng = np.random.default_rng(int(os.environ.get("ATLAS_CAMPAIGN_SEED", "0")))
    kills = 0
    while kills < int(os.environ.get("ATLAS_CAMPAIGN_KILLS", "300")):
        where = f"s3://data/killed/{kills}", server.options | {"endpoint": link.endpoint}
        check_kills(where, link, tmp_path, 5, rng)
        kills += 5


# --- many writers ---


def test_eight_append_at_the_same_time(where):
    write(where, range(10))
    failed = []

    def append(k):
        try:
            write(where, range(1000 * k, 1000 * k + 120), append=True, shard_size=50)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=append, args=(k,)) for k in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(numbers_in(where)) == [*range(10), *(i for k in range(1, 9) for i in range(1000 * k, 1000 * k + 120))]


def test_an_append_whose_answer_is_lost_before_another_one(where, link, server):
    write(where, range(10))
    left = [1]

    def change(request, answer):
        if request.method == "PUT" and request.path.endswith(MANIFEST) and left[0] and answer.status == 200:
            left[0] = 0
            write((where[0], server.options), range(100, 110), append=True)
            return Answer(0, {}, b"")
        return answer

    link.change = change
    write(where, range(10, 20), append=True)
    assert numbers_in(where) == [*range(20), *range(100, 110)] and left == [0]


def test_a_writer_that_slept_until_another_one_resumed(where, monkeypatch):
    sleeping = atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100)
    for i in range(2 * ROWS):  # more than those of which the schema is inferred
        sleeping.add_example(row(i))
    monkeypatch.setattr("atlas_ds.store.object.LEASE", 0.0)
    monkeypatch.setattr("atlas_ds.dataset.journal.is_near", lambda owner: False)
    elsewhere = replace(this_process(), host="another")
    monkeypatch.setattr("atlas_ds.dataset.output.this_process", lambda: elsewhere)
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100, resume=True) as writer:
        assert writer.position >= 100
        writer.extend(map(row, range(writer.position, 2 * ROWS)))
        monkeypatch.setattr(leased_log, "BEAT", 0.0)
        with pytest.raises(CommitConflict, match="another writer has taken it over"):
            sleeping.close()
    assert numbers_in(where) == list(range(2 * ROWS))


@pytest.mark.parametrize("end", ["abort", "publish"])
def test_a_writer_that_another_one_resumed_removes_nothing(where, monkeypatch, end):
    sleeping = atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100)
    sleeping.extend(map(row, range(2 * ROWS)))
    monkeypatch.setattr("atlas_ds.store.object.LEASE", 0.0)
    monkeypatch.setattr("atlas_ds.dataset.journal.is_near", lambda owner: False)
    elsewhere = replace(this_process(), host="another")
    monkeypatch.setattr("atlas_ds.dataset.output.this_process", lambda: elsewhere)
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100, resume=True) as writer:
        writer.extend(map(row, range(writer.position, 2 * ROWS)))
        if end == "abort":
            sleeping.abort()
        else:
            with pytest.raises(CommitConflict, match="taken"):
                sleeping.close()
    assert numbers_in(where) == list(range(2 * ROWS))


def test_a_store_that_cannot_be_asked_loses_no_finished_shard(where, link):
    writer = atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100, schema={"i": int})
    writer.extend({"i": i} for i in range(500))
    for stream in writer._streams.values():
        stream.wait()
    writer._fail(OSError(28, "No space left on device"))
    before = files(where)
    ill = sorted(name for name in before if name.endswith(".atlas"))[1]
    link.change = lambda request, answer: proxy.status(500)(request, answer) if request.path.split("?")[0].endswith(ill) else answer
    with pytest.raises(StoreError, match=ill):
        atlas.AtlasDatasetWriter(where[0], storage_options=where[1] | {"timeout": 1}, shard_size=100, schema={"i": int}, resume=True)
    assert files(where).keys() == before.keys()
    link.change = lambda _, answer: answer
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size=100, schema={"i": int}, resume=True) as writer:
        assert writer.position == 500


# --- answers ---


def test_a_faulty_link(where, link):
    rng = np.random.default_rng(3)
    faults = [proxy.reset, proxy.status(500), proxy.status(503)]

    def change(request, answer):
        return faults[int(rng.integers(3))](request, answer) if rng.random() < 0.15 else answer

    link.change = change
    write(where, range(ROWS))
    link.change = lambda _, answer: answer
    assert numbers_in(where) == list(range(ROWS))


def test_a_dataset_in_large_shards(where):
    rows = [{"b": np.random.default_rng(k).bytes(1 << 20)} for k in range(40)]
    with atlas.AtlasDatasetWriter(where[0], storage_options=where[1], shard_size="12MiB") as writer:
        writer.extend(rows)
    dataset = atlas.AtlasDataset(where[0], storage_options=where[1])
    assert [one["b"] for one in dataset] == [one["b"] for one in rows] and len(dataset.shards) >= 3

