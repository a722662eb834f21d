"""Types as users write them: what works, and what an error names instead."""

import typing

import numpy as np
import pytest

from atlas_ds import errors, types
from atlas_ds.schema.schema import make_schema


@pytest.mark.parametrize(
    "spec, kind",
    [
        ("timestamp", types.timestamp("us")), ("datetime64[us]", types.timestamp("us")), ("datetime64[ns]", types.timestamp("ns")), ("datetime64[D]", "date"),
        (list[np.float32], types.list("float32")), (list[np.bool_], types.list("bool")), (int | None, types.nullable("int64")),
        (typing.Optional[str], types.nullable("str")), (None | list[int], types.nullable(types.list("int64"))),  # noqa: UP045
        (types.nullable(int | None), types.nullable("int64")), ({"x": float | None}, {"x": types.nullable("float64")}),
    ],
    ids=str,
)  # fmt: skip
def test_obvious_spellings(spec, kind):
    assert make_schema({"a": spec}) == make_schema({"a": kind})
    assert make_schema((spec,)) == make_schema((kind,))


@pytest.mark.parametrize(
    "spec, said",
    [
        (list[str], '"object" is any list'), (list, r"atlas\.types\.list"), (dict, '"object"'), (tuple[int, int], '"object"'), (list[int | None], '"object"'), (int | str, "nullable"), (int | str | None, "nullable"),
        ("time", r"atlas\.types\.timestamp"), ("datetime64[M]", r"atlas\.types\.timestamp"), (np.datetime64, r"atlas\.types\.timestamp"), ("text", '"str"'),
    ],
    ids=str,
)  # fmt: skip
def test_other_spellings_are_told_what_to_write(spec, said):
    with pytest.raises(errors.SchemaError, match=said):
        make_schema({"a": spec})


def test_the_names_of_classes_are_no_text():
    with pytest.raises(errors.SchemaError, match=r"must be a list of str, such as \['cat'\]"):
        types.class_label("cat")
