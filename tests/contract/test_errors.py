"""What cannot be stored is refused: with the example's number, the column, what was expected and what came; the writer goes on."""

import datetime
import decimal
import pickle

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, types
from support import same, write


def refused(path, rows, *parts, error=errors.SchemaError, **options):
    with pytest.raises(error) as caught:
        write(path, rows, **options)
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    "value, part",
    [
        ("\ud800", "surrogate"),
        (np.array([object()]), "dtype object"),
        (np.array(["2020"], "M8[s]"), "datetime64"),
        (decimal.Decimal(1), "decimal.Decimal"),
        ({1, 2}, "builtins.set"),
        (object(), "builtins.object"),
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        ([{1: 2}], "key 1 is not a str"),
        ([object()], "builtins.object"),
        ([2**70], "cannot be stored"),
        (["\udfff"], "cannot be stored"),
        (lambda: 0, "function"),
        (datetime.time(12), "datetime.time"),
        ([datetime.date(2020, 1, 1)], "datetime.date"),
        (np.longdouble(1), "float128"),
    ],
    ids=lambda value: repr(value)[:25],
)
def test_values_that_cannot_be_stored(tmp_path, value, part):
    refused(tmp_path / "d", [{"v": value}], "'v'", part, "0")


def test_objects_nested_too_deep(tmp_path):
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    refused(tmp_path / "d", [{"v": deep}], "'v'")


def test_dicts_nested_too_deep(tmp_path):
    deep: dict = {"k": 1}
    for _ in range(5000):
        deep = {"k": deep}
    refused(tmp_path / "d", [{"v": deep}], "nested deeper than 64", error=errors.LimitError)


def test_lone_surrogate_in_a_later_row(tmp_path):
    refused(tmp_path / "d", [{"v": "a"}] * 2 + [{"v": "\ud800"}], "example 2", "'v'", "surrogate")


def test_a_key_with_a_surrogate(tmp_path):
    refused(tmp_path / "d", [{"\ud800": 1}], "surrogate")


@pytest.mark.parametrize(
    "first, later, parts",
    [
        (1, "x", ["int64", "str 'x'"]),
        (1, 1.5, ["int64", "float 1.5"]),
        (1, True, ["int64", "bool True"]),
        (True, 1, ["bool", "int 1"]),
        (1, 2**63, ["int64", "64 bits"]),
        (1.5, "x", ["float64", "str"]),
        ("x", 1, ["str", "int 1"]),
        ("x", b"x", ["str", "bytes"]),
        (b"x", "x", ["bytes", "str"]),
        (1, None, ["int64", "None", "nullable"]),
        (np.zeros(2), np.zeros(3), ["array(float64, 2)", "array(float64, 3)"]),
        (np.zeros(2, np.int8), np.zeros(2, np.int64), ["array(int8, 2)", "array(int64, 2)"]),
        (np.zeros(2), "x", ["array(float64, 2)", "str"]),
        (np.int8(1), np.int64(1000), ["int8", "1000"]),
        ({"a": 1}, {"a": "x"}, ["'v.a'", "int64", "str"]),
        ({"a": 1}, {"b": 1}, ["'v.a'", "None"]),
        ({"a": 1}, {"a": 1, "b": 1}, ["'v.b'", "a"]),
        ({"a": 1}, 3, ["'v'", "int 3"]),
        ([1], object(), ["object"]),
    ],
    ids=lambda value: repr(value)[:25],
)
def test_a_wrong_type_later(tmp_path, first, later, parts):
    """Later means after the schema was settled, here by 1024 examples."""
    with AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
        writer.extend([{"v": first}] * 1024)
        with pytest.raises(errors.SchemaError) as caught:
            writer.add_example({"v": later})
        for part in ["example 1024", "'v", *parts]:
            assert part in str(caught.value), str(caught.value)
        writer.add_example({"v": first})
    dataset = AtlasDataset(tmp_path / "d")
    assert len(dataset) == 1025 and same(dataset[1024]["v"], first)


def test_a_refused_example_leaves_no_trace(tmp_path):
    """The third column is refused after two were taken; rows stay aligned, nulls too."""
    schema = {"a": types.nullable("int64"), "b": types.nullable("str"), "c": types.tensor("int8", 2), "d": "int64"}
    good = [{"a": None if i % 2 else i, "b": None if i % 3 else "x", "c": np.ones((i % 3, 2), np.int8), "d": i} for i in range(50)]
    with AtlasDatasetWriter(tmp_path / "d", workers=0, schema=schema, block_size=4) as writer:
        for row in good:
            for bad in ({**row, "d": "x"}, {**row, "a": None, "b": None, "c": 1}, {**row, "e": 1}, {"a": 1}):
                with pytest.raises(errors.SchemaError):
                    writer.add_example(bad)
            writer.add_example(row)
    assert same(list(AtlasDataset(tmp_path / "d")), good)


def test_missing_and_extra_keys(tmp_path):
    refused(tmp_path / "d", [{"a": 1}, {}], "example 1", "'a'", "missing", schema={"a": int})
    refused(tmp_path / "d", [{"a": 1, "x": 2}], "example 0", "'x'", "a", schema={"a": int})
    refused(tmp_path / "d", [(1, 2, 3)], "example 0", "tuple of 2", schema=(int, int))
    refused(tmp_path / "d", [3], "example 0", "dict", schema={"a": int})


def test_containers_that_differ(tmp_path):
    refused(tmp_path / "d", [{"a": 1}, (1,)], "example 1", "expected a dict")
    refused(tmp_path / "d", [(1, 2), (1,)], "tuples")
    refused(tmp_path / "d", [{}], "empty dict")
    refused(tmp_path / "d", [{1: 2}], "keys must be str")


def test_arrays_of_two_dtypes(tmp_path):
    refused(tmp_path / "d", [{"v": np.zeros(2)}, {"v": np.zeros(2, np.int8)}], "example 1", "one dtype")


def test_types_that_do_not_mix(tmp_path):
    refused(tmp_path / "d", [{"v": 1}, {"v": "x"}], "example 1", "'v'", "one type")


def test_uneven_columns(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", workers=0, schema={"a": int, "b": str}) as writer:
        for bad in ({"a": [1, 2], "b": ["x"]}, {"a": [1]}, {"a": [1], "b": ["x"], "c": [1]}, {"a": [None], "b": ["x"]}, {"a": [1], "b": [2]}, {"a": np.ones((1, 2), int), "b": ["x"]}):
            with pytest.raises(errors.SchemaError):
                writer.add_batch(bad)
        writer.add_batch({"a": [1], "b": ["x"]})
    assert list(AtlasDataset(tmp_path / "d")) == [{"a": 1, "b": "x"}]


def test_uneven_columns_before_there_is_a_schema(tmp_path):
    with pytest.raises((errors.SchemaError, ValueError)), AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
        writer.add_batch({"a": [1, 2], "b": ["x"]})
    assert not (tmp_path / "d").exists()


def test_a_later_slice_of_a_batch_that_is_refused(tmp_path):
    """A batch is taken in steps: what was taken stays, and position says how much."""
    with AtlasDatasetWriter(tmp_path / "d", workers=0, schema={"a": str}) as writer:
        with pytest.raises(errors.SchemaError):
            writer.add_batch({"a": ["x"] * 1500 + [1]})
        taken = writer.position
    assert len(AtlasDataset(tmp_path / "d")) == taken


def test_an_empty_dataset_needs_a_schema(tmp_path):
    refused(tmp_path / "d", [], "schema=")


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_pickle_and_are_atlas_errors(name):
    kind = getattr(errors, name)
    again = pickle.loads(pickle.dumps(kind("why")))
    assert type(again) is kind and str(again) == "why" and isinstance(again, errors.AtlasError)


@pytest.mark.parametrize(
    "options, part",
    [
        ({"access": "fast"}, "random"), ({"dictionary": "x"}, "shared"), ({"level": 0}, "1 to 22"), ({"append": True, "resume": True}, "one of"),
        ({"shard_size": 0}, "shard_size"), ({"block_size": "0KB"}, "block_size"), ({"shard_size": "many"}, "256MB"), ({"compression": "gzip"}, "gzip"),
        ({"compression": {"v": "snappy"}}, "snappy"),
    ],
)  # fmt: skip
def test_options_that_are_wrong(tmp_path, options, part):
    with pytest.raises(ValueError, match=part):
        AtlasDatasetWriter(tmp_path / "d", **options)
    assert not (tmp_path / "d").exists()


def test_compression_of_a_column_that_is_not_there(tmp_path):
    refused(tmp_path / "d", [{"a": 1}], "'b'", error=ValueError, compression={"b": "zstd"})
