"""Inference of 2.0.0, which looked at all examples together: frozen, for test_infer.py to compare with. No tests here."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.describe import describe, is_bfloat16, to_numpy
from atlas_ds.schema.media import Media as MediaValue
from atlas_ds.schema.media import is_pil, sniff
from atlas_ds.schema.schema import Schema, build_schema
from atlas_ds.schema.specs import dtype_name
from atlas_ds.schema.types import MAX_DEPTH, Array, Field, Media, Scalar, Struct, Tensor, Type, Word

MISSING = object()
WAY_OUT = ""


def infer_schema(examples: Sequence[Any]) -> Schema:
    """The schema of some examples (at least one). Errors name the example's number (from 0) and the column."""
    first = examples[0]
    container = container_of(first)
    for number, example in enumerate(examples):
        if container_of(example) != container:
            raise SchemaError(f"example {number}: expected a {container} like example 0, got {describe(example)}")
    if container in ("dict", "dataclass"):
        rows = [example if isinstance(example, dict) else {f.name: getattr(example, f.name) for f in dataclasses.fields(example)} for example in examples]
        name = type(first).__qualname__ if container == "dataclass" else None
        return build_schema(container, infer_fields(rows, ""), name)
    if container in ("tuple", "list"):
        lengths = {len(example) for example in examples}
        if len(lengths) == 1 and lengths != {0}:
            columns = zip(*examples, strict=True)
            return build_schema(container, [infer_field(str(i), column, str(i)) for i, column in enumerate(columns)])
        if container == "tuple":
            raise SchemaError(f"tuples of {sorted(lengths)[:5]} values: examples must have one length, at least 1 (use lists where it varies)")
    return build_schema("value", [infer_field("value", examples, "value")])


def container_of(example: Any) -> str:
    if isinstance(example, dict):
        return "dict"
    if isinstance(example, tuple):
        return "tuple"
    if isinstance(example, list):
        return "list"
    if dataclasses.is_dataclass(example) and not isinstance(example, type | MediaValue):
        return "dataclass"
    return "value"


def infer_fields(rows: Sequence[dict[str, Any]], prefix: str) -> list[Field]:
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        for key in row:
            if not isinstance(key, str):
                raise SchemaError(f"example {number}: key {key!r} is a {type(key).__name__}; keys must be str")
            names.setdefault(key)
    if not names:
        raise SchemaError("the examples are empty dicts: there is nothing to store")
    return [infer_field(name, [row.get(name, MISSING) for row in rows], prefix + name) for name in names]


def infer_field(name: str, column: Iterable[Any], path: str) -> Field:
    column = list(column)
    values = [(number, value) for number, value in enumerate(column) if value is not None and value is not MISSING]
    nullable = len(values) != len(column)
    if not values:
        return Field(name, Word("object"))  # only None so far: an object holds that, and anything later
    kinds = {kind_of(value, number, path) for number, value in values}
    if kinds == {"dict"}:
        field = infer_dict(name, values, path, nullable)
    elif kinds <= {"object", "dict"}:
        field = Field(name, Word("object"))
    elif len(kinds) == 1:
        field = FIELDS[kinds.pop()](name, values, path)
    elif kinds == {"int", "float"}:
        field = Field(name, Scalar("float64"))
    elif kinds == {"path", "media"} or kinds == {"path", "pil"} or kinds == {"pil", "media"} or kinds == {"path", "pil", "media"}:
        field = infer_media(name, values, path)
    else:
        odd = next(number for number, value in values if kind_of(value, number, path) != kind_of(*values[0][::-1], path))
        raise SchemaError(f"example {odd}: column {path!r}: got {describe(dict(values)[odd])} after {describe(values[0][1])}: one column has one type")
    if field.type == Word("object"):
        return field  # None is one of its values
    return dataclasses.replace(field, nullable=nullable)


def kind_of(value: Any, number: int, path: str) -> str:
    if isinstance(value, bool | np.bool_):
        return "bool" if isinstance(value, bool) else "numpy"
    if isinstance(value, int) and not isinstance(value, np.generic):
        return "int"
    if isinstance(value, float) and not isinstance(value, np.generic):
        return "float"
    if isinstance(value, complex) and not isinstance(value, np.generic):
        return "complex"
    if isinstance(value, str) and not isinstance(value, np.generic):
        return "str"
    if isinstance(value, bytes | bytearray | memoryview):
        return "bytes"
    if isinstance(value, dict):
        return "dict"
    if isinstance(value, list | tuple | datetime.datetime):
        return "object"
    if isinstance(value, MediaValue):
        return "media"
    if isinstance(value, Path):
        return "path"
    if is_pil(value):
        return "pil"
    array = to_numpy(value)
    if isinstance(array, np.ndarray | np.generic):
        check_dtype(array, number, path)
        return "numpy" if isinstance(array, np.generic) else "array"
    raise SchemaError(f"example {number}: column {path!r}: a {type(value).__module__}.{type(value).__qualname__} cannot be stored: {WAY_OUT}")


def check_dtype(array: Any, number: int, path: str) -> None:
    if is_bfloat16(array):
        return
    try:
        dtype_name(array.dtype)
    except SchemaError as cause:
        raise SchemaError(f"example {number}: column {path!r}: {cause}") from None


def infer_dict(name: str, values: list[tuple[int, Any]], path: str, nullable: bool) -> Field:
    """A struct if the keys are the same in all, else an object."""
    keys = list(values[0][1])
    if path.count(".") > MAX_DEPTH:
        raise LimitError(f"column {path[:80]!r}...: dicts are nested deeper than {MAX_DEPTH}")
    if keys and all(isinstance(key, str) for key in keys) and all(value.keys() == values[0][1].keys() for _, value in values):
        return Field(name, Struct(tuple(infer_field(key, [value[key] for _, value in values], f"{path}.{key}") for key in keys)))
    return Field(name, Word("object"))


def infer_int(name: str, values: list[tuple[int, Any]], path: str) -> Field:
    least, most = min(value for _, value in values), max(value for _, value in values)
    if least >= -(1 << 63) and most < 1 << 63:
        return Field(name, Scalar("int64"))
    if least >= 0 and most < 1 << 64:
        return Field(name, Scalar("uint64"))
    odd = next(number for number, value in values if not -(1 << 63) <= value < 1 << 63)
    raise SchemaError(f"example {odd}: column {path!r}: an int beyond 64 bits cannot be stored; store it as str")


def infer_numpy(name: str, values: list[tuple[int, Any]], path: str) -> Field:
    dtypes = {to_numpy(value).dtype for _, value in values}
    return Field(name, Scalar(dtype_name(np.result_type(*dtypes))), numpy=True)


def infer_array(name: str, values: list[tuple[int, Any]], path: str) -> Field:
    arrays = [to_numpy(value) for _, value in values]
    bfloat16 = {is_bfloat16(value) for _, value in values}
    if len({array.dtype for array in arrays}) > 1 or len(bfloat16) > 1:
        odd = next(number for (number, _), array in zip(values, arrays, strict=True) if array.dtype != arrays[0].dtype)
        raise SchemaError(f"example {odd}: column {path!r}: got {describe(dict(values)[odd])} after {describe(values[0][1])}: a column's arrays have one dtype")
    dtype = "bfloat16" if bfloat16 == {True} else dtype_name(arrays[0].dtype)
    shapes = {array.shape for array in arrays}
    if len(shapes) == 1:
        return Field(name, Array(dtype, arrays[0].shape))
    dims = {array.ndim for array in arrays}
    return Field(name, Tensor(dtype, dims.pop() if len(dims) == 1 else None))


def infer_media(name: str, values: list[tuple[int, Any]], path: str) -> Field:
    kinds: set[str | None] = set()
    for number, value in values:
        kind = value.type if isinstance(value, MediaValue) else "image/png" if is_pil(value) else path_type(value, number, path)
        kinds.add(kind)
    return Field(name, Media(kinds.pop() if len(kinds) == 1 else None))


def path_type(value: Path, number: int, path: str) -> str:
    try:
        with value.open("rb") as file:
            head = file.read(64)
    except OSError as cause:
        raise SchemaError(f"example {number}: column {path!r}: cannot read {str(value)!r}: {cause.strerror}") from cause
    kind = sniff(head, value.name)
    if kind is None:
        raise SchemaError(f"example {number}: column {path!r}: {str(value)!r} is no image, sound or film that is known: give its bytes, or Media(data, type)")
    return kind


def simple(kind: Type) -> Any:
    return lambda name, values, path: Field(name, kind)


FIELDS = {
    "bool": simple(Scalar("bool")),
    "int": infer_int,
    "float": simple(Scalar("float64")),
    "complex": simple(Scalar("complex128")),
    "str": simple(Word("str")),
    "bytes": simple(Word("bytes")),
    "numpy": infer_numpy,
    "array": infer_array,
    "media": infer_media,
    "path": infer_media,
    "pil": infer_media,
}
