"""Every Arrow type: what it becomes, exactly, or the error that names it; and files whose types differ."""

import datetime
import itertools
import json
import uuid
from decimal import Decimal

import numpy as np
import pytest

from atlas_ds import AtlasDataset, types
from atlas_ds.bridge import convert, open_source
from atlas_ds.bridge.arrow.moments import moments
from atlas_ds.bridge.source import Refused
from atlas_ds.errors import CorruptError, SchemaError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NOON = datetime.datetime(2021, 3, 4, 12, 30, 1, 500)
DAY = datetime.date(2021, 3, 4)
UTC = datetime.UTC


def extension(kind, storage):
    return pa.ExtensionArray.from_storage(kind, storage)


# name: array, values, type, whether nullable, a word of the note
TYPES = {
    "null": (pa.nulls(2), [None, None], "object", True, ""),
    "bool": (pa.array([True, False]), [True, False], "bool", False, ""),
    "int8": (pa.array([-128, None], pa.int8()), [-128, None], "int8", True, ""),
    "uint64": (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0], "uint64", False, ""),
    "half": (pa.array([0.5, -2], pa.float16()), [0.5, -2], "float16", False, ""),
    "float": (pa.array([0.5, None], pa.float32()), [0.5, None], "float32", True, ""),
    "large_string": (pa.array(["é", None], pa.large_string()), ["é", None], "str", True, ""),
    "string_view": (pa.array(["a" * 20, "b"], pa.string_view()), ["a" * 20, "b"], "str", False, ""),
    "large_binary": (pa.array([b"\0", None], pa.large_binary()), [b"\0", None], "bytes", True, ""),
    "binary_view": (pa.array([b"x" * 20, b""], pa.binary_view()), [b"x" * 20, b""], "bytes", False, ""),
    "fixed_binary": (pa.array([b"ab", b"cd"], pa.binary(2)), [b"ab", b"cd"], "bytes", False, ""),
    "date32": (pa.array([DAY, None]), [DAY, None], "date", True, ""),
    "date64": (pa.array([DAY, DAY], pa.date64()), [DAY, DAY], "date", False, ""),
    "time64": (pa.array([1, None], pa.time64("ns")), ["00:00:00.000000001", None], "str", True, "becomes text"),
    "duration": (pa.array([5, None], pa.duration("ms")), ["5 ms", None], "str", True, "becomes text"),
    "timestamp": (pa.array([NOON, None], pa.timestamp("us")), [NOON, None], "timestamp(us)", True, ""),
    "milliseconds": (pa.array([NOON.replace(microsecond=0)], pa.timestamp("ms")), [NOON.replace(microsecond=0)], "timestamp(ms)", False, ""),
    "nanoseconds": (pa.array([1001, None], pa.timestamp("ns")), [np.datetime64(1001, "ns"), None], "timestamp(ns)", True, ""),
    "utc": (pa.array([0], pa.timestamp("ms", tz="UTC")), [datetime.datetime(1970, 1, 1, tzinfo=UTC)], "timestamp(ms, UTC)", False, ""),
    "zone": (pa.array([0], pa.timestamp("ms", tz="Asia/Tokyo")), [datetime.datetime(1970, 1, 1, tzinfo=UTC)], "timestamp(ms, Asia/Tokyo)", False, ""),
    "offset": (pa.array([0], pa.timestamp("us", tz="+02:00")), [datetime.datetime(1970, 1, 1, tzinfo=UTC)], "timestamp(us, +02:00)", False, ""),
    "zone_of_nowhere": (pa.array([0], pa.timestamp("us", tz="Moon/Base")), [datetime.datetime(1970, 1, 1, tzinfo=UTC)], "timestamp(us, UTC)", False, "Moon/Base"),
    "interval": (pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), [{"months": 1, "days": 2, "nanoseconds": 3}, None], "object", True, "months"),
    "decimal32": (pa.array([Decimal("1.50"), None], pa.decimal32(5, 2)), ["1.50", None], "str", True, "becomes text"),
    "decimal256": (pa.array([Decimal("-1.50")] * 2, pa.decimal256(60, 2)), ["-1.50"] * 2, "str", False, "becomes text"),
    "list": (pa.array([[1, 2], []]), [[1, 2], []], "list(int64)", False, ""),
    "list_of_halves": (pa.array([[0.5], None], pa.list_(pa.float16())), [[0.5], None], "list(float16)", True, ""),
    "list_of_bools": (pa.array([[True, False], []]), [[True, False], []], "list(bool)", False, ""),
    "nulls_inside": (pa.array([[1, None], []]), [[1, None], []], "object", False, "nulls inside its lists"),
    "fixed_list": (pa.array([[1, 2], [3, 4]], pa.list_(pa.int16(), 2)), [[1, 2], [3, 4]], "list(int16, 2)", False, ""),
    "fixed_list_null": (pa.array([[1, 2], None], pa.list_(pa.int16(), 2)), [[1, 2], None], "list(int16, 2)", True, ""),
    "fixed_list_of_bools": (pa.array([[True, False]], pa.list_(pa.bool_(), 2)), [[True, False]], "list(bool, 2)", False, ""),
    "fixed_list_hole": (pa.array([[1, 2], [3, None]], pa.list_(pa.int16(), 2)), [[1, 2], [3, None]], "object", False, "nulls inside its lists"),
    "list_view": (pa.array([[1], None, [2, 3]], pa.list_view(pa.int32())), [[1], None, [2, 3]], "list(int32)", True, ""),
    "list_of_text": (pa.array([["a", None], []]), [["a", None], []], "object", False, ""),
    "nested_lists": (pa.array([[[1], [2, None]], None]), [[[1], [2, None]], None], "object", True, ""),
    "list_of_structs": (pa.array([[{"a": 1, "b": None}], []]), [[{"a": 1, "b": None}], []], "object", False, ""),
    "list_of_dates": (pa.array([[DAY], None]), [["2021-03-04"], None], "object", True, "c[]: date32"),
    "struct": (pa.array([{"a": 1, "b": {"c": "x"}}, None]), [{"a": 1, "b": {"c": "x"}}, None], "{a: int64, b: {c: str}}", True, ""),
    "struct_of_decimals": (pa.array([{"d": Decimal("0.10")}]), [{"d": "0.10"}], "{d: str}", False, "c.d: decimal"),
    "struct_of_moments": (
        pa.StructArray.from_arrays([pa.array([DAY, None]), pa.array([NOON, NOON]), pa.array([7, None], pa.timestamp("ns"))], ["d", "t", "n"]),
        [{"d": DAY, "t": NOON, "n": np.datetime64(7, "ns")}, {"d": None, "t": NOON, "n": None}], "{d: date, t: timestamp(us), n: timestamp(ns)}", False, ""),
    "struct_of_lists": (pa.array([{"a": [1, 2], "b": {"c": [0.5]}}, {"a": None, "b": None}]), [{"a": [1, 2], "b": {"c": [0.5]}}, {"a": None, "b": None}],
                        "{a: list(int64), b: {c: list(float64)}}", False, ""),
    "hole_in_struct": (pa.array([{"a": {"b": [1, None]}, "c": [1]}]), [{"a": {"b": [1, None]}, "c": [1]}], "{a: {b: object}, c: list(int64)}", False,
                       "c.a.b: there are nulls inside its lists"),
    "list_of_moments": (pa.array([[NOON], []], pa.list_(pa.timestamp("us", "Asia/Tokyo"))), [[NOON.replace(tzinfo=UTC)], []], "object", False, "Asia/Tokyo is dropped"),
    "empty_struct": (pa.array([{}, None], pa.struct([])), [{}, None], "object", True, ""),
    "map": (pa.array([[("k", 1), ("l", None)], None], pa.map_(pa.string(), pa.int64())), [{"k": 1, "l": None}, None], "object", True, "dicts"),
    "map_of_numbers": (pa.array([[(1, "x")], []], pa.map_(pa.int8(), pa.string())), [[[1, "x"]], []], "object", False, "[key, value]"),
    "list_of_maps": (pa.array([[[("k", 1)], []]], pa.list_(pa.map_(pa.string(), pa.int64()))), [[{"k": 1}, {}]], "object", False, "c[]: maps"),
    "dictionary": (pa.array(["u", None, "u"]).dictionary_encode(), ["u", None, "u"], "str", True, ""),
    "dictionary_of_numbers": (pa.array([7, 7], pa.int16()).dictionary_encode(), [7, 7], "int16", False, ""),
    "null_in_dictionary": (pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["x", None])), ["x", None], "str", True, ""),
    "run_ends": (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["x", None])), ["x", "x", None], "str", True, ""),
    "uuid": (pa.array([uuid.UUID(int=5).bytes], pa.uuid()), [uuid.UUID(int=5).bytes], "bytes", False, "arrow.uuid"),
    "json": (extension(pa.json_(), pa.array(['{"a":1}', None])), ['{"a":1}', None], "str", True, "arrow.json"),
    "bool8": (extension(pa.bool8(), pa.array([1, 0, None], pa.int8())), [True, False, None], "bool", True, "arrow.bool8"),
}


def same(ours, wanted):
    return ours.tolist() == wanted if isinstance(ours, np.ndarray) else ours == wanted


def write(path, table):
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("name", TYPES)
def test_type(tmp_path, name, suffix):
    array, values, kind, null, word = TYPES[name]
    try:
        path = write(tmp_path / f"t.{suffix}", pa.table({"c": array, "n": range(len(array))}))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        assert suffix == "parquet" and name in ("interval", "empty_struct", "null_in_dictionary", "run_ends")
        return
    done = convert(path, tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    found = [example["c"] for example in ds]
    assert len(found) == len(values) and all(map(same, found, values)), found
    assert str(ds.schema["c"].type) == kind and ds.schema["c"].nullable == (null and kind != "object")  # objects hold null themselves
    assert any(word in note for note in done.notes) if word else not done.notes, done.notes


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (pa.array([[0], [1001]], pa.list_(pa.timestamp("ns"))), "row 1: column c: too fine or out of range"),
        (pa.array([0, 2**40], pa.timestamp("s")), "row 1: column c: a timestamp[s] that is NaT, or outside of the years 1 to 9999"),
        (pa.array([-(2**63), 0], pa.timestamp("ns", "UTC")), "row 0: column c: a timestamp[ns, tz=UTC] that is NaT"),
        (pa.array([0, 3_000_000], pa.date32()), "row 1: column c: a date32[day] that is NaT, or outside"),
        (pa.array([[("k", 1)], [("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())), "row 1: column c: a map with a duplicate key"),
    ],
)
def test_rows_that_lose_something_are_refused(tmp_path, array, words):
    path = write(tmp_path / "t.arrow", pa.table({"c": array, "n": [1, 2]}))
    rows = [row for row, _ in open_source(path).examples()]
    bad = [row.error for row in rows if isinstance(row, Refused)]
    assert len(rows) == 2 and len(bad) == 1 and words in str(bad[0]) and "t.arrow" in str(bad[0])


def test_dates_with_a_time_are_refused():
    """Of tables in memory: pyarrow itself refuses such a file."""
    with pytest.raises(SchemaError, match="not at midnight"):
        moments(pa.array([0, 1], pa.int64()).view(pa.date64()))


def test_text_that_is_not_utf8(tmp_path):
    bad = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32).tobytes()), pa.py_buffer(b"\xffa")])
    path = write(tmp_path / "t.parquet", pa.table({"c": bad}))
    rows = [row for row, _ in open_source(path).examples()]
    assert isinstance(rows[0].error, CorruptError) and "column c: text that is not UTF-8" in str(rows[0].error) and rows[1] == {"c": "a"}
    with pytest.raises(CorruptError, match=r"t\.arrow"):
        open_source(write(tmp_path / "t.arrow", pa.table({"c": bad}))).examples().__next__()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["p", "p"]), "two columns are called 'p'"),
        (pa.table({"s": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["q", "q"])}), "column 's': two columns are called 'q'"),
        (pa.table({"l": pa.array([None], pa.list_(pa.struct([("q", pa.int8()), ("q", pa.int8())])))}), "column 'l': two columns are called 'q'"),
        (pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}), "column 'u': .*union"),
        (pa.table({"": [1]}), "no name"),
    ],
)
def test_columns_that_are_refused(tmp_path, table, words):
    with pytest.raises(SchemaError, match=words):
        open_source(write(tmp_path / "t.arrow", table))


def test_empty_lists_do_not_make_a_column_nullable(tmp_path):
    path = write(tmp_path / "t.parquet", pa.table({"c": pa.array([[], [1], []]), "d": pa.array([[], None, []], pa.list_(pa.int8()))}))
    convert(path, tmp_path / "out")
    schema = AtlasDataset(tmp_path / "out").schema
    assert not schema["c"].nullable and schema["d"].nullable


def test_nulls_without_statistics(tmp_path):
    pq.write_table(pa.table({"full": ["a", "b"], "not": ["a", None]}), tmp_path / "t.parquet", write_statistics=False)
    convert(tmp_path / "t.parquet", tmp_path / "out")
    schema = AtlasDataset(tmp_path / "out").schema
    assert not schema["full"].nullable and schema["not"].nullable


def merged(tmp_path, one, other, suffix="arrow"):
    """The values of a column, and its type, of two files."""
    (tmp_path / "d").mkdir()
    write(tmp_path / "d" / f"a.{suffix}", pa.table({"c": one}))
    write(tmp_path / "d" / f"b.{suffix}", pa.table({"c": other}))
    convert(tmp_path / "d", tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in (example["c"] for example in ds)], str(ds.schema["c"].type)


NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()]


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(NUMBERS, 2)], ids=str)
def test_numbers_of_different_width(tmp_path, one, other):
    """The edges of both types come back, or the pair is refused."""
    first, second = ([0.5, 65504.0] if pa.types.is_floating(kind) else [0, 2 ** (kind.bit_width - pa.types.is_signed_integer(kind)) - 1] for kind in (one, other))
    wide = pa.types.is_floating(other) and one.bit_width == 64 and pa.types.is_integer(one)
    if {one, other} & {pa.uint64()} and any(pa.types.is_signed_integer(kind) for kind in (one, other)):
        with pytest.raises(SchemaError, match=r"b\.arrow: column 'c' is .* in .*a\.arrow; cast"):
            merged(tmp_path, pa.array(first, one), pa.array(second, other))
    elif wide:
        with pytest.raises(SchemaError, match=r"a\.arrow: row 1: column c: "):
            merged(tmp_path, pa.array(first, one), pa.array(second, other))
    else:
        assert merged(tmp_path, pa.array(first, one), pa.array(second, other))[0] == first + second


TEXT = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1)]
LISTS = [pa.list_(pa.int64()), pa.large_list(pa.int32()), pa.list_(pa.int16(), 2), pa.list_view(pa.int64()), pa.large_list_view(pa.int8()), pa.list_(pa.float64())]
FAMILIES = [(TEXT, ["a", None, "c"]), (BYTES, [b"a", None, b"c"]), (LISTS, [[1, 2], None, [3, 4], [5, 6]])]
PAIRS = [(one, other, values) for kinds, values in FAMILIES for one, other in itertools.permutations(kinds, 2)]


@pytest.mark.parametrize(("one", "other", "values"), PAIRS, ids=str)
def test_kinds_of_one_family(tmp_path, one, other, values):
    found = merged(tmp_path, pa.array(values, one), pa.array(values, other).slice(1))
    assert found[0] == values + values[1:]


@pytest.mark.parametrize("kind", [pa.string(), pa.int32(), pa.list_(pa.float32()), pa.struct([("a", pa.int8())]), pa.timestamp("s"), pa.bool_()], ids=str)
def test_columns_of_nulls_take_the_other_type(tmp_path, kind):
    values = [{pa.string(): "x", pa.int32(): 5, pa.timestamp("s"): NOON.replace(microsecond=0), pa.bool_(): True}.get(kind, [0.5] if pa.types.is_list(kind) else {"a": 1})]
    found = merged(tmp_path, pa.nulls(1), pa.array(values, kind), "parquet")
    assert found[0] == [None, *values]


@pytest.mark.parametrize(
    ("one", "other", "values"),
    [
        (pa.array([{"a": 1, "b": "x"}]), pa.array([{"b": "y", "a": 2}]), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (pa.array([[{"a": 1, "b": "x"}]]), pa.array([[{"b": None, "a": 2}]]), [[{"a": 1, "b": "x"}], [{"a": 2, "b": None}]]),
        (pa.array([NOON], pa.timestamp("us")), pa.array([NOON.replace(microsecond=0)], pa.timestamp("s")), [NOON, NOON.replace(microsecond=0)]),
        (pa.array([Decimal("1.5")]), pa.array([Decimal("10.25")]), ["1.50", "10.25"]),
        (pa.array([DAY]), pa.array([DAY], pa.date64()), [DAY, DAY]),
    ],
    ids=str,
)
def test_other_harmless_differences(tmp_path, one, other, values):
    assert merged(tmp_path, one, other)[0] == values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array(["a"]), pa.array([1])),
        (pa.array([True]), pa.array([1])),
        (pa.array(["a"]), pa.array([b"a"])),
        (pa.array([{"a": 1}]), pa.array([{"a": 1, "b": 2}])),
        (pa.array([0], pa.timestamp("s")), pa.array([0], pa.timestamp("s", tz="UTC"))),
        (pa.array([[1]]), pa.array([["a"]])),
        (pa.array([Decimal("1.5")]), pa.array([1.5])),
    ],
    ids=str,
)
def test_types_that_hold_different_things(tmp_path, one, other):
    with pytest.raises(SchemaError) as caught:
        merged(tmp_path, one, other, "parquet")
    assert all(word in str(caught.value) for word in ("'c'", "a.parquet", "b.parquet", str(one.type)[:4], str(other.type)[:4], "cast"))


def labels(names, values=(0, 1), kind=None):
    info = {"info": {"features": {"c": {"_type": "ClassLabel", "names": names}}}}
    return pa.table({"c": pa.array(values, kind or pa.int64())}).replace_schema_metadata({"huggingface": json.dumps(info)})


def test_labels_of_several_files(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    write(folder / "a.parquet", labels(["x", "y"]))
    write(folder / "b.parquet", labels(["x", "y"]))
    convert(folder, tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert ds.schema["c"].type == types.class_label(["x", "y"]) and not ds.schema["c"].nullable and list(ds.column("c")) == [0, 1, 0, 1]
    write(folder / "b.parquet", labels(["y", "x"]))
    with pytest.raises(SchemaError, match=r"b\.parquet: column 'c' is ClassLabel.*a\.parquet"):
        convert(folder, tmp_path / "no")


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize(("values", "null"), [([1, -1, None, 0], True), ([0, -1], True), ([None, 1], True), ([0, 1], False)])
def test_labels_of_no_class_are_null(tmp_path, values, null, suffix):
    convert(write(tmp_path / f"t.{suffix}", labels(["x", "y"], values, pa.int8())), tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert ds.schema["c"].type == types.class_label(["x", "y"]) and ds.schema["c"].nullable == null
    assert [row["c"] for row in ds] == [None if value == -1 else value for value in values]


def test_labels_that_only_one_file_marks(tmp_path):
    """The first pass over the other file does not know that -1 is no class there."""
    (tmp_path / "d").mkdir()
    write(tmp_path / "d" / "a.parquet", labels(["x", "y"]))
    write(tmp_path / "d" / "b.parquet", labels(["x", "y"], [-1, 1]).replace_schema_metadata(None))
    convert(tmp_path / "d", tmp_path / "out")
    assert [row["c"] for row in AtlasDataset(tmp_path / "out")] == [0, 1, None, 1]


@pytest.mark.parametrize(("names", "values", "kind"), [(["x", "x"], [0, 1], "int64"), ([], [0, 1], "int64"), (["x"], ["a"], "str"), ("xy", [0], "int64"), ([1, 2], [0], "int64")])
def test_labels_that_are_none(tmp_path, names, values, kind):
    convert(write(tmp_path / "t.parquet", labels(names, values, pa.string() if kind == "str" else None)), tmp_path / "out")
    assert str(AtlasDataset(tmp_path / "out").schema["c"].type) == kind


def test_a_label_beyond_the_names(tmp_path):
    with pytest.raises(SchemaError, match=r"t\.parquet: row 1: column 'c': expected class_label\(x, y\), got int 2: there are 2 classes"):
        convert(write(tmp_path / "t.parquet", labels(["x", "y"], [0, 2])), tmp_path / "out")


def test_labels_inside_lists_lose_their_names(tmp_path):
    feature = {"feature": {"_type": "ClassLabel", "names": ["x", "y"]}, "_type": "List"}
    table = pa.table({"c": [[0, 1]]}).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"c": feature}}})})
    done = convert(write(tmp_path / "t.parquet", table), tmp_path / "out")
    assert done.notes == ("c: class labels inside lists and dicts become integers, without the names x, y",)
    assert AtlasDataset(tmp_path / "out")[0] == {"c": [0, 1]}


def test_exported_files_that_differ(tmp_path):
    from atlas_ds import AtlasDatasetWriter, export_parquet

    (tmp_path / "d").mkdir()
    for name, value in (("a", np.zeros((2, 3), np.int8)), ("b", np.zeros((3, 2), np.int8))):
        with AtlasDatasetWriter(tmp_path / name) as writer:
            writer.add_example({"c": value})
        export_parquet(AtlasDataset(tmp_path / name), tmp_path / "d" / f"{name}.parquet")
    with pytest.raises(SchemaError, match=r"b\.parquet: column 'c' was exported as array\(int8, 3x2\), but as array\(int8, 2x3\)"):
        convert(tmp_path / "d", tmp_path / "out")


@pytest.mark.parametrize(
    ("marked", "note"),
    [
        (True, "shot: the bytes are kept, the names in its field 'path' are not"),
        (False, "shot: has bytes and a path like media of Hugging Face, but is not marked as media: stored as a dict"),
    ],
)
def test_bytes_and_path_are_noted(tmp_path, marked, note):
    table = pa.table({"shot": [{"bytes": b"GIF89a", "path": "a.gif"}]})
    if marked:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"shot": {"_type": "Image"}}}})})
    pq.write_table(table, tmp_path / "t.parquet")
    found = open_source(tmp_path / "t.parquet")
    assert note in found.notes
    ((row, _),) = found.examples()
    assert row["shot"].data == b"GIF89a" if marked else row["shot"] == {"bytes": b"GIF89a", "path": "a.gif"}


def test_an_extension_that_is_not_registered_is_noted(tmp_path):
    mark = {"ARROW:extension:name": "someone.month", "ARROW:extension:metadata": "{}"}
    table = pa.table([pa.array([648])], schema=pa.schema([pa.field("when", pa.int64(), metadata=mark)]))
    pq.write_table(table, tmp_path / "t.parquet")
    assert "when: someone.month is stored as int64" in open_source(tmp_path / "t.parquet").notes
