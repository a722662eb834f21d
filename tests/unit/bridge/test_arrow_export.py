"""to_arrow and export_parquet: what comes back is what was there; what cannot be held is refused by name and leaves nothing."""

import datetime
import json

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset, Media, types
from atlas_ds.bridge import convert, detect, to_arrow
from atlas_ds.errors import CorruptError, SchemaError
from support import PNG, UTC, rich_rows, same, tree, write

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
LACKS = ("z", "meta")  # complex; objects whose keys differ


def back(tmp_path, rows, name="rows", columns=None, **options):
    """The rows as they come back from a Parquet file, and the schemas of before and after."""
    before = AtlasDataset(write(tmp_path / f"{name}-in", rows, **options))
    atlas.export_parquet(before, tmp_path / f"{name}.parquet", columns=columns, row_group_size=7)
    convert(tmp_path / f"{name}.parquet", tmp_path / f"{name}-out", workers=0)
    after = AtlasDataset(tmp_path / f"{name}-out")
    return list(after), before, after


def test_every_type_comes_back(tmp_path):
    rows = rich_rows(40)
    columns = [name for name in rows[0] if name not in LACKS]
    found, before, after = back(tmp_path, rows, columns=columns)
    for name in columns:
        assert same([row[name] for row in found], [before[i][name] for i in range(40)]), name
        assert str(after.schema[name].type) == str(before.schema[name].type) and after.schema[name].nullable == before.schema[name].nullable, name
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 6


NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 5000)
MOMENTS = types.struct({"fine": types.nullable(types.timestamp("ns")), "zone": types.timestamp("us", "Europe/Berlin"), "day": "date", "s": types.timestamp("s")})
NEW = {
    "tokens": types.list("int32"), "pair": types.nullable(types.list("float32", 2)), "flags": types.nullable(types.list("bool")),
    "second": types.timestamp("s", "+02:00"), "ms": types.nullable(types.timestamp("ms")), "zone": types.timestamp("us", "Asia/Tokyo"),
    "fine": types.nullable(types.timestamp("ns", "UTC")), "day": types.nullable("date"), "label": types.nullable(types.class_label(["cat", "dog"])),
    "box": types.nullable(types.struct({"m": types.nullable(MOMENTS), "l": types.list("uint8"), "c": types.class_label(["x", "y"]), "p": types.list("float64", 1)})),
}  # fmt: skip


def new_row(i):
    utc = NOON.replace(microsecond=0, tzinfo=UTC)
    moments = {"fine": None if i == 3 else np.datetime64(i - 1, "ns"), "zone": utc, "day": NOON.date(), "s": NOON.replace(microsecond=0)}
    return {
        "tokens": list(range(i)), "pair": None if i == 1 else [i, 0.5], "flags": None if i == 2 else [True] * i, "second": utc, "ms": None if i == 0 else NOON,
        "zone": utc, "fine": None if i == 1 else np.datetime64(2**62 + i, "ns"), "day": None if i == 2 else datetime.date(1 + i, 1, 1),
        "label": (None, "cat", "dog")[i % 3], "box": None if i == 4 else {"m": None if i == 2 else moments, "l": [i], "c": i % 2, "p": [0.5]},
    }  # fmt: skip


def test_lists_moments_and_labels(tmp_path):
    found, before, after = back(tmp_path, [new_row(i) for i in range(30)], schema=NEW)
    assert same(found, list(before)) and after.schema == before.schema and repr(found) == repr(list(before))


def test_lists_moments_and_labels_without_the_hint(tmp_path):
    """As anybody's file: all but the lengths of lists in dicts and the names of labels there, which Arrow's types do not say."""
    ds = AtlasDataset(write(tmp_path / "in", [new_row(i) for i in range(30)], schema=NEW))
    table = to_arrow(ds).read_all()
    marks = {b"huggingface": table.schema.metadata[b"huggingface"]}
    pq.write_table(table.replace_schema_metadata(marks), tmp_path / "t.parquet")
    done = convert(tmp_path / "t.parquet", tmp_path / "out")
    after = AtlasDataset(tmp_path / "out")
    assert [str(after.schema[name].type) for name in NEW if name not in ("second", "box")] == [str(ds.schema[name].type) for name in NEW if name not in ("second", "box")]
    assert str(after.schema["second"].type) == "timestamp(ms, +02:00)"  # Parquet has no seconds
    assert repr(list(after)) == repr(list(ds))
    assert done.notes == ("box: class labels inside lists and dicts become integers, without the names x, y",)


def test_shapes_and_words(tmp_path):
    rows = [
        {
            "t3": np.arange(i * 6, dtype=np.int8).reshape(i, 2, 3) if i else np.zeros((1, 2, 0), np.int8),
            "any": np.ones((1,) * (i % 3), np.float16),
            "a6": np.full((1, 1, 2, 1, 1, 2), i, np.uint64),
            "flags": np.array([True, i % 2 == 0]),
            "scalar": np.float32(i),
            "maybe": None if i == 2 else np.arange(4, dtype=np.int16).reshape(2, 2),
            "gone": None if i == 1 else np.arange(3, dtype=np.float64),
            "words": ["a"] * i,
            "deep": {"grid": np.arange(4).reshape(2, 2), "image": Media(PNG, "image/png"), "more": None if i % 2 else {"x": np.int8(i)}},
            "svg": Media(b"<svg/>", "image/svg+xml"),
            "when": [datetime.datetime(2020, 1, 1, tzinfo=UTC)],
        }
        for i in range(5)
    ]
    found, before, after = back(tmp_path, rows)
    assert same(found, list(before))
    assert str(after.schema) == str(before.schema)


def test_views_columns_and_splits(tmp_path):
    with atlas.AtlasDatasetWriter(tmp_path / "in", workers=0) as writer:
        writer.extend([{"n": i, "s": str(i)} for i in range(3000)], split="train")
        writer.extend([{"n": -1, "s": "x"}], split="test")
    ds = AtlasDataset(tmp_path / "in", split="train")
    assert to_arrow(ds[::-1], columns=["n"]).read_all().to_pydict() == {"n": list(range(2999, -1, -1))}
    assert to_arrow(ds.select([5, 5, 1]).with_format("numpy")).read_all().to_pydict() == {"n": [5, 5, 1], "s": ["5", "5", "1"]}
    with pytest.raises(SchemaError, match="map"):
        to_arrow(ds.map(lambda example: example))
    with pytest.raises(TypeError, match="AtlasDataset"):
        to_arrow([{"n": 1}])


def test_tuples_and_values(tmp_path):
    for name, rows in (("pairs", [(i, f"s{i}") for i in range(5)]), ("words", ["a", "b"])):
        ds = AtlasDataset(write(tmp_path / name, rows))
        assert list(to_arrow(ds).read_all().to_pydict().values()) == ([list(range(5)), [f"s{i}" for i in range(5)]] if name == "pairs" else [["a", "b"]])


@pytest.mark.parametrize(
    ("rows", "schema", "words"),
    [
        ([{"c": 1j}], None, "column 'c': Arrow has no complex128"),
        ([{"c": 1.5}], {"c": "bfloat16"}, "column 'c': Arrow has no bfloat16; leave the column out with columns="),
        ([{"c": np.zeros((0, 3))}], None, "column 'c': arrays of shape 0x3 are empty"),
        ([{"c": np.zeros((2, 3))}, {"c": np.zeros((0, 3))}], {"c": types.tensor("float64", 2)}, "column 'c'.*shape 0x3"),
        ([{"c": {"a": 1}}, {"c": {"b": 1}}], {"c": "object"}, "column 'c'.*would be read back as"),
        ([{"c": 1}, {"c": "text"}], {"c": "object"}, "column 'c'"),
        ([{"c": 1}, {"c": 2.5}], {"c": "object"}, "column 'c'.*1 would be read back as 1.0"),
        ([{"c": {"x": [1]}}], {"c": types.struct({"x": "object"})}, r"column 'c'\.x: an object inside a dict"),
        ([{"c": Media(b"...", "image/unheard-of")}], None, "column 'c'.*image/unheard-of"),
    ],
)
def test_what_arrow_cannot_hold(tmp_path, rows, schema, words):
    ds = AtlasDataset(write(tmp_path / "in", rows, schema=schema))
    (tmp_path / "out").mkdir()
    with pytest.raises(SchemaError, match=words):
        atlas.export_parquet(ds, tmp_path / "out/x.parquet")
    assert tree(tmp_path / "out") == {}


def test_a_file_that_is_there_is_kept(tmp_path):
    ds = AtlasDataset(write(tmp_path / "in", [{"n": 1}]))
    target = tmp_path / "x.parquet"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        atlas.export_parquet(ds, target)
    assert target.read_bytes() == b"mine"
    assert atlas.export_parquet(ds, target, overwrite=True) == target.absolute() and pq.read_table(target).to_pydict() == {"n": [1]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "x.parquet"]


def test_what_hugging_face_reads_of_it(tmp_path):
    rows = [{"image": Media(PNG, "image/png"), "label": i % 2, "grid": np.zeros((2, 3), np.uint8)} for i in range(4)]
    schema = {"image": types.media("image/png"), "label": types.class_label(["cat", "dog"]), "grid": types.array("uint8", (2, 3))}
    ds = AtlasDataset(write(tmp_path / "in", rows, schema=schema))
    said = json.loads(to_arrow(ds).schema.metadata[b"huggingface"])["info"]["features"]
    assert said["image"] == {"_type": "Image"} and said["label"] == {"names": ["cat", "dog"], "_type": "ClassLabel"} and said["grid"]["shape"] == [2, 3]


def test_a_wrong_hint_is_no_harm(tmp_path):
    """The metadata of a file may say anything: columns that do not look like it are read as anybody's."""
    ds = AtlasDataset(write(tmp_path / "in", [{"n": i, "v": np.arange(3)} for i in range(4)]))
    table = to_arrow(ds).read_all()
    own = json.loads(table.schema.metadata[b"atlas"])
    own["fields"][0]["type"], own["fields"][1]["type"] = "float32", {"array": {"dtype": "int64", "shape": [4]}}
    for text in (json.dumps(own), "{", json.dumps({"container": "dict", "fields": "x"})):
        pq.write_table(table.replace_schema_metadata({"atlas": text}), tmp_path / "t.parquet")
        convert(tmp_path / "t.parquet", tmp_path / "out", overwrite=True)
        assert same(list(AtlasDataset(tmp_path / "out")), [row | {"v": row["v"].tolist()} for row in ds])


def arrow_file(path, table, make=None):
    with (make or pa.ipc.new_file)(str(path), table.schema) as writer:
        writer.write_table(table, 100)
    return path


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_files(tmp_path, make):
    path = arrow_file(tmp_path / "data", pa.table({"i": range(1000), "s": [None, "x"] * 500}), make)
    assert detect(path) == "arrow"
    convert(path, tmp_path / "out", workers=0)
    ds = AtlasDataset(tmp_path / "out")
    assert [row["i"] for row in ds] == list(range(1000)) and not ds.schema["i"].nullable and ds.schema["s"].nullable and ds[0]["s"] is None
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptError, match="data: not a readable Arrow file"):
        convert(path, tmp_path / "torn")
    assert not (tmp_path / "torn").exists()


def test_arrow_folders(tmp_path):
    (tmp_path / "d").mkdir()
    for name, start in (("b", 10), ("a", 0)):
        arrow_file(tmp_path / "d" / f"{name}.arrow", pa.table({"i": range(start, start + 10)}))
    assert detect(tmp_path / "d") == "arrow"
    convert(tmp_path / "d", tmp_path / "out")
    assert [row["i"] for row in AtlasDataset(tmp_path / "out")] == list(range(20))
    (tmp_path / "d" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    with pytest.raises(CorruptError, match="outside the folder"):
        convert(tmp_path / "d", tmp_path / "no")
    arrow_file(tmp_path / "d" / "c.arrow", pa.table({"j": [1]}))
    (tmp_path / "d" / "state.json").unlink()
    with pytest.raises(SchemaError, match=r"c\.arrow: has no column 'i'"):
        convert(tmp_path / "d", tmp_path / "no")


def test_arrow_tensors(tmp_path):
    kind = pa.fixed_shape_tensor(pa.float32(), (2, 3))
    values = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    table = pa.table({"t": pa.FixedShapeTensorArray.from_numpy_ndarray(values), "n": range(4)})
    assert table.schema.field("t").type == kind
    convert(arrow_file(tmp_path / "t.arrow", table), tmp_path / "out")
    assert str(AtlasDataset(tmp_path / "out").schema["t"].type) == "array(float32, 2x3)"
    assert same([row["t"] for row in AtlasDataset(tmp_path / "out")], list(values))
