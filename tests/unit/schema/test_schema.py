"""Schemas as users write them and as files hold them."""

import json

import numpy as np
import pytest
import rfc8785

from atlas_ds import AtlasDataset, Media, errors, types
from atlas_ds.schema.schema import Schema, make_schema, schema_from_json
from reference import schema as reference
from support import write

EVERYTHING = {
    "i": int, "f": "float32", "b": bool, "s": str, "y": bytes, "o": "object", "h": "bfloat16", "c": np.complex64, "d": np.dtype(">u2"), "a": types.array("uint8", (2, 3)), "t": types.tensor("int8", 2),
    "t1": types.tensor("int8", 1), "any": types.tensor(np.float64), "m": types.media(), "p": types.media("image/png"), "st": {"x": int, "y": types.nullable({"z": types.nullable(str)})}, "n": types.nullable(types.media()),
}  # fmt: skip


def test_json_round_trip_and_the_reference_agrees():
    schema = make_schema(EVERYTHING)
    text = rfc8785.dumps(schema.to_json())
    assert schema_from_json(json.loads(text), where="x") == schema
    theirs = reference.parse_schema(text)
    leaves = [(id, *leaf) for field in reference.walk(theirs.fields) for id, leaf in zip(field.leaves, reference.own_leaves(field), strict=True)]
    assert [(leaf.id, 1 if leaf.fixed else 2, leaf.width) for leaf in schema.leaves] == leaves and [leaf.id for leaf in schema.leaves] == list(range(len(leaves)))


def test_leaf_paths_and_nulls():
    leaves = {leaf.path: leaf for leaf in make_schema(EVERYTHING).leaves}
    assert {"t.shape", "any.shape", "m.type", "st.x", "st.y", "st.y.z", "n.type"} <= set(leaves) and "t1.shape" not in leaves and "st" not in leaves
    assert leaves["n"].nullable and leaves["n.type"].nullable and leaves["st.y.z"].nullable and not leaves["st.y"].nullable and leaves["st.y"].width == 1


def test_shorthands():
    assert make_schema((int, str)).container == "tuple" and make_schema([int]).container == "list" and make_schema(int).container == "value"
    assert make_schema(make_schema({"a": int})) == make_schema({"a": "int64"})
    with pytest.raises(KeyError, match="no column 'b'; the columns are a"):
        make_schema({"a": int})["b"]


@pytest.mark.parametrize("spec", ["int33", "float128", object, np.dtype("M8[h]"), np.dtype("U3"), {"a": "text"}, types.struct({})], ids=str)
def test_types_that_are_none(spec):
    with pytest.raises(errors.SchemaError):
        make_schema({"v": spec})


@pytest.mark.parametrize("spec", [types.array("int8", (1,) * 33), types.array("int8", (-1,)), types.array("int8", (1 << 15, 1 << 16))], ids=str)
def test_sizes_beyond_limits(spec):
    with pytest.raises(errors.LimitError):
        make_schema({"v": spec})


def test_too_many_columns():
    assert len(make_schema({str(i): int for i in range(4096)}).leaves) == 4096
    with pytest.raises(errors.LimitError, match="4096"):
        make_schema({str(i): int for i in range(4097)})


def test_names_that_clash_or_are_out_of_place():
    fields = make_schema({"a": int}).fields
    for schema in (Schema(fields * 2), Schema(()), Schema(fields, "tuple"), Schema(fields, "value")):
        with pytest.raises(errors.SchemaError):
            make_schema(schema)


GOOD = make_schema({"a": types.tensor("int8", 2), "b": {"c": "str"}}).to_json()


@pytest.mark.parametrize("old, new", [('"tensor"', '"tensors"'), ('"str"', '"text"'), ('"int8"', '"int9"')])
def test_a_type_of_a_later_version(old, new):
    data = json.loads(json.dumps(GOOD, separators=(",", ":")).replace(old, new))
    with pytest.raises(errors.UnsupportedError, match="is not known"):
        schema_from_json(data, where="x")


@pytest.mark.parametrize(
    "old, new",
    [
        ('"dict"', '"set"'), ('"fields"', '"field"'), ('"leaves":[0,1]', '"leaves":[0]'), ('"leaves":[0,1]', '"leaves":[0,"1"]'), ('"leaves":[0,1]', '"leaves":[0,65536]'), ('"int8"', "8"),
        ('"ndim":2', '"ndim":-1'), ('"ndim":2', '"ndim":33'), ('"ndim":2', '"ndim":true'), ('"nullable":false', '"nullable":0'), ('"str"', "7"), ('"str"', '{"array":[]}'),
        ('"str"', '{"struct":[]}'), ('"str"', '{"struct":{}}'), ('"str"', '{"media":{"type":3}}'), ('"str"', '{"array":{"dtype":"int8","shape":[-1]}}'), ('"str"', '{"array":{"dtype":"int8","shape":[true]}}'), ('"c"', "3"),
    ],
)  # fmt: skip
def test_json_that_is_no_schema(old, new):
    text = json.dumps(GOOD, separators=(",", ":"), sort_keys=True)
    assert old in text
    with pytest.raises((errors.CorruptError, errors.LimitError), match="x: "):
        schema_from_json(json.loads(text.replace(old, new)), where="x")


def test_deep_structs():
    def deep(depth):
        spec = "int8"
        for _ in range(depth):
            spec = {"a": spec}
        return spec

    assert len(make_schema(deep(64)).leaves) == 1
    with pytest.raises(errors.LimitError, match="deeper than 64"):
        make_schema(deep(70))


@pytest.mark.parametrize("kind", ["é", "image", "a/b; c=d", "日本/語"])
def test_a_media_type_is_any_text(tmp_path, kind):
    schema = make_schema({"v": types.media(kind)})
    assert schema_from_json(json.loads(rfc8785.dumps(schema.to_json())), where="x") == schema
    assert reference.parse_schema(rfc8785.dumps(schema.to_json())).fields[0].name == "v"
    path = write(tmp_path / "d", [{"v": Media(b"x", kind)}], schema={"v": types.media(kind)})
    ds = AtlasDataset(path)
    assert ds.schema == schema and ds[0]["v"] == Media(b"x", kind)
