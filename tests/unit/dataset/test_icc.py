"""icc=: the value against one computed from all rows, and that appending, parts and resuming give what one write gives."""

import math

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts, repair, types
from atlas_ds.dataset.manifest import parse_manifest, parse_members
from atlas_ds.shard.icc import CHUNK_ROWS
from support import child, tree, write

RNG = np.random.default_rng(0)


def expected(columns, shard_rows=None):
    """ICC(1) of indicator columns (rows, classes), NaN where null, from the definition: all deviations, no shortcut."""
    columns = np.asarray(columns, np.float64).reshape(len(columns), -1)
    shards = [columns[at : at + (shard_rows or len(columns))] for at in range(0, len(columns), shard_rows or len(columns))]
    chunks = [shard[at : at + CHUNK_ROWS] for shard in shards for at in range(0, len(shard), CHUNK_ROWS)]
    chunks = [chunk[~np.isnan(chunk).any(axis=1)] for chunk in chunks]
    chunks = [chunk for chunk in chunks if len(chunk)]
    rows, sizes = np.concatenate(chunks), np.array([len(chunk) for chunk in chunks])
    between = sum(len(chunk) * ((chunk.mean(0) - rows.mean(0)) ** 2).sum() for chunk in chunks) / (len(chunks) - 1)
    within = sum(((chunk - chunk.mean(0)) ** 2).sum() for chunk in chunks) / (len(rows) - len(chunks))
    k0 = (len(rows) - (sizes**2).sum() / len(rows)) / (len(chunks) - 1)
    return min(max((between - within) / (between + (k0 - 1) * within), 0.0), 1.0)


def indicators(values):
    found = sorted({value for value in values if value is not None})
    return [[math.nan] * len(found) if value is None else [value == one for one in found] for value in values]


def icc(path, values, **options):
    field = options.pop("schema", None)
    write(path, ({"v": value} for value in values), icc=["v"], schema={"v": field} if field else None, **options)
    return AtlasDataset(path).icc["v"]


def drifting(count, classes):
    """Classes that change slowly: neither sorted nor shuffled."""
    return ((np.arange(count) / 700 + RNG.normal(0, 0.6, count)) % classes).astype(int).tolist()


@pytest.mark.parametrize("options", [{}, {"shard_size": 1000}, {"shard_size": 512, "block_size": 7}, {"block_size": "1KB", "access": "scan", "workers": 2}])
def test_classes(tmp_path, options):
    labels = drifting(5003, 12)
    wanted = expected(indicators(labels), options.get("shard_size"))
    assert 0.1 < wanted < 0.9
    assert icc(tmp_path / "ints", labels, **options) == pytest.approx(wanted, rel=1e-9)
    assert icc(tmp_path / "texts", [f"class {label}" for label in labels], **options) == pytest.approx(wanted, rel=1e-9)
    bools = [label < 4 for label in labels]
    assert icc(tmp_path / "bools", bools, **options) == pytest.approx(expected(indicators(bools), options.get("shard_size")), rel=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "uint64"])
def test_numbers(tmp_path, dtype):
    values = np.cumsum(RNG.normal(0, 1, 4000)) + RNG.normal(0, 30, 4000)
    if "int" in dtype:
        values = 2.0**40 + np.round(values * 1000)  # more than 1,000 of them, and far from 0
    stored = [int(v) if "int" in dtype else float(v) for v in values]
    got = icc(tmp_path / "d", stored, schema=dtype, shard_size=900)
    wanted = np.array(AtlasDataset(tmp_path / "d").column("v"), np.float64) if dtype != "bfloat16" else [row["v"] for row in AtlasDataset(tmp_path / "d")]
    assert got == pytest.approx(expected(np.asarray(wanted) - np.mean(wanted), 900), rel=1e-8) and 0.05 < got < 0.95


def test_sorted_and_shuffled(tmp_path):
    labels = np.repeat(np.arange(1000), 20)
    assert icc(tmp_path / "s", labels.tolist()) > 0.05  # 256 rows are 13 classes
    labels = np.repeat(np.arange(10), 2000)
    assert icc(tmp_path / "t", labels.tolist()) > 0.95
    assert icc(tmp_path / "u", RNG.permutation(labels).tolist()) < 0.01
    assert icc(tmp_path / "v", np.sort(RNG.normal(0, 1, 20_000)).tolist()) > 0.95


def test_nulls_and_what_is_no_number_do_not_count(tmp_path):
    labels = [None if i % 7 == 0 or 512 <= i < 768 else label for i, label in enumerate(drifting(3000, 5))]
    assert icc(tmp_path / "ints", labels, schema=types.nullable("int64")) == pytest.approx(expected(indicators(labels)), rel=1e-9)
    texts = [None if label is None else "x" * label for label in labels]
    assert icc(tmp_path / "texts", texts, schema=types.nullable("str")) == pytest.approx(expected(indicators(texts)), rel=1e-9)
    real = RNG.normal(0, 1, 3000) + np.arange(3000) / 1000
    odd = real.copy()
    odd[::5], odd[1], odd[2], odd[3] = np.nan, np.inf, -np.inf, 1e300
    real[::5] = real[1:4] = np.nan
    assert icc(tmp_path / "floats", odd.tolist()) == pytest.approx(expected(real), rel=1e-9)


def test_many_classes(tmp_path):
    """Texts of more than 1,000 values are dealt to 1,024 classes: an estimate, close to that of all values."""
    names = [f"speaker {i // 3}" for i in range(6000)]
    blocks = [f"speaker {(i // 1024) * 1024 + i % 512}" for i in range(6000)]
    assert icc(tmp_path / "a", names, shard_size=1024) == pytest.approx(expected(indicators(names), 1024), abs=0.002)
    assert icc(tmp_path / "b", blocks, shard_size=1024) == pytest.approx(expected(indicators(blocks), 1024), abs=0.002)
    ids = list(range(6000))  # each shard has few enough, all together have not
    assert icc(tmp_path / "c", ids, shard_size=768) == pytest.approx(expected(ids, 768), rel=1e-9) and AtlasDataset(tmp_path / "c").icc["v"] > 0.9


@pytest.mark.parametrize("values", [[], [3], [1, 2] * 50, [5] * 1000])
def test_nothing_to_measure(tmp_path, values):
    assert icc(tmp_path / "d", values, schema="int64") == 0.0


def test_append_and_parts_and_splits_add_up(tmp_path):
    rows = [{"label": label, "word": f"w{label}", "x": label / 3} for label in drifting(4096, 9)]
    options = {"icc": ["label", "word", "x"], "shard_size": 512}
    write(tmp_path / "one", rows, **options)
    whole = AtlasDataset(tmp_path / "one").icc
    assert sorted(whole) == ["label", "word", "x"]
    write(tmp_path / "two", rows[:1024], **options)
    write(tmp_path / "two", rows[1024:2048], append=True, **options)
    write(tmp_path / "two", rows[2048:], append=True, shard_size=512)  # goes on with the columns of the dataset
    assert AtlasDataset(tmp_path / "two").icc == whole and tree(tmp_path / "two") == tree(tmp_path / "one")
    schema = AtlasDataset(tmp_path / "one").schema
    for part in range(4):
        write(tmp_path / "parts", rows[part * 1024 : part * 1024 + 1024], part=part, schema=schema, **options)
    merge_parts(tmp_path / "parts")
    assert AtlasDataset(tmp_path / "parts").icc == whole
    with AtlasDatasetWriter(tmp_path / "splits", **options) as writer:
        for i, row in enumerate(rows):
            writer.add_example(row, split="a" if i < 2048 else "b")
    assert AtlasDataset(tmp_path / "splits", split="b", columns=["x"]).icc == whole


def test_resume(tmp_path):
    rows = [{"label": label} for label in drifting(2000, 4)]
    code = """
import os, sys
from atlas_ds import AtlasDatasetWriter
writer = AtlasDatasetWriter(sys.argv[1], icc=["label"], shard_size=512, workers=0)
for value in eval(sys.argv[2]):
    writer.add_example(value)
os._exit(0)
"""
    child(code, tmp_path / "d", rows[:1300])
    with AtlasDatasetWriter(tmp_path / "d", resume=True, icc=["label"], shard_size=512, workers=0) as writer:
        assert writer.position == 1024
        writer.extend(rows[writer.position :])
    write(tmp_path / "one", rows, icc=["label"], shard_size=512)
    assert tree(tmp_path / "d") == tree(tmp_path / "one")


def test_resume_of_shards_without(tmp_path):
    code = """
import os, sys
from atlas_ds import AtlasDatasetWriter
writer = AtlasDatasetWriter(sys.argv[1], schema={"label": int}, shard_size=10, workers=0)
for value in range(25):
    writer.add_example({"label": value})
os._exit(0)
"""
    child(code, tmp_path / "d")
    with pytest.raises(ValueError, match=r"was given .*icc=None, this one .*icc=\['label'\]"):
        AtlasDatasetWriter(tmp_path / "d", resume=True, icc=["label"])


def test_wrong_columns(tmp_path):
    schema = {"label": "int64", "z": "complex64", "a": types.array("uint8", (2,)), "raw": "bytes", "s": types.struct({"x": "int64"}), "o": "object"}
    for name in ("nothing", "z", "a", "raw", "s", "o"):
        with pytest.raises(errors.SchemaError, match=name):
            AtlasDatasetWriter(tmp_path / "d", schema=schema, icc=["label", name])
        assert not (tmp_path / "d").exists()
    with pytest.raises(errors.SchemaError, match="nothing"):
        write(tmp_path / "d", [{"label": 1}], icc=["nothing"])
    with pytest.raises(TypeError, match="list"):
        AtlasDatasetWriter(tmp_path / "d", icc="label")
    assert not (tmp_path / "d").exists()


def test_append_asks_for_what_is_not_there(tmp_path):
    write(tmp_path / "d", [{"a": 1, "b": 2}], icc=["a"])
    with pytest.raises(ValueError, match="'b'"):
        AtlasDatasetWriter(tmp_path / "d", append=True, icc=["b"])
    write(tmp_path / "d", [{"a": 1, "b": 2}], append=True, icc=[])
    assert AtlasDataset(tmp_path / "d").icc == {}
    assert AtlasDataset(write(tmp_path / "e", [1, 2])).icc == {}


def test_names_that_look_like_members(tmp_path):
    rows = [{"hash": 1, "metadata": 2, "icc": 3, "a.b": 4, "a": {"b": "x"}}] * 3
    write(tmp_path / "d", rows, icc=["hash", "metadata", "icc", "a.b"], metadata={"icc": {"x": 1}})
    assert AtlasDataset(tmp_path / "d").icc == dict.fromkeys(["a.b", "hash", "icc", "metadata"], 0.0)


def test_manifest(tmp_path):
    good = (write(tmp_path / "d", [{"v": 1}], icc=["v"]) / "atlas.json").read_bytes()
    assert b'"icc":{"v":0},"icc_sums":{"v":{' in good
    for bad in (b'{"v":2}', b'{"v":-0.1}', b'{"v":"x"}', b'{"v":true}', b"[0]"):
        damaged = good.replace(b'{"v":0}', bad)
        with pytest.raises(errors.CorruptError, match="icc"):
            parse_members(damaged, "x")
    assert parse_manifest(good, "x").icc == {"v": 0.0}


def test_repair_measures_anew(tmp_path):
    labels = drifting(2048, 3)
    write(tmp_path / "d", ({"v": label} for label in labels), icc=["v"], shard_size=512)
    (tmp_path / "d" / AtlasDataset(tmp_path / "d").shards[1].path).unlink()
    repair(tmp_path / "d", output=tmp_path / "r")
    assert AtlasDataset(tmp_path / "r").icc["v"] == pytest.approx(expected(indicators(labels[:512] + labels[1024:])), rel=1e-9)


def test_bounded(tmp_path):
    """The notes of a shard stay small whatever the values."""
    write(tmp_path / "d", ({"s": f"{i:0200}", "n": i * 7} for i in range(20_000)), icc=["s", "n"])
    plain = write(tmp_path / "e", ({"s": f"{i:0200}", "n": i * 7} for i in range(20_000)))
    assert AtlasDataset(tmp_path / "d").shards[0].tail - AtlasDataset(plain).shards[0].tail < 20_000
