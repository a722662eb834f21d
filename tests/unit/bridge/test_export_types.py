"""Export to tars of moments, days, lists and class labels: what is written, and what the notes say is lost."""

import datetime

import numpy as np
import pytest

from atlas_ds import types
from atlas_ds.bridge.webdataset.exporting import export_webdataset
from unit.bridge.tars import values

NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 5)


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [
        (types.timestamp("us"), NOON, "2024-02-29T12:00:00.000005"),
        (types.timestamp("us", "+02:00"), NOON.replace(tzinfo=datetime.UTC), "2024-02-29T14:00:00.000005+02:00"),
        (types.timestamp("ns"), np.datetime64(7, "ns"), "1970-01-01T00:00:00.000000007"),
        (types.timestamp("ns", "Asia/Tokyo"), np.datetime64(7, "ns"), "1970-01-01T00:00:00.000000007+00:00"),
        ("date", NOON.date(), "2024-02-29"),
    ],
)
def test_moments_become_text(make, tmp_path, spec, value, text):
    schema = {"t": spec, "s": types.nullable(types.struct({"t": types.nullable(spec), "n": "int64"}))}
    ds = make([{"t": value, "s": {"t": value, "n": 1}}, {"t": value, "s": {"t": None, "n": 2}}, {"t": value, "s": None}], schema)
    done = export_webdataset(ds, tmp_path / "a.tar")
    assert dict(done.fields) == {"t": "t.txt", "s": "s.json"}
    assert [value for _, value in values(done.paths)] == [text, {"t": text, "n": 1}, text, {"t": None, "n": 2}, text]
    assert done.notes == tuple(f"{name}: {ds.schema['t'].type} is written as text (ISO 8601), and reads back as text" for name in ("t", "s.t"))
    assert values(export_webdataset(ds[:1], tmp_path / "b.tar", fields={"t": "t.json"}).paths)[0] == ("000000000.t.json", text)


def test_names_of_classes_are_not_written(make, tmp_path):
    label = types.class_label(["cat", "dog"])
    ds = make([{"a": None, "s": {"b": 1}}, {"a": "dog", "s": {"b": 0}}], {"a": types.nullable(label), "s": types.struct({"b": label})})
    done = export_webdataset(ds, tmp_path / "a.tar")
    assert values(done.paths) == [("000000000.s.json", {"b": 1}), ("000000001.a.cls", 1), ("000000001.s.json", {"b": 0})]
    assert done.notes == tuple(f"{name}: class labels are written as numbers, without their names: cat, dog" for name in ("a", "s.b"))


@pytest.mark.parametrize(("dtype", "field"), [("float32", "npy"), ("int8", "npz"), ("complex64", None), ("bfloat16", "a.npy")])
def test_lists_as_arrays(make, tmp_path, dtype, field):
    if field == "npz":
        ds = make([{"a": {"x": [1, 0]}}, {"a": {"x": []}}], {"a": types.struct({"x": types.list(dtype)})})
    else:
        ds = make([{"a": [1, 0]}, {"a": []}], {"a": types.list(dtype)})
    done = export_webdataset(ds, tmp_path / "a.tar", fields={"a": field} if field else None)
    got = [value["x"] if field == "npz" else value for _, value in values(done.paths)]
    assert [array.tolist() for array in got] == [[1, 0], []] and {array.dtype.name for array in got} == {{"bfloat16": "float32"}.get(dtype, dtype)}
    assert dict(done.fields) == {"a": field or "a.npy"}
