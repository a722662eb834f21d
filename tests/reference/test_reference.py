"""The reader against the builder, and both against the tables of FORMAT.md. The C code is not tested here."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import struct
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import sample, totals, wire
from reference.builder import Encoding, build, reseal, write_dataset
from reference.reader import Dataset, Shard
from reference.wire import CONST, ENUM, FIXED, LZ4, NARROW, NONE, PAGE_CODED, VAR, ZSTD, ShardError

FORMAT = Path(__file__).resolve().parents[2] / "FORMAT.md"


def test_tables_are_those_of_the_document():
    text = FORMAT.read_text()
    sizes = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
    for table in wire.TABLES:
        part = text.split(f"<!-- table: {table.name} -->")[1].split("\n\n")[0]
        rows = re.findall(r"^\| (\d+) \| ([^|]*?) \| `(\w+)` \|", part, re.M)
        start = int(rows[0][0])
        wanted = [(int(at) - start, name) for at, kind, name in rows if kind]
        assert wanted == [(table.offset(name), name) for name in table.fields]
        last, kind = rows[len(wanted) - 1][:2]
        size = sizes.get(kind) or int(kind.split()[0])
        assert table.size == int(last) - start + size


def test_rich_shard_round_trip():
    plan = sample.rich()
    shard = Shard(build(plan))
    shard.verify()
    assert shard.rows == len(shard) == sample.ROWS
    for position, leaf in enumerate(plan.leaves):
        assert shard.leaf(position) == shard.leaf(id=leaf.id) == plan.columns[leaf.id]


def test_examples():
    shard = Shard(build(sample.rich()))
    rows = list(shard)
    assert rows[3]["number"] == 1111 and rows[3]["flag"] is None and rows[4]["caption"] is None
    assert rows[1]["caption"].startswith('{"caption"') and rows[2]["caption"] == ""
    assert rows[1]["image"] == ("image/png", b"\x89PNG" + b"\1" * 9)
    assert rows[7]["sound"] is None and rows[6]["sound"][0] == "audio/flac"
    assert rows[0]["meta"]["when"] == datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
    assert rows[1]["meta"]["when"] == datetime.datetime(2020, 1, 2, 3, 4, 5)
    assert type(rows[0]["score"]) is np.float32 and rows[0]["score"] == 0.5
    assert rows[5]["vector"].tolist() == [5, 0, 2.5] and np.signbit(rows[5]["vector"][1])
    assert rows[3]["pixels"].tolist() == [[0, 1], [2, 3], [4, 5]] and rows[0]["pixels"].shape == (0, 2)
    assert rows[2]["wave"].tolist() == [1.0, 1.0] and rows[2]["wave"].dtype == np.float32
    assert rows[1]["any"].shape == (2,) and rows[2]["any"].shape == (2, 1, 1)
    assert rows[2]["box"] is None and rows[3]["box"] == {"x": 3.0, "name": "Straße"}
    assert rows[3]["plain"] == {"z": 3 + 1j} and rows[0]["step"] is None and rows[10]["step"] == 2995
    assert rows[0]["nothing"].shape == (0,)
    assert rows[2]["ids"] == [2**40 + k * 9 % 70 for k in range(10)] and rows[9]["corners"] is None and rows[8]["corners"] == [1] * 6 + [2] * 6
    assert str(rows[1]["when"]) == "2020-09-13 14:26:40.999000+02:00" and rows[2]["when"] is None
    assert rows[1]["exactly"] == np.datetime64(2**62 - 7, "ns") and rows[10]["born"] is None
    assert (rows[0]["born"], rows[1]["born"]) == (datetime.date.min, datetime.date.max) and (rows[1]["kind"], rows[7]["kind"]) == (None, 3)
    assert rows[0]["meta"]["array"].tolist() == [[256, 770, 1284], [1798, 2312, 2826]] and rows[1]["meta"]["array"].tolist() == ["é", ""]


FIXED_CELLS = [struct.pack("<i", n) for n in (5, -2, 5, 100, 7, 5, -2, 3, 0, 5, 1)]
VALUES = [b"", b"abc" * 30, b"abc" * 30, b"q", b"\0\1\2" * 99, b"abc" * 30, b"", b"w" * 65, b"x", b"yy", b"zzz"]


def with_nulls(cells, nulls):
    return [None if nulls == "all" or (nulls == "some" and i % 3 == 1) else cell for i, cell in enumerate(cells)]


def round_trip(plan):
    shard = Shard(build(plan))
    shard.verify()
    assert shard.leaf(0) == plan.columns[0]


@pytest.mark.parametrize("layout, codec, nulls", list(product((FIXED, CONST, NARROW, ENUM), (NONE, LZ4, ZSTD), ("no", "some", "all"))))
@pytest.mark.parametrize("dictionary", (False, True))
def test_fixed(layout, codec, nulls, dictionary):
    values = [FIXED_CELLS[0]] * 11 if layout == CONST else [struct.pack("<I", 2**32 - 100 + i * i) for i in range(10)] \
        if layout == NARROW else FIXED_CELLS
    cells = with_nulls(values, nulls)
    dictionary &= codec != NONE
    for size in (1, 2) if layout in (NARROW, ENUM) else (0,):
        how = Encoding(layout, codec, dictionary=dictionary, number=size or 2, code_bytes=size)
        round_trip(sample.one("int32", cells, how, width=4, flags=PAGE_CODED, nullable=nulls != "no", block=4,
                              dictionaries=(b"another one", sample.dictionary()), leaf_dictionary=2))


@pytest.mark.parametrize("layout, codec, nulls", list(product((VAR, CONST, ENUM), (NONE, LZ4, ZSTD), ("no", "some", "all"))))
@pytest.mark.parametrize("cells, short, dictionary", list(product((False, True), repeat=3)))
def test_variable(layout, codec, nulls, cells, short, dictionary):
    if (layout != VAR and (cells or short)) or (codec == NONE and (cells or dictionary)):
        return
    values = [b"const" * 20] * 11 if layout == CONST else VALUES
    how = Encoding(layout, codec, cells=cells, short=short, dictionary=dictionary)
    round_trip(sample.one("bytes", with_nulls(values, nulls), how, flags=0 if cells else PAGE_CODED, nullable=nulls != "no",
                          block=4, dictionaries=(sample.dictionary(),), leaf_dictionary=1))


@pytest.mark.parametrize("layout, codec, nulls", list(product((FIXED, NARROW), (LZ4, ZSTD), ("no", "some", "all"))))
@pytest.mark.parametrize("short, dictionary", list(product((False, True), repeat=2)))
def test_cells_of_a_fixed_leaf(layout, codec, nulls, short, dictionary):
    """Arrays of numbers, compressed one by one: some are all zero, some too random to become smaller."""
    rows = [[0] * 40, [7] * 40, list(range(40)), [i * i % 251 for i in range(40)], [0] * 39 + [1], [200] * 40, [i % 3 for i in range(40)]]
    cells = with_nulls([struct.pack("<40I", *(n + 10 * (layout == NARROW) for n in row)) for row in rows], nulls)
    how = Encoding(layout, codec, cells=True, short=short, dictionary=dictionary, number=1, base=10)
    round_trip(sample.one({"array": {"dtype": "uint32", "shape": [40]}}, cells, how, width=160, nullable=nulls != "no", block=4,
                          dictionaries=(sample.dictionary(),), leaf_dictionary=1))


@pytest.mark.parametrize("codec, nulls", list(product((NONE, LZ4, ZSTD), ("no", "some", "all"))))
@pytest.mark.parametrize("cells, short, number", list(product((False, True), (False, True), (1, 2, 4))))
def test_narrow_of_a_variable_leaf(codec, nulls, cells, short, number):
    if cells and codec == NONE:
        return
    rows = [[], [5], [2**64 - 1, 0, 1], list(range(200)), [7] * 99, [], [250] * 3]
    values = with_nulls([struct.pack(f"<{len(row)}Q", *row) for row in rows], nulls)
    how = Encoding(NARROW, codec, cells=cells, short=short, element=8, number=number, base=2**64 - 1)
    round_trip(sample.one({"tensor": {"dtype": "uint64", "ndim": 1}}, values, how, flags=0 if cells else PAGE_CODED,
                          nullable=nulls != "no", block=4))


@pytest.mark.parametrize("element, number", [(2, 1), (4, 1), (4, 2), (8, 1), (8, 2), (8, 4)])
def test_narrow_sizes_and_wrap(element, number):
    """The base may lie near the top: sums are modulo the element's size. Here two elements make a value."""
    cells = [struct.pack("<Q", (2**64 - 3 + i) % 2**64)[:element] * 2 for i in range(9)]

    kind = {"array": {"dtype": "uint8", "shape": [2 * element]}}
    how = Encoding(NARROW, element=element, number=number, base=2 ** (8 * element) - 3)
    round_trip(sample.one(kind, cells, how, width=2 * element, block=4))


def test_no_rows():
    plan = sample.rich()
    shard = Shard(build(replace(plan, columns={id: [] for id in plan.columns})))
    shard.verify()
    assert list(shard) == []


def test_order_of_blocks_skippable_chunks_and_compat_bits_are_free():
    """Within their kind, DATA chunks may lie in any order that ascends in each group; unknown lower-case chunks are skipped."""
    plan = sample.rich()
    chunk = wire.CHUNK.pack(kind=b"note", body_bytes=5, head_bytes=5) + b"hello" + bytes(27)

    def patch(name, key, value):
        if name == "whole" and key in ((b"DATA", 1, 0), (b"FOOT",)):
            return chunk
        return value | {"compat": 12, "minor": 7} if name == "header" else value

    for interleave in (True, False):
        shard = Shard(reseal(build(replace(plan, interleave=interleave, patch=patch))))
        shard.verify()
        assert shard.leaf(id=4) == plan.columns[4]


def test_every_bit_flip_is_noticed():
    good = build(sample.tiny())
    Shard(good).verify()
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ShardError):
            Shard(bytes(bad)).verify()


def test_every_cut_is_noticed():
    good = build(sample.tiny())
    for length in range(len(good)):
        with pytest.raises(wire.Truncated):
            Shard(good[:length])


def test_reseal_changes_nothing_that_is_right():
    for plan in (sample.rich(), sample.tiny()):
        good = build(plan)
        assert reseal(good) == reseal(good, content=True) == good


def test_reseal_gets_past_the_hashes():
    """A value of a page is edited: after `reseal` only the content digest is wrong, and with `content` nothing is."""
    good = build(sample.tiny())
    at = good.index(b"abcdef")
    edited = good[:at] + b"abcdeF" + good[at + 6 :]
    with pytest.raises(wire.Corrupt, match="digest"):
        Shard(reseal(edited)).verify()
    shard = Shard(reseal(edited, content=True))
    shard.verify()
    assert shard.leaf(0)[2] == b"eF"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3), st.booleans())
def test_edited_and_resealed_shards_fail_cleanly(edits, content):
    """Whatever the bytes, the reader raises one of its own errors or finds nothing."""
    bad = bytearray(build(sample.tiny()))
    for at, value in edits:
        bad[at % len(bad)] = value
    with contextlib.suppress(ShardError):
        Shard(reseal(bytes(bad), content)).verify()


def test_dataset(tmp_path):
    data = build(sample.rich())
    write_dataset(tmp_path, [data, data], sample.RICH_SCHEMA, metadata={"é": 1.5}, splits={"train": [[0, 20]]})
    rows = list(Dataset(tmp_path).examples())
    assert len(rows) == 2 * sample.ROWS and repr(rows[3]) == repr(Shard(data).example(3)) == repr(rows[3 + sample.ROWS])


def test_dataset_widens_and_fills(tmp_path):
    old = build(sample.one("int16", [b"\xff\xff", b"\2\0"], Encoding(FIXED), width=2))
    schema = {"container": "dict", "fields": [sample.field("new", "str", 5, nullable=True),
                                              sample.field("renamed", "float64", 0, nullable=True)]}
    write_dataset(tmp_path, [old], schema)
    assert list(Dataset(tmp_path).examples()) == [{"new": None, "renamed": -1.0}, {"new": None, "renamed": 2.0}]


def test_icc_is_optional_and_from_0_to_1(tmp_path):
    for icc in ({}, {"label": 0}, {"label": 0.5, "x": 1}):
        write_dataset(tmp_path, [build(sample.tiny())], sample.schema_of_tiny(), icc=icc)
        assert len(list(Dataset(tmp_path).examples())) == 3
    for icc in ([], {"label": 1.5}, {"label": None}, {"label": True}):
        write_dataset(tmp_path, [build(sample.tiny())], sample.schema_of_tiny(), icc=icc)
        with pytest.raises(ShardError):
            Dataset(tmp_path)


@pytest.mark.parametrize("name, value", [("raw", 1), ("chunk", 3), ("chunk", None)])
def test_raw_and_chunk_are_those_of_the_shard(tmp_path, name, value):
    write_dataset(tmp_path, [build(sample.tiny())], sample.schema_of_tiny())
    body = json.loads((tmp_path / "atlas.json").read_bytes())
    entry = {key: number for key, number in (body["shards"][0] | {name: value}).items() if number is not None}
    write_dataset(tmp_path, [build(sample.tiny())], sample.schema_of_tiny(), shards=[entry])
    with pytest.raises(ShardError, match="as the manifest"):
        list(Dataset(tmp_path).examples())


def notes_of(raw, counts, numbers):
    leaf = {"path": "x", "why": "w", "raw_bytes": raw, "stored_bytes": 2, "cells": 0, "codecs": {"lz4": 1}, "layouts": {"VAR": 2}}
    sums = {"rows": 4, "chunks": 2, "squares": 8, "numbers": numbers, "classes": {"agree": 2.5, "counts": counts}, "hashed": None}
    return {"columns": [leaf], "icc": {"x": sums}}


def test_totals_are_those_of_the_shards():
    notes = [notes_of(10, {"1": 4}, [0.1, 1.0, 2.0]), notes_of(5, {"1": 1, "2": 3}, [1e20, 0.0, 1e-20])]
    shards = [{"raw": 9, "rows": 4}, {"raw": 70, "rows": 4}]
    good = {"shards": shards, "stats": totals.stats(shards, notes)}
    good["icc_sums"] = {"x": totals.icc_sums([note["icc"]["x"] for note in notes])}
    good["icc"] = {"x": totals.icc(good["icc_sums"]["x"])}
    assert good["stats"]["row_bytes"] == 17 and good["stats"]["columns"][0]["raw_bytes"] == 15 and good["stats"]["columns"][0]["codecs"] == {"lz4": 2}
    assert good["icc_sums"]["x"]["classes"] == {"agree": [5.0], "counts": {"1": 5, "2": 3}} and len(good["icc_sums"]["x"]["numbers"][2]) == 2
    totals.check(good, notes)
    totals.check({"shards": shards}, notes)
    for place in (("stats", "row_bytes"), ("icc", "x"), ("icc_sums", "x", "rows"), ("icc_sums", "x", "classes", "counts", "1"), ("stats", "columns", 0, "stored_bytes")):
        wrong = json.loads(json.dumps(good))
        inner = wrong
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] += 0.25
        with pytest.raises(ShardError):
            totals.check(wrong, notes)


def test_manifest_edits_are_noticed(tmp_path):
    write_dataset(tmp_path, [build(sample.tiny())], sample.schema_of_tiny())
    path = tmp_path / "atlas.json"
    good = path.read_bytes()
    for bad in (good + b"\n", good.replace(b'"rows":3', b'"rows":4'), good[:-1], good.replace(b'"atlas":2', b'"atlas": 2')):
        path.write_bytes(bad)
        with pytest.raises(ShardError):
            Dataset(tmp_path)


def test_the_example_of_section_9() -> None:
    how = Encoding(wire.VAR, wire.ZSTD, cells=True, short=True, together=2)
    data = build(sample.one("bytes", [b"ab", None, b""], how, flags=wire.PAGE_CODED, nullable=True))
    shard = Shard(data)
    block, pages = shard.index[0][0], shard.block(0, 0)[1]
    stored = data[block.offset + pages[0].offset :][: pages[0].stored]
    zeros = [stored[:1], stored[64:70], stored[128:134], stored[192:]]
    assert zeros == [b"\x05", struct.pack("<3H", 0, 5, 5), struct.pack("<3H", 2, 2, 0), b"\0\0\0ab"]
    assert not any(stored[1:64] + stored[70:128] + stored[134:192]) and (pages[0].stored, pages[0].raw) == (197, 130)
    assert list(shard) == [b"ab", None, b""]
