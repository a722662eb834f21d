"""add_batch and extend: columns, masks, tables and data sets of other libraries; what is refused names the column, and the row where there is one."""

import array
import types as python_types

import numpy as np
import pyarrow
import pytest
import torch

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, Ragged, errors, verify
from atlas_ds.dataset.columns import first_rows, to_leaf_arrays
from atlas_ds.dataset.writer_input import as_columns, as_examples
from atlas_ds.schema.schema import make_schema
from atlas_ds.types import array as array_of
from atlas_ds.types import media, nullable, struct, tensor
from support import same

PNG = Media(b"x", "image/png")


def added(path, columns, schema=None):
    with AtlasDatasetWriter(path, schema=schema, workers=0) as writer:
        writer.add_batch(columns)
    assert not verify(path).damages
    return list(AtlasDataset(path))


NULLABLE = {
    "i": nullable("int64"), "f": nullable("float16"), "bf": nullable("bfloat16"), "b": nullable("bool"), "c": nullable("complex64"), "a": nullable(array_of("float64", (3,))), "ab": nullable(array_of("bool", (2,))),
    "abf": nullable(array_of("bfloat16", (2,))), "s": nullable("str"), "by": nullable("bytes"), "o": "object", "t1": nullable(tensor("int16", 1)), "t0": nullable(tensor("float32", 0)), "t2": nullable(tensor("float32", 2)),
    "tn": nullable(tensor("uint8")), "tb": nullable(tensor("bfloat16", 2)), "m": nullable(media()), "mp": nullable(media("image/png")),
    "st": nullable(struct({"x": "int64", "y": nullable("str"), "z": nullable(struct({"w": "float32", "a": array_of("int8", (2,)), "t": tensor("int8", 2), "o": "object", "m": media()}))})),
    "ns": struct({"x": "int64", "q": nullable(struct({"k": "str"}))}),
}  # fmt: skip


def nullable_row(i):
    r = np.random.default_rng(i)
    inner = None if i % 2 else {"w": 0.5, "a": np.array([1, 2], np.int8), "t": np.ones((i, 1), np.int8), "o": None, "m": Media(b"q", "a/b")}
    row = {
        "i": i, "f": 0.5, "bf": 1.5, "b": i % 2 == 0, "c": 1 + 2j, "a": r.random(3), "ab": np.array([True, False]), "abf": np.array([1.5, 2], np.float32), "s": f"é{i}", "by": b"x" * i, "o": [i, None],
        "t1": r.integers(0, 9, i).astype(np.int16), "t0": np.array(i, np.float32), "t2": r.random((i, 2)).astype(np.float32), "tn": np.zeros((1,) * (i % 4), np.uint8), "tb": np.ones((i, 2), np.float32),
        "m": Media(b"%d" % i, "image/png" if i % 2 else "image/jpeg"), "mp": PNG, "st": None if i % 3 == 0 else {"x": i, "y": None if i % 2 else "k", "z": inner}, "ns": {"x": i, "q": None if i % 2 else {"k": "v"}},
    }  # fmt: skip
    return row | {name: None for name in row if i % 4 == 1 and name != "ns"}


@pytest.mark.parametrize("rows", [slice(None), [5, 3, 3, 29], [1], []], ids=str)
def test_a_batch_of_every_nullable_type_comes_back(tmp_path, rows):
    with AtlasDatasetWriter(tmp_path / "a", schema=NULLABLE, workers=0) as writer:
        writer.extend(nullable_row(i) for i in range(30))
    first = AtlasDataset(tmp_path / "a")
    wanted = [nullable_row(i) for i in (range(30) if isinstance(rows, slice) else rows)]
    assert same(added(tmp_path / "b", first.batch(rows), NULLABLE), wanted)
    with AtlasDatasetWriter(tmp_path / "c", schema=NULLABLE, workers=0) as writer:
        writer.extend(wanted)
    assert [p.name for p in sorted((tmp_path / "b").glob("*.atlas"))] == [p.name for p in sorted((tmp_path / "c").glob("*.atlas"))], "the same bytes as row by row"


def test_a_null_that_the_schema_does_not_allow(tmp_path):
    with AtlasDatasetWriter(tmp_path / "source", schema=NULLABLE, workers=0) as writer:
        writer.extend(nullable_row(i) for i in range(2, 12))
    batch = AtlasDataset(tmp_path / "source").batch(slice(None))
    for name, spec in NULLABLE.items():
        if name in ("o", "ns"):
            continue
        with pytest.raises(errors.SchemaError, match=rf"row [13] of the batch: column '{name}.*got None.*nullable"), AtlasDatasetWriter(tmp_path / name, schema={name: spec.type}, workers=0) as writer:
            writer.add_batch({name: batch[name]})


def test_rows_that_are_masked_in_part(tmp_path):
    half = np.ma.MaskedArray(np.ones((3, 2)), mask=[[0, 0], [1, 1], [0, 1]])
    for kind in (array_of("float64", (2,)), tensor("float64", 1), array_of("float32", (2,))):
        with pytest.raises(errors.SchemaError, match=r"row 2 of the batch: column 'v': .*1 of its 2 elements are masked"), AtlasDatasetWriter(tmp_path / "d", schema={"v": nullable(kind)}, workers=0) as writer:
            writer.add_batch({"v": half if kind.dtype == "float64" else half.astype(np.float32)})
    assert same([row["v"] for row in added(tmp_path / "e", {"v": half[:2]})], [np.ones(2), None]), "without a schema, too"


def test_masked_columns_of_another_dtype(tmp_path):
    rows = added(tmp_path / "d", {"v": np.ma.MaskedArray([1, 2, 3], mask=[0, 1, 0]), "w": np.ma.MaskedArray([True, False, True])}, {"v": nullable("int8"), "w": "bool"})
    assert same(rows, [{"v": 1, "w": True}, {"v": None, "w": False}, {"v": 3, "w": True}])


@pytest.mark.parametrize("bfloat16", [torch.tensor([1.5, -2.0], dtype=torch.bfloat16), np.array([1.5, -2.0], np.float32)], ids=["tensor", "array"])
def test_columns_of_bfloat16(tmp_path, bfloat16):
    assert [row["v"] for row in added(tmp_path / "a", {"v": bfloat16}, {"v": "bfloat16"})] == [1.5, -2.0]
    assert [row["v"] for row in added(tmp_path / "b", {"v": bfloat16}, {"v": "float32"})] == [1.5, -2.0]
    assert [row["v"] for row in added(tmp_path / "c", {"v": bfloat16})] == [1.5, -2.0], "without a schema: numbers, not bits"
    assert same([row["v"] for row in added(tmp_path / "d", {"v": bfloat16.reshape(2, 1)}, {"v": tensor("bfloat16", 1)})], [np.array([1.5], np.float32), np.array([-2], np.float32)])


def test_a_struct_as_rows(tmp_path):
    schema = {"v": nullable(struct({"a": "int64", "b": nullable("str")}))}
    assert added(tmp_path / "d", {"v": [{"a": 1}, None, {"a": 2, "b": "x"}]}, schema) == [{"v": {"a": 1, "b": None}}, {"v": None}, {"v": {"a": 2, "b": "x"}}]
    for bad, words in (([{"a": 1, "c": 2}], "row 0 of the batch: column 'v'"), ([{"a": 1}, 5], "row 1 of the batch: column 'v'"), ({"a": [1], "c": [2]}, "unknown column 'v.c'"), ({"b": ["x"]}, "column 'v.a'")):
        with pytest.raises(errors.SchemaError, match=words):
            to_leaf_arrays({"v": bad}, make_schema(schema))[1].take(0, 1)


def test_one_row_of_many_is_named(tmp_path):
    for column, kind in (([1] * 7 + ["x"], "int64"), (["a"] * 7 + [1], "str"), ([b"a"] * 7 + ["x"], "bytes"), ([1] * 7 + [{1: 2}], "object"), ([PNG] * 7 + [b"x"], media()), ([np.zeros(1)] * 7 + [np.zeros(2)], array_of("float64", (1,)))):
        with pytest.raises(errors.SchemaError, match=r"row 7 of the batch: column 'v'"), AtlasDatasetWriter(tmp_path / "d", schema={"v": kind}, workers=0) as writer:
            writer.add_batch({"v": column})


@pytest.mark.parametrize(
    "column, words",
    [
        (5, "got int 5.*\\[value\\]"), ("abc", "got str 'abc'"), (b"abc", "got bytes"), (np.array(5), "no axis of rows"), (torch.tensor(5), "no axis of rows"), ((x for x in (1, 2)), "got generator.*list\\(...\\)"), ({1, 2}, "got set.*list\\(...\\)"),
        (iter([1]), "list\\(...\\)"), ({"a": [1]}, "got a dict of columns"), (None, "missing"), (torch.eye(2).to_sparse(), "to_dense"), (np.float64(1), "got float64"), (Ragged(np.arange(3), np.array([0, 4])), "Ragged.offsets"),
        (Ragged(np.arange(3), np.array([2, 1])), "Ragged.offsets"), (Ragged(np.arange(3), np.array([0, 1]), mask=np.zeros(2, bool)), "Ragged.mask has 2 rows"), (Ragged(np.arange(3), np.array([0, 3]), shapes=[(1,), (2,)]), "Ragged.shapes"),
        (Ragged(np.arange(3), np.array([0, 3]), shapes=[(2,)]), "row 0 of the batch"),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_column(column, words):
    schema = make_schema({"w": "int64", "v": "int64"})
    with pytest.raises(errors.SchemaError, match=f"column 'v'.*{words}|{words}.*column 'v'"):
        to_leaf_arrays({"w": [1], "v": column}, schema)[1].take(0, 1)


def test_what_is_no_column_before_there_is_a_schema(tmp_path):
    for bad in (5, "abc", np.array(5), (x for x in (1, 2)), {1, 2}):
        with pytest.raises(errors.SchemaError, match="column 'v'"):
            first_rows({"w": [1], "v": bad}, 10)
    with pytest.raises(errors.SchemaError, match=r"'w' has 1 rows, 'v.a' has 2"):
        first_rows({"w": [1], "v": {"a": [1, 2]}}, 10)


def test_columns_of_unequal_length_are_named():
    with pytest.raises(errors.SchemaError, match=r"'a' has 2 rows, 's.b' has 3"):
        to_leaf_arrays({"a": [1, 2], "s": {"b": np.zeros(3)}}, make_schema({"a": "int64", "s": struct({"b": "float64"})}))
    with pytest.raises(errors.SchemaError, match="no column has rows"):
        to_leaf_arrays({}, make_schema({"a": nullable("int64")}))


def test_columns_that_are_sequences(tmp_path):
    rows = added(tmp_path / "d", {"a": range(3), "b": array.array("d", [1, 2, 3]), "c": ("x", "y", "z"), "d": np.array(["p", "q", "r"])}, {"a": "int64", "b": "float64", "c": "str", "d": "str"})
    assert rows == [{"a": 0, "b": 1.0, "c": "x", "d": "p"}, {"a": 1, "b": 2.0, "c": "y", "d": "q"}, {"a": 2, "b": 3.0, "c": "z", "d": "r"}]


def test_a_step_is_small_where_values_are_large():
    _, slices = to_leaf_arrays({"v": [bytes(1 << 20)] * 10}, make_schema({"v": "bytes"}))
    assert slices.step == 1
    assert to_leaf_arrays({"v": [b"x"] * 10}, make_schema({"v": "bytes"}))[1].step == 1024


# --- sources ---


class MapStyle(torch.utils.data.Dataset):
    """Never raises IndexError: iterated by index it would not end."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return {"v": i}


def written(path, examples):
    with AtlasDatasetWriter(path, workers=0) as writer:
        writer.extend(examples)
    return list(AtlasDataset(path))


def test_a_map_style_dataset_ends(tmp_path):
    assert written(tmp_path / "a", MapStyle()) == [{"v": i} for i in range(5)]
    assert written(tmp_path / "b", torch.utils.data.Subset(MapStyle(), [3, 1])) == [{"v": 3}, {"v": 1}]


TABLE = {"i": [1, None, 3], "s": ["a", "b", None], "l": [[1], [], [2, 3]]}
ROWS = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)]


@pytest.mark.parametrize("make", [pyarrow.table, lambda data: pyarrow.RecordBatch.from_pydict(data), lambda data: pyarrow.table(data).to_reader()], ids=["table", "batch", "reader"])
def test_tables_of_pyarrow(tmp_path, make):
    assert written(tmp_path / "a", make(TABLE)) == ROWS
    assert added(tmp_path / "b", make(TABLE)) == ROWS


def test_a_long_table_comes_in_parts(tmp_path):
    table = pyarrow.table({"i": range(3000)})
    assert [len(part["i"]) for part in as_columns(table)] == [1024, 1024, 952]
    assert [row["i"] for row in added(tmp_path / "a", table)] == list(range(3000)) == [row["i"] for row in as_examples(table)]


def test_a_table_with_two_columns_of_one_name():
    table = pyarrow.table([[1], [2]], names=["a", "a"])
    for take in (lambda: list(as_examples(table)), lambda: list(as_columns(table))):
        with pytest.raises(errors.SchemaError, match="two columns named 'a'"):
            take()


def test_a_column_of_pyarrow(tmp_path):
    assert added(tmp_path / "d", {"i": pyarrow.array([1, None]), "j": pyarrow.chunked_array([[1], [2]])}) == [{"i": 1, "j": 1}, {"i": None, "j": 2}]


def fake(module, name, **members):
    """An object of a library that is not installed here."""
    return type(name, (), {"__module__": module} | members)()


def polars_frame():
    def slices(self, n):
        return iter([self])

    column = python_types.SimpleNamespace(to_list=lambda: [1, 2])
    return fake("polars.dataframe.frame", "DataFrame", iter_rows=lambda self, named: iter([{"i": 1}, {"i": 2}]), iter_slices=slices, columns=["i"], __getitem__=lambda self, name: column, __len__=lambda self: 2)


def test_a_frame_of_polars(tmp_path):
    assert written(tmp_path / "a", polars_frame()) == [{"i": 1}, {"i": 2}] == added(tmp_path / "b", polars_frame())


@pytest.mark.parametrize(
    "given, words",
    [
        (fake("pandas.core.frame", "DataFrame", __iter__=lambda self: iter("ab"), __len__=lambda self: 2), "pandas DataFrame.*from_pandas.*records"), (fake("polars.lazyframe.frame", "LazyFrame"), "collect\\(\\)"),
        ("text", "add_example"), (b"bytes", "add_example"), (5, "add_example"), (None, "add_example"), ({"v": 1}, "column 'v'.*\\[value\\]"), (fake("mine", "Endless", __getitem__=lambda self, i: i), "__len__"),
        (fake("pyarrow._dataset", "Dataset", schema=None), "to_table"),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_source(tmp_path, given, words):
    with pytest.raises(errors.SchemaError, match=words), AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
        writer.extend(given)
    assert not (tmp_path / "d").exists()


def test_frames_given_to_add_batch(tmp_path):
    pandas = fake("pandas.core.frame", "DataFrame", __getitem__=lambda self, i: i, __len__=lambda self: 2)
    for given, words in ((pandas, "from_pandas"), ({"v": fake("pandas.core.series", "Series")}, "column 'v'.*to_numpy")):
        with pytest.raises(errors.SchemaError, match=words), AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
            writer.add_batch(given)


def test_a_dataset_given_to_add_batch(tmp_path):
    written(tmp_path / "a", [{"v": 1}])
    with pytest.raises(errors.SchemaError, match=r"extend\(dataset\)"), AtlasDatasetWriter(tmp_path / "b", workers=0) as writer:
        writer.add_batch(AtlasDataset(tmp_path / "a"))
    assert written(tmp_path / "c", AtlasDataset(tmp_path / "a")) == [{"v": 1}]


def test_a_dict_of_columns_given_to_extend(tmp_path):
    assert written(tmp_path / "d", {"a": [1, 2], "b": np.ma.MaskedArray([1.5, 2.5], mask=[0, 1]), "c": {"x": ["p", "q"]}}) == [{"a": 1, "b": 1.5, "c": {"x": "p"}}, {"a": 2, "b": None, "c": {"x": "q"}}]
    with pytest.raises(errors.SchemaError, match=r"'a' has 2 rows, 'b' has 1"):
        written(tmp_path / "e", {"a": [1, 2], "b": [1]})
