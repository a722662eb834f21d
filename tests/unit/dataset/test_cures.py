"""Errors of values and schemas that come late: they say what to change."""

import datetime
import decimal

import pytest

from atlas_ds import AtlasDatasetWriter, errors, types
from support import write

DAY = datetime.date(2020, 1, 1)


def test_a_new_class_in_an_append(tmp_path):
    path = write(tmp_path / "d", [{"c": "a"}], schema={"c": types.class_label(["a", "b"])})
    with pytest.raises(errors.SchemaError, match=r"no such class.*schema=.*added at the end"):
        write(path, [{"c": "new"}], append=True)


@pytest.mark.parametrize(
    "given, said",
    [
        ({"a": "int64", "b": "float32", "c": types.class_label(["x", "y", "z"])}, "column 'b' is float32, not str"),
        ({"a": "int64", "b": "str"}, r"it lacks column 'c' \(class_label\(x, y\)\)"),
        ({"a": types.nullable("int64"), "b": "str", "c": types.class_label(["x", "y"])}, r"column 'a' is nullable\(int64\), not int64"),
        ({"a": "int64", "b": "str", "c": types.class_label(["y", "x"])}, "column 'c' has other classes.*at the end of x, y"),
        ({"a": "int64", "b": "str", "c": types.class_label(["x", "y"]), "d": "str"}, "there is no column 'd'"),
        ({"b": "str", "a": "int64", "c": types.class_label(["x", "y"])}, "the columns are a, b, c, in this order.*"),
        (("int64", "str", "int64"), "an example is a tuple, not a dict"),
    ],
    ids=str,
)
def test_the_first_column_that_differs_is_named(tmp_path, given, said):
    path = write(tmp_path / "d", [{"a": 1, "b": "b", "c": 0}], schema={"a": "int64", "b": "str", "c": types.class_label(["x", "y"])})
    with pytest.raises(errors.SchemaError, match=f"schema= differs from the schema of .*: {said}$"):
        AtlasDatasetWriter(path, schema=given, append=True)


def test_a_day_after_many_nones(tmp_path):
    with pytest.raises(errors.SchemaError, match="declare the column as 'date' with schema="):
        write(tmp_path / "d", [{"a": None}] * 2000 + [{"a": DAY}])


@pytest.mark.parametrize("kind", [types.list("int64"), types.list("int64", 2)])
def test_a_float_in_a_list_of_ints(tmp_path, kind):
    with pytest.raises(errors.SchemaError, match=r'atlas\.types\.list\("float64"'):
        write(tmp_path / "d", [{"a": [1, 2.5]}], schema={"a": kind})


@pytest.mark.parametrize("value, cure", [(decimal.Decimal("1.5"), "store str(value)"), ({1}, "store sorted(value)"), (datetime.timedelta(1), "store value.total_seconds()")], ids=repr)
def test_what_has_a_cure_is_told_it_as_a_value_and_in_a_list(tmp_path, value, cure):
    for given in (value, [value]):
        with pytest.raises(errors.SchemaError) as caught, AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
            writer.add_example({"v": given})
        assert cure in str(caught.value)
