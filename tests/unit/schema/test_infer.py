"""What schema is inferred from which examples."""

import dataclasses
import datetime

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import inference_2_0
from atlas_ds import AtlasDataset, Media, errors, types
from atlas_ds.dataset.draft import Draft
from atlas_ds.schema.infer import infer_schema
from support import PNG, Point, same, write


def kind(*values):
    field = infer_schema([{"v": value} for value in values])["v"]
    return f"{field.type}{' or None' if field.nullable else ''}{' numpy' if field.numpy else ''}"


@pytest.mark.parametrize(
    "values, wanted",
    [
        ((1, 2), "int64"), ((1, 2**63), "uint64"), ((-1, 2**63 - 1), "int64"), ((1, 2.5), "float64"), ((True,), "bool"), ((1j,), "complex128"), (("x",), "str"), ((b"x", bytearray()), "bytes"),
        ((None,), "object"), ((None, 1), "int64 or None"), (([1], None), "list(int64) or None"), (([1], [2.5]), "object"), (([1, 2.5],), "object"), (([1, True],), "object"), (([1, None],), "object"), (([], []), "object"), (([], [True]), "list(bool)"), (([np.float32(1)], ()), "list(float32)"), (([2**63],), "object"), (([1], ["x"]), "object"), (([[1]], [[2]]), "object"), (({"a": 1},), "{a: int64}"), (({"a": 1}, {"b": 1}), "object"), (({}, {}), "object"), (({"a": 1}, [1]), "object"),
        ((datetime.datetime(2020, 1, 1),), "timestamp(us)"), ((datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None), "timestamp(us, UTC) or None"), ((datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)), "object"), ((datetime.date(2020, 1, 1),), "date"), ((np.datetime64("2020-01-01"),), "date numpy"), ((np.datetime64("2020-01-01"), np.datetime64("2020-01-01T00", "ms")), "timestamp(ms) numpy"), ((datetime.datetime(2020, 1, 1), [1]), "object"), ((np.int8(1), np.int8(2)), "int8 numpy"), ((np.int8(1), np.int16(2)), "int16 numpy"), ((np.bool_(1),), "bool numpy"),
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


def test_errors_name_the_example_and_the_limit():
    with pytest.raises(errors.LimitError, match=r"example 1: an example of|example 1: column 'v.*nested deeper than 64"):
        deep: dict = {}
        for _ in range(70):
            deep = {"k": deep}
        infer_schema([{"v": None}, {"v": deep}])
    with pytest.raises(errors.SchemaError, match="at least one example"):
        infer_schema([])


# --- the same as 2.0 inferred, for whatever it accepted and stored exactly ---

WHOLE = [np.int8(-3), np.uint8(200), np.int16(-300), np.uint16(9), np.int32(-5), np.int64(-5)]
WIDE = [np.int64(2**53 + 1), np.int64(-(2**60)), np.float16(1.5), np.float32(0.1), np.float64(0.1)]
FAMILIES = {
    "bool": st.booleans(), "int": st.integers(-9, 9), "large": st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**70]), "float": st.floats(allow_nan=False), "complex": st.just(1j), "str": st.text(max_size=3),
    "bytes": st.binary(max_size=3).flatmap(lambda data: st.sampled_from([data, bytearray(data), memoryview(data)])), "whole": st.sampled_from(WHOLE), "wide": st.sampled_from(WIDE), "real": st.sampled_from([*WHOLE, np.float16(1), np.float32(0.1), np.complex64(1j)]),
    "array": st.builds(np.ones, st.sampled_from([(), (2,), (3,), (1, 2)]), st.sampled_from(["int8", "float32"])), "media": st.builds(Media, st.just(PNG), st.sampled_from(["image/png", "a/b"])), "when": st.just(datetime.datetime(2020, 1, 1)),
}  # fmt: skip
LEAVES = st.none() | st.one_of(list(FAMILIES.values()))
NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2), max_leaves=4)
FAMILIES |= {"none": st.none(), "list": st.lists(NESTED, max_size=2), "dict": st.dictionaries(st.sampled_from("ab"), NESTED, max_size=2), "tuple": st.tuples(FAMILIES["int"])}
for name, family in list(FAMILIES.items()):
    FAMILIES[f"in {name}"] = st.fixed_dictionaries({"p": family, "q": st.fixed_dictionaries({"r": family})})
MIXES = [("int", "float"), ("int", "large"), ("large", "float"), ("whole", "wide"), ("list", "dict"), ("dict", "in int"), ("in int", "in float"), ("in array", "none")]


@st.composite
def streams(draw):
    """Examples of one kind of container, whose columns have values of one family, or of a few that may mix, and None."""
    mixes = st.sampled_from([*[(name,) for name in sorted(FAMILIES)], *MIXES, *[(name, "none") for name in sorted(FAMILIES)]])
    columns = {name: st.one_of([FAMILIES[family] for family in draw(mixes)]) for name in "uvw"[: draw(st.integers(1, 3))]}
    rows = {
        "dict": st.fixed_dictionaries(columns), "missing": st.fixed_dictionaries({}, optional=columns), "tuple": st.tuples(*columns.values()), "list": st.tuples(*columns.values()).map(list),
        "lists": st.lists(columns["u"], max_size=3), "dataclass": st.builds(Point, columns["u"], columns["u"]), "value": columns["u"],
    }  # fmt: skip
    return draw(st.lists(rows[draw(st.sampled_from(sorted(rows)))], min_size=1, max_size=7))


def number(value):
    return value.item() if isinstance(value, np.generic) else value


def exact(given, back):
    """Whether a value came back as the same, whatever its type."""
    if isinstance(given, Point):
        given = {"x": given.x, "label": given.label}
    if isinstance(given, dict):
        return isinstance(back, dict) and all(exact(given.get(key), back.get(key)) for key in {*given, *back})
    if isinstance(given, list | tuple):
        return isinstance(back, list | tuple) and len(given) == len(back) and all(map(exact, given, back))
    if isinstance(given, np.ndarray):
        return same(given, back)
    return bool(number(given) == number(back))


def stored_exactly(tmp_path_factory, examples, schema):
    path = write(tmp_path_factory.mktemp("before") / "d", examples, schema=schema)
    return all(map(exact, examples, AtlasDataset(path)))


def as_objects(schema):
    """A schema as inference once made it: lists and datetimes were objects."""

    def plain(field):
        if isinstance(field.type, types.Struct):
            return dataclasses.replace(field, type=types.Struct(tuple(map(plain, field.type.fields))))
        new = isinstance(field.type, types.Timestamp) or getattr(field.type, "list", False)
        return dataclasses.replace(field, type=types.Word("object"), nullable=False) if new else field

    return dataclasses.replace(schema, fields=tuple(map(plain, schema.fields)))



@settings(max_examples=300, deadline=None)
@given(streams())
def test_the_same_as_before(tmp_path_factory, stream):
    try:
        schemas = [inference_2_0.infer_schema(stream[:end]) for end in range(1, len(stream) + 1)]
        stored = all(stored_exactly(tmp_path_factory, stream[:end], schema) for end, schema in enumerate(schemas, 1) if schemas[end : end + 1] != [schema])
    except (errors.SchemaError, errors.LimitError):
        stored = False
    assume(stored)
    draft = Draft()
    for example in stream:
        draft.add(example)
    assert infer_schema(stream) == draft.schema()
    assert as_objects(draft.schema()) == schemas[-1]
