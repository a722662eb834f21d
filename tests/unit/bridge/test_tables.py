"""Parquet, CSV and JSON lines: types, nulls, and errors that name the place."""

import datetime
import gzip
import json
from decimal import Decimal

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.bridge.source import Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError


def rows(path):
    """All examples; the first refused one raises."""
    found = []
    for example, _ in open_source(path).examples():
        if isinstance(example, Refused):
            raise example.error
        found.append(example)
    return found


def through(path, out, **options):
    convert(path, out, **options)
    return list(AtlasDataset(out))


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_csv_types(tmp_path):
    path = write(tmp_path / "t.csv", 'n,x,flag,zip,"a, b",none\n1,1,true,007,"he said ""hi""\nbye",\n-2,2.5,false,123,,\n')
    assert detect(path) == "csv"
    assert through(path, tmp_path / "out") == [
        {"n": 1, "x": 1.0, "flag": True, "zip": "007", "a, b": 'he said "hi"\nbye', "none": None},
        {"n": -2, "x": 2.5, "flag": False, "zip": "123", "a, b": None, "none": None},
    ]
    types = {f.name: (str(f.type), f.nullable) for f in AtlasDataset(tmp_path / "out").schema.fields}
    assert types["n"] == ("int64", False) and types["a, b"] == ("str", True) and types["x"] == ("float64", False)


def test_csv_decimal_in_the_last_row(tmp_path):
    path = write(tmp_path / "t.csv", "x\n" + "1\n" * 5000 + "0.5\n")
    found = rows(path)
    assert len(found) == 5001 and isinstance(found[0]["x"], float) and found[-1] == {"x": 0.5}


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "x"], ["1", "x"]),
        (["true", "1"], ["true", "1"]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["1", "12345678901234567890123"], ["1", "12345678901234567890123"]),
        (["nan", "-inf"], None),
        (["1e+5", ".5", "5."], [1e5, 0.5, 5.0]),
        (["1234567890123456789", "-9223372036854775808"], [1234567890123456789, -(2**63)]),
        (["1234567890123456789", "0.5"], ["1234567890123456789", "0.5"]),
        (["0.5", "1234567890123456789"], ["0.5", "1234567890123456789"]),
        (["12", "1234567890123456789"], [12, 1234567890123456789]),
        (["+1"], ["+1"]),
        (["1_0"], ["1_0"]),
    ],
)
def test_csv_inference(tmp_path, cells, values):
    found = [r["x"] for r in rows(write(tmp_path / "t.csv", "x,y\n" + "".join(f"{c},0\n" for c in cells)))]
    assert found == values if values else (np.isnan(found[0]) and found[1] == -np.inf)


@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
def test_csv_kin_and_gzip(tmp_path, delimiter):
    data = f"\ufeffa{delimiter}b\r\n1{delimiter}x\r\n".encode()
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(data))
    assert rows(tmp_path / "t.csv.gz") == [{"a": 1, "b": "x"}]


def test_csv_long_cell(tmp_path):
    assert rows(write(tmp_path / "t.csv", "a,b\n1," + "x" * 300_000 + "\n"))[0]["b"] == "x" * 300_000


def test_torn_gzip(tmp_path):
    data = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7919) for i in range(5000)))
    (tmp_path / "t.csv.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptError, match=r"t\.csv\.gz"):
        rows(tmp_path / "t.csv.gz")


def test_jsonl(tmp_path):
    lines = [{"a": 1, "s": "x", "d": {"k": [1, 2]}}, {"a": 2.5, "s": None, "new": True}, {"a": None, "d": "text"}]
    path = write(tmp_path / "t.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    assert detect(path) == "jsonl"
    source = open_source(path)
    assert source.total == 3
    assert through(path, tmp_path / "out") == [
        {"a": 1.0, "s": "x", "d": {"k": [1, 2]}, "new": None},
        {"a": 2.5, "s": None, "d": None, "new": True},
        {"a": None, "s": None, "d": "text", "new": None},
    ]


def parquet(path, table, **options):
    pytest.importorskip("pyarrow.parquet").write_table(table, path, **options)
    return path


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    day = datetime.date(2024, 2, 29)
    noon = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "i": pa.array([1, 2, 3], pa.int64()),
            "small": pa.array([1, None, 3], pa.int8()),
            "f": pa.array([0.5, 1.5, 2.5], pa.float32()),
            "s": pa.array(["x", None, "z"]),
            "b": pa.array([b"1", b"", b"3"]),
            "flag": pa.array([True, False, None]),
            "vec": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32(), 2)),
            "ragged": pa.array([[1], [], [1, 2, 3]], pa.list_(pa.int32())),
            "words": pa.array([["a"], [], None], pa.list_(pa.string())),
            "nested": pa.array([{"p": 1, "q": {"r": "x"}}, {"p": 2, "q": None}, None]),
            "cat": pa.array(["u", "v", "u"]).dictionary_encode(),
            "day": pa.array([day] * 3),
            "price": pa.array([Decimal("1.50")] * 3),
            "time": pa.array([noon, None, noon], pa.timestamp("ms", tz="UTC")),
        }
    )
    path = parquet(tmp_path / "t.parquet", table)
    assert detect(path) == "parquet"
    found = through(path, tmp_path / "out")
    assert [r["i"] for r in found] == [1, 2, 3]
    assert found[0]["small"] == 1 and found[1]["small"] is None
    assert isinstance(found[0]["f"], np.float32)
    assert [r["s"] for r in found] == ["x", None, "z"] and found[1]["b"] == b"" and found[2]["flag"] is None
    assert found[1]["vec"] == [3, 4] and [r["ragged"] for r in found] == [[1], [], [1, 2, 3]]
    assert [r["words"] for r in found] == [["a"], [], None]
    assert found[0]["nested"] == {"p": 1, "q": {"r": "x"}} and found[1]["nested"]["q"] is None and found[2]["nested"] is None
    assert [r["cat"] for r in found] == ["u", "v", "u"]
    assert (found[0]["day"], found[0]["price"], found[0]["time"]) == (day, "1.50", noon)
    schema = AtlasDataset(tmp_path / "out").schema
    assert str(schema["vec"].type) == "list(float32, 2)" and str(schema["ragged"].type) == "list(int32)" and str(schema["time"].type) == "timestamp(ms, UTC)"
    assert not schema["i"].nullable and schema["small"].nullable and str(schema["small"].type) == "int8"


def test_parquet_streams_and_keeps_order(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = parquet(tmp_path / "t.parquet", pa.table({"i": range(5000)}), row_group_size=700)
    assert [r["i"] for r in rows(path)] == list(range(5000))


def test_parquet_folder_with_splits(tmp_path):
    pa = pytest.importorskip("pyarrow")
    (tmp_path / "d").mkdir()
    for name, start in (("train-00000-of-00002", 0), ("train-00001-of-00002", 10), ("test-00000-of-00001", 20)):
        parquet(tmp_path / "d" / f"{name}.parquet", pa.table({"i": range(start, start + 10)}))
    assert detect(tmp_path / "d") == "parquet"
    convert(tmp_path / "d", tmp_path / "out")
    assert AtlasDataset(tmp_path / "out").splits == {"train": 20, "test": 10}
    assert [r["i"] for r in AtlasDataset(tmp_path / "out", split="train")] == list(range(20))
    parquet(tmp_path / "d" / "val-1.parquet", pa.table({"j": [1]}))
    with pytest.raises(SchemaError, match=r"val-1\.parquet"):
        open_source(tmp_path / "d")


def test_parquet_of_hugging_face(tmp_path, jpeg):
    pa = pytest.importorskip("pyarrow")
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    table = pa.table({"image": [{"bytes": jpeg, "path": None}, None], "label": [1, 0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    convert(parquet(tmp_path / "t.parquet", table), tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert ds.schema["label"].type.names == ("cat", "dog") and ds.metadata == {}
    assert bytes(ds[0]["image"].data) == jpeg and ds[0]["image"].type == "image/jpeg" and ds[1]["image"] is None


def test_parquet_damage(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = parquet(tmp_path / "t.parquet", pa.table({"i": range(1000)}))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptError, match=r"t\.parquet"):
        rows(path)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(AtlasError, match="pip install"):
        open_source(tmp_path / "t.parquet")
