"""What schema is inferred from which examples."""

import datetime

import numpy as np
import pytest

from atlas_ds import Media, errors
from atlas_ds.schema.infer import infer_schema
from support import Point


def kind(*values):
    field = infer_schema([{"v": value} for value in values])["v"]
    return f"{field.type}{' or None' if field.nullable else ''}{' numpy' if field.numpy else ''}"


@pytest.mark.parametrize(
    "values, wanted",
    [
        ((1, 2), "int64"), ((1, 2**63), "uint64"), ((-1, 2**63 - 1), "int64"), ((1, 2.5), "float64"), ((True,), "bool"), ((1j,), "complex128"), (("x",), "str"), ((b"x", bytearray()), "bytes"),
        ((None,), "object"), ((None, 1), "int64 or None"), (([1], None), "object"), (({"a": 1},), "{a: int64}"), (({"a": 1}, {"b": 1}), "object"), (({}, {}), "object"), (({"a": 1}, [1]), "object"),
        ((datetime.datetime(2020, 1, 1),), "object"), ((np.int8(1), np.int8(2)), "int8 numpy"), ((np.int8(1), np.int16(2)), "int16 numpy"), ((np.bool_(1),), "bool numpy"),
        ((np.zeros((2, 3)),), "array(float64, 2x3)"), ((np.zeros(2), np.zeros(3)), "tensor(float64, 1d)"), ((np.zeros(2), np.zeros((1, 2))), "tensor(float64, anyd)"), ((np.array(3),), "array(int64, scalar)"),
        ((Media(b"", "image/png"),), "media(image/png)"), ((Media(b"", "a/b"), Media(b"", "c/d"), None), "media(any) or None"), (({"a": None}, None, {"a": 1}), "{a: int64} or None"),
    ],
    ids=str,
)  # fmt: skip
def test_types(values, wanted):
    assert kind(*values) == wanted


def test_nested_nulls():
    inner = infer_schema([{"v": {"a": None}}, {"v": {"a": 1}}])["v"].type.fields[0]
    assert inner.nullable and str(inner.type) == "int64"


@pytest.mark.parametrize(
    "examples, container, names",
    [([{"a": 1}], "dict", ("a",)), ([(1, 2)], "tuple", ("0", "1")), ([[1, 2]], "list", ("0", "1")), ([[1], [1, 2]], "value", ("value",)), ([Point(1, "x")], "dataclass", ("x", "label")), ([3], "value", ("value",)), ([[]], "value", ("value",)), ([Media(b"", "a/b")], "value", ("value",))],
    ids=str,
)  # fmt: skip
def test_containers(examples, container, names):
    schema = infer_schema(examples)
    assert (schema.container, schema.names) == (container, names)


def test_columns_stand_in_the_order_they_came():
    assert infer_schema([{"b": 1}, {"a": 1, "b": 2, "c": 3}]).names == ("b", "a", "c")


@pytest.mark.parametrize("values, number", [((1, "x"), 1), ((1, 1, b""), 2), ((1, True), 1), ((np.zeros(2), np.zeros(2, int)), 1), ((np.int8(1), 1), 1), (("x", [1]), 1)], ids=str)
def test_errors_name_the_example_and_the_column(values, number):
    with pytest.raises(errors.SchemaError, match=f"example {number}: column 'v'"):
        kind(*values)
