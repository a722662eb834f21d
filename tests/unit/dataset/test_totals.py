"""What the manifest says of all shards: that it is what the shards say, however the dataset was written, and that nothing is opened for it."""

import json
import pickle
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rfc8785
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts
from atlas_ds.dataset import layout
from atlas_ds.dataset.manifest import Manifest, digest, read_manifest
from atlas_ds.dataset.open import OpenOptions, open_dataset
from atlas_ds.rewrite.shuffle import measure
from atlas_ds.schema.schema import make_schema
from atlas_ds.shard import open as opening
from atlas_ds.shard.icc_total import sum_of, terms
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.notes import shard_notes
from atlas_ds.shard.open import open_shard, shard_info
from atlas_ds.shard.totals import Totals, shard_totals, sum_of_totals
from atlas_ds.store.local import LocalStore
from reference.reader import Dataset
from support import child, tree, write

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
LEAF = {"raw_bytes": 80, "stored_bytes": 40, "cells": 0, "layouts": {"VAR": 3}, "codecs": {"zstd": 3}, "why": "text"}


def computed(path):
    """The totals, from the shards."""
    shards = [(info, open_shard(path / info.path)) for info in read_manifest(LocalStore(path)).shards]
    assert all(shard_info(shard, info.path) == info for info, shard in shards)
    return sum_of_totals(shard_totals(info, shard_notes(shard)) for info, shard in shards)


def check(path):
    manifest = read_manifest(LocalStore(path))
    assert manifest.totals == computed(path) and manifest.icc.keys() == manifest.totals.icc.keys()
    assert len(list(Dataset(path).shards())) == len(manifest.shards)  # the second reader adds them up, too
    return manifest


def resealed(path, change):
    body = json.loads((path / "atlas.json").read_bytes())
    del body["hash"]
    change(body)
    (path / "atlas.json").write_bytes(rfc8785.dumps(body | {"hash": digest(rfc8785.dumps(body))}))


def forbid_shards(monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(opening, "open_mapped", refuse)


# --- nothing is opened ---


def phantom(path, count):
    """A dataset whose files do not exist."""
    path.mkdir()
    shards = tuple(ShardInfo(f"{k:05d}-{k:016x}.atlas", 10, 1000, 200, f"{k:016x}", 700 + k % 7, 3 + k % 2) for k in range(count))
    totals = Totals({"a": LEAF, "b": LEAF | {"raw_bytes": 5, "codecs": {}}}, 321)
    (path / "atlas.json").write_bytes(Manifest(make_schema({"a": str, "b": int}), shards, totals=totals).dumps())
    return path


def test_ten_thousand_shards_answer_without_their_files(tmp_path):
    ds = AtlasDataset(phantom(tmp_path / "d", 10_000))
    stats = ds.stats()
    column = {name: LEAF[name] for name in ("raw_bytes", "stored_bytes", "layouts", "codecs", "why")} | {"codec": "zstd"}
    assert stats == {"rows": 100_000, "bytes": 10_000_000, "raw_bytes": 85, "columns": {"a": column, "b": column | {"raw_bytes": 5, "codecs": {}, "codec": "none"}}}
    assert ds.chunk_rows().tolist() == [3, 3, 3, 1, 4, 4, 2] * 5000 and ds[15:35].chunk_rows().tolist() == [3, 2, 3, 3, 3, 1, 4, 1]
    assert ds.row_bytes == pytest.approx(70.3, abs=0.01)
    assert atlas.concat([ds, ds[5:]]).stats() == stats and ds.shard_set.is_open == []
    total, row = measure(open_dataset(OpenOptions(LocalStore(tmp_path / "d"), None, None, "first", "mmap", True, 0)))
    assert (total, row) == (sum(700 + k % 7 for k in range(10_000)), 321)


def test_stats_of_a_caller_are_its_own(tmp_path):
    ds = AtlasDataset(phantom(tmp_path / "d", 2))
    ds.stats()["columns"]["a"]["codecs"]["zstd"] = 77
    assert ds.stats()["columns"]["a"]["codecs"] == {"zstd": 3}


def test_closing_and_merging_open_no_shard(tmp_path, monkeypatch):
    rows = [{"v": i // 300, "x": i / 3} for i in range(2000)]
    options = {"icc": ["v", "x"], "shard_size": 300, "workers": 0, "dictionary": None}
    forbid_shards(monkeypatch)
    with AtlasDatasetWriter(tmp_path / "one", **options) as writer:
        writer.extend(rows)
    for part in range(3):
        with AtlasDatasetWriter(tmp_path / "parts", part=part, schema={"v": int, "x": float}, **options) as writer:
            writer.extend(rows[part * 600 : part * 600 + (600 if part < 2 else 2000)])
    merge_parts(tmp_path / "parts")
    with AtlasDatasetWriter(tmp_path / "one", append=True, **options) as writer:
        writer.extend(rows)
    monkeypatch.undo()
    assert check(tmp_path / "one").rows == 4000 and check(tmp_path / "parts").rows == 2000


# --- however it was written ---

VALUES = st.one_of(st.floats(-1e150, 1e150), st.sampled_from([float("nan"), 0.1, 1e20, -1e20, 5e-324, 1e-300, 7.0]))


@st.composite
def histories(draw):
    """Rows, and where each of several writers ends."""
    count = draw(st.integers(1, 30))
    rows = [{"i": draw(st.integers(-3, 3)), "x": draw(VALUES), "s": draw(st.sampled_from("abcé")), "b": draw(st.booleans())} for _ in range(count)]
    cuts = sorted(draw(st.lists(st.integers(0, count), min_size=1, max_size=3)))
    return rows, [0, *cuts, count], draw(st.integers(1, 9)), draw(st.sampled_from(["random", "scan"]))


SCHEMA = {"i": int, "x": float, "s": str, "b": bool}


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(histories())
def test_however_it_was_written_the_totals_are_those_of_the_shards(history):
    rows, ends, size, access = history
    options = {"icc": list(SCHEMA), "schema": SCHEMA, "shard_size": size, "access": access, "block_size": 2, "dictionary": None}
    pieces = [rows[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        at = Path(scratch)
        for number, piece in enumerate(pieces):
            write(at / "appended", piece, append=number > 0, **options)
            write(at / "parts", piece, part=number, **options)
        merge_parts(at / "parts")
        writer = AtlasDatasetWriter(at / "resumed", workers=0, **options)
        writer.extend(pieces[0] + pieces[1])
        writer._stop()
        writer._output.leave()
        writer._end("failed")
        with AtlasDatasetWriter(at / "resumed", resume=True, workers=0, **options) as writer:
            writer.extend(rows[writer.position :])
        write(at / "over", rows[:1] * 3, **options)
        write(at / "over", rows, overwrite=True, **options)
        with AtlasDatasetWriter(at / "splits", workers=0, **options) as writer:
            for k, row in enumerate(rows):
                writer.add_example(row, split="ab"[k % 3 == 0])
        manifests = {name: check(at / name) for name in ("appended", "parts", "resumed", "over", "splits")}
        assert manifests["appended"].totals == manifests["parts"].totals and manifests["appended"].icc == manifests["parts"].icc
        assert tree(at / "resumed") == tree(at / "over")


def test_a_killed_writer_is_resumed_with_the_totals_of_all(tmp_path):
    code = """
import os, sys
from atlas_ds import AtlasDatasetWriter
writer = AtlasDatasetWriter(sys.argv[1], icc=["v"], shard_size=20, workers=0, schema={"v": float})
for value in range(70):
    writer.add_example({"v": value / 7})
os._exit(0)
"""
    child(code, tmp_path / "d")
    with AtlasDatasetWriter(tmp_path / "d", icc=["v"], shard_size=20, workers=0, schema={"v": float}, resume=True) as writer:
        assert writer.position == 60
    write(tmp_path / "one", ({"v": value / 7} for value in range(60)), icc=["v"], shard_size=20, schema={"v": float})
    check(tmp_path / "d")
    assert tree(tmp_path / "d") == tree(tmp_path / "one")


def test_a_pickled_dataset_has_the_stats_of_its_own_rows(tmp_path):
    ds = AtlasDataset(write(tmp_path / "d", ["text " * 9] * 30, shard_size=10))
    before, pickled = ds.stats(), pickle.dumps(ds)
    write(tmp_path / "d", ["more " * 9] * 30, append=True, shard_size=10)
    assert pickle.loads(pickled).stats() == before != AtlasDataset(tmp_path / "d").stats()


def test_one_file_has_the_stats_of_its_notes(tmp_path):
    path = write(tmp_path / "d", ["text " * 9] * 30)
    assert AtlasDataset(next(path.glob("*.atlas"))).stats() == AtlasDataset(path).stats()


def test_rows_of_repeated_values_count_in_full(tmp_path):
    """Such pages are small, but their rows are not: shuffle must know how much memory they take."""
    path = write(tmp_path / "d", [np.zeros(100_000, np.uint8)] * 50, block_size=50)
    total, row = measure(open_dataset(OpenOptions(LocalStore(path), None, None, "first", "mmap", True, 0)))
    assert AtlasDataset(path).shards[0].raw < 1_000_000 and total == 5_000_000 and row == 100_000


# --- exact sums ---


@settings(deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), max_size=40), st.randoms())
def test_sums_do_not_depend_on_the_order(values, random):
    total = sum(map(Fraction, values), Fraction(0))
    shuffled = random.sample(values, len(values))
    stored = json.loads(rfc8785.dumps(terms(total)), parse_int=float)
    assert sum_of(stored) == total and terms(sum(map(Fraction, shuffled), Fraction(0))) == stored
    assert all(abs(small) <= abs(large) * 2**-52 for large, small in zip(stored, stored[1:], strict=False))


# --- other members ---

HUGE = (1 << 53) - 1
STATS = {"columns": [{"path": "v", **LEAF}], "row_bytes": 4}


def column(**changes):
    return {"columns": [{"path": "v", **LEAF, **changes}], "row_bytes": 4}


WRONG_STATS = {
    "null": None, "list": [], "text": "x", "empty": {}, "no columns": {"row_bytes": 4}, "no row_bytes": {"columns": []}, "columns of text": {"columns": ["x"], "row_bytes": 4},
    "negative": column(raw_bytes=-1), "huge": column(stored_bytes=1e300), "float": column(raw_bytes=0.5), "text count": column(cells="3"), "null count": column(cells=None), "bool": column(cells=True),
    "negative codec": column(codecs={"zstd": -3}), "many codecs": column(codecs={str(k): 1 for k in range(65)}), "list of layouts": column(layouts=[1]), "no why": column(why=None),
    "path twice": {"columns": STATS["columns"] * 2, "row_bytes": 4}, "too many": {"columns": [{"path": str(k), **LEAF} for k in range(4097)], "row_bytes": 4},
    "negative row": STATS | {"row_bytes": -4}, "float row": STATS | {"row_bytes": 1e-7}, "huge row": STATS | {"row_bytes": 1e300},
}  # fmt: skip


@pytest.mark.parametrize("stats", WRONG_STATS.values(), ids=WRONG_STATS)
def test_wrong_stats_are_left_out(tmp_path, stats):
    path = write(tmp_path / "d", range(30), shard_size=10)
    good = AtlasDataset(path).stats()
    resealed(path, lambda body: body.update(stats=stats))
    ds = AtlasDataset(path)
    assert list(ds) == list(range(30)) and ds.stats() == good and len(ds.shard_set.is_open) == 3
    write(path, [30], append=True)
    assert b'"stats"' not in (path / "atlas.json").read_bytes() and AtlasDataset(path).stats()["rows"] == 31


def test_an_append_that_would_be_too_large_for_a_number_leaves_stats_out(tmp_path):
    path = write(tmp_path / "d", range(30))
    resealed(path, lambda body: body["stats"]["columns"][0].update(raw_bytes=HUGE))
    assert AtlasDataset(path).stats()["raw_bytes"] == HUGE
    write(path, [1], append=True)
    assert b'"stats"' not in (path / "atlas.json").read_bytes() and AtlasDataset(path).stats()["raw_bytes"] == 31 * 8


def test_parts_without_stats_make_a_dataset_without(tmp_path):
    for part in range(2):
        write(tmp_path / "d", range(5), part=part, schema=int)
    resealed(tmp_path / "d" / ".parts" / "00001", lambda body: body.pop("stats"))
    merge_parts(tmp_path / "d")
    assert b'"stats"' not in (tmp_path / "d" / "atlas.json").read_bytes() and AtlasDataset(tmp_path / "d").stats()["raw_bytes"] == 80


def change(*place, to):
    def apply(sums):
        for name in place[:-1]:
            sums = sums[name]
        sums[place[-1]] = to

    return apply


WRONG_SUMS = {
    "missing": lambda sums: sums.clear(), "extra": change("more", to=1), "negative rows": change("rows", to=-1), "float rows": change("rows", to=1.5), "huge rows": change("rows", to=1e300),
    "chunks": change("chunks", to=10**6), "squares": change("squares", to=10**9), "no numbers": change("numbers", to=None), "two numbers": change("numbers", to=[[], []]),
    "flat numbers": change("numbers", to=[1, 2, 3]), "many terms": change("numbers", 0, to=[1.5] * 65), "huge term": change("numbers", 0, to=[1e307]), "text term": change("numbers", 0, to=["1"]),
    "bool term": change("numbers", 0, to=[True]), "null term": change("numbers", 0, to=[None]), "many classes": change("classes", "counts", to={str(k): 1 for k in range(1001)}), "odd class": change("classes", "counts", to={"x": 1}),
    "negative class": change("classes", "counts", to={"1": -1}), "agree": change("classes", "agree", to=3), "classes": change("classes", to=[]),
}  # fmt: skip


def test_icc_of_class_labels_is_that_of_their_numbers(tmp_path):
    label = atlas.types.nullable(atlas.types.class_label(["a", "b", "c"]))
    rows = [{"v": None if i % 7 == 0 else i // 300, "n": None if i % 7 == 0 else i // 300} for i in range(900)]
    ds = AtlasDataset(write(tmp_path / "d", rows, schema={"v": label, "n": atlas.types.nullable("int64")}, icc=["v", "n"]))
    assert ds.icc["v"] == ds.icc["n"] > 0.5
    with pytest.raises(errors.SchemaError, match="column 'v' is date: icc is for ints, floats, bools, class labels and str only"):
        AtlasDatasetWriter(tmp_path / "no", schema={"v": "date"}, icc=["v"])


@pytest.mark.parametrize("wrong", WRONG_SUMS.values(), ids=WRONG_SUMS)
def test_wrong_sums_are_left_out(tmp_path, wrong):
    path = write(tmp_path / "d", ({"v": i // 100} for i in range(600)), icc=["v"])
    icc = AtlasDataset(path).icc
    resealed(path, lambda body: wrong(body["icc_sums"]["v"]))
    assert AtlasDataset(path).icc == icc and read_manifest(LocalStore(path)).totals.icc == {}
    with pytest.warns(RuntimeWarning, match="icc of column 'v' is left out"):
        write(path, [{"v": 1}], append=True)
    assert AtlasDataset(path).icc == {} and b"icc" not in (path / "atlas.json").read_bytes().split(b'"stats"')[0]


@pytest.mark.parametrize("numbers", [[[], [1e305], [1e305]], [[1e305], [], []], [[], [-1e305], [-5]], [[-1e305, 1e305], [5e-324], [0]]])
def test_sums_that_lie_give_a_number(tmp_path, numbers):
    path = write(tmp_path / "d", ({"v": i / 7} for i in range(600)), icc=["v"])
    for _ in range(12):  # more and more
        resealed(path, lambda body: body["icc_sums"]["v"].update(numbers=numbers) if "icc_sums" in body else None)
        write(path, [{"v": 1.5}], append=True)
        assert all(0 <= value <= 1 for value in AtlasDataset(path).icc.values())


def test_a_lie_about_many_chunks_is_confirmed_before_they_are_listed(tmp_path):
    path = write(tmp_path / "d", range(30), shard_size=10)

    def lie(body):
        body["shards"][1].update(rows=1 << 50, chunk=1)
        body["rows"] = (1 << 50) + 20

    resealed(path, lie)
    with pytest.raises(errors.CorruptError, match="do not match the manifest"):
        AtlasDataset(path).chunk_rows()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=8),
    st.tuples(st.integers(0, 160), st.integers(0, 160)),
)
def test_chunks_are_those_of_every_shard(shards, ends):
    infos = [ShardInfo("", rows, 0, 0, "", 0, chunk) for rows, chunk in shards]
    whole = [(k, row // chunk) for k, (rows, chunk) in enumerate(shards) for row in range(rows)]
    rows = range(min(*ends, len(whole)), min(max(ends), len(whole)))
    wanted = [len([1 for row in rows if whole[row] == one]) for one in dict.fromkeys(whole[row] for row in rows)]
    found = layout.chunk_rows(infos, rows, remote=False)
    assert found == (0, 256) if len(rows) == 0 else found.tolist() == wanted
    assert layout.chunk_count(infos) == len(set(whole))


@pytest.mark.parametrize("access", ["random", "scan"])
def test_the_chunk_of_a_shard_is_its_smallest_coded_block(tmp_path, access):
    rows = [{"a": i, "s": f"a longer text about {i % 9} " * 9, "b": np.full(500, i % 50, np.uint8)} for i in range(600)]
    path = write(tmp_path / "d", rows, access=access, block_size="4KiB")
    leaves = open_shard(next(path.glob("*.atlas"))).leaves
    coded = [leaf.rows_per_block for leaf in leaves if leaf.flags & 2]
    assert len({leaf.rows_per_block for leaf in leaves}) > 1 and bool(coded) == (access == "scan")
    assert AtlasDataset(path).shards[0].chunk == min(coded or [leaf.rows_per_block for leaf in leaves])


@pytest.mark.parametrize("change", [{"raw": 7}, {"chunk": 3}])
def test_verify_compares_them(tmp_path, change):
    path = write(tmp_path / "d", range(30), shard_size=10)
    resealed(path, lambda body: body["shards"][1].update(change))
    assert [why.split(": ")[-1] for _, why in atlas.verify(path).damages] == ["rows, bytes, tail, root, raw or chunk do not match the manifest"]
    shutil.rmtree(path)


def test_a_window_order_needs_no_shard_but_the_first(tmp_path):
    ds = AtlasDataset(write(tmp_path / "d", ["some text " * 20] * 3000, shard_size=100, access="scan", schema=str))
    loader = atlas.Loader(ds, batch_size=10, shuffle="window", lanes=8, window=4)
    assert len(loader) == 300 and ds.shard_set.is_open == [0]


@pytest.mark.parametrize("change", [{"raw": 7}, {"chunk": 3}])
def test_a_journal_that_lies_about_a_finished_shard_is_not_resumed(tmp_path, change):
    writer = AtlasDatasetWriter(tmp_path / "d", schema=int, shard_size=10, workers=0)
    writer.extend(range(25))
    writer._stop()
    writer._output.leave()
    writer._end("failed")
    journal = next((tmp_path / "d").glob(".writing*"))
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
    lines[2]["shard"].update(change)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(errors.CorruptError, match=rf"{next(iter(change))} \[{next(iter(change.values()))}\], but the file has"):
        AtlasDatasetWriter(tmp_path / "d", schema=int, shard_size=10, workers=0, resume=True)
