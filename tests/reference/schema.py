"""Section 12: the schema, the leaves it asks for, and examples built from leaf values. Knows no page and no file."""

from __future__ import annotations

import datetime
import json
import math
import re
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

from .wire import (
    FIXED_LEAF,
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_SCHEMA,
    MAX_STRUCTS,
    NULLABLE,
    OWN_DEPTH_LIMIT,
    VARIABLE_LEAF,
    Corrupt,
    Limit,
    ShardError,
    Unsupported,
    need,
)

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SCALARS = ("bool", *INTEGERS, "float16", "float32", "float64", "bfloat16", "complex64", "complex128")
TZ = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]{0,63}|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]")
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
Cell = bytes | None
CellOf = Callable[[int], Cell]  # leaf id -> the value of the row in question


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str  # a scalar name, or str bytes object date array tensor timestamp class_label media struct
    leaves: tuple[int, ...]
    nullable: bool
    numpy: bool = False
    list: bool = False
    unit: str = ""
    tz: str | None = None
    names: tuple[str, ...] = ()
    dtype: str = ""
    shape: tuple[int, ...] = ()
    ndim: int | None = None
    media: str | None = None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    container: str
    fields: tuple[Field, ...]
    name: str | None = None


# From JSON

def load_json(text: bytes, what: str) -> Any:
    depth = deepest = 0
    for byte in text:  # brackets within strings count too: a schema has no reason to hold hundreds
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    need(deepest <= OWN_DEPTH_LIMIT, f"{what}: nested too deep", Limit)
    try:
        return json.loads(text.decode("utf-8"), parse_int=number)
    except ValueError as error:  # also UnicodeDecodeError
        raise Corrupt(f"{what} is not JSON: {error}") from error


def number(digits: str) -> int | float:
    """Integers beyond 2^53 - 1 are floats: RFC 8785 writes 1e20 without an exponent."""
    value = int(digits)
    return value if abs(value) < 2**53 else float(value)


def parse_schema(text: bytes) -> Schema:
    need(len(text) <= MAX_SCHEMA, "the schema is too long", Limit)
    data = load_json(text, "schema")
    need(_canonical(data) == text, "the schema is not canonical JSON")
    return schema_of(data)


def _canonical(data: Any) -> bytes:
    """RFC 8785 as far as a schema needs it: it has no floats and no member names beyond ASCII."""
    try:
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise Corrupt(f"the schema is not canonical JSON: {error}") from error


def schema_of(data: Any) -> Schema:
    need(isinstance(data, dict) and {"container", "fields"} <= data.keys() <= {"container", "fields", "name"}, "schema members")
    container = data["container"]
    need(container in ("dict", "tuple", "list", "dataclass", "value"), f"unknown container {container!r}")
    need(("name" in data) == (container == "dataclass") and isinstance(data.get("name", ""), str), "schema name")
    fields = _fields_of(data["fields"])
    names = [field.name for field in fields]
    if container in ("tuple", "list"):
        need(names == [str(i) for i in range(len(names))], "fields of a tuple or list are named 0, 1, ...")
    if container == "value":
        need(names == ["value"], "a value has one field, `value`")
    return Schema(container, fields, data.get("name"))


def _fields_of(data: Any, structs: int = 0) -> tuple[Field, ...]:
    """structs: that they lie in."""
    need(structs <= MAX_STRUCTS, "structs nested too deep", Limit)
    need(isinstance(data, list) and data, "fields is not a list, or empty")
    fields = tuple(_field_of(item, structs) for item in data)
    need(len({field.name for field in fields}) == len(fields), "two fields of one name")
    return fields


def _field_of(data: Any, structs: int) -> Field:
    members = {"leaves", "name", "nullable", "type"}
    need(isinstance(data, dict) and members <= data.keys() <= members | {"numpy", "list"}, "members of a field")
    name, leaves, nullable, kind = data["name"], data["leaves"], data["nullable"], data["type"]
    need(isinstance(name, str) and isinstance(nullable, bool), "members of a field")
    need(data.get("numpy", True) is True and data.get("list", True) is True, "members of a field")
    need(isinstance(leaves, list) and all(type(i) is int and 0 <= i < 65536 for i in leaves), "leaves of a field")
    common: dict[str, Any] = {"name": name, "leaves": tuple(leaves), "nullable": nullable, "numpy": "numpy" in data, "list": "list" in data}
    if isinstance(kind, str):
        need(kind in (*SCALARS, "str", "bytes", "object", "date"), f"unknown type {kind!r}", Unsupported)
        need("numpy" not in data or kind in (*SCALARS, "date"), "`numpy` is for scalars")
        need("list" not in data, "`list` is for arrays and tensors")
        need(kind != "object" or not nullable, "an object is not nullable")
        return Field(kind=kind, **common)
    need(isinstance(kind, dict) and len(kind) == 1, "type of a field")
    (word, detail), = kind.items()
    need("numpy" not in data or word == "timestamp", "`numpy` is for scalars")
    need("list" not in data or word in ("array", "tensor"), "`list` is for arrays and tensors")
    if word == "struct":
        return Field(kind=word, fields=_fields_of(detail, structs + 1), **common)
    wanted = {"array": {"dtype", "shape"}, "tensor": {"dtype", "ndim"}, "media": {"type"}, "timestamp": {"tz", "unit"}, "class_label": {"names"}}.get(word)
    need(wanted, f"unknown type {word!r}", Unsupported)
    need(isinstance(detail, dict) and detail.keys() == wanted, f"members of type {word!r}")
    if word == "timestamp":
        unit, tz = detail["unit"], detail["tz"]
        need(isinstance(unit, str) and unit in PER_SECOND, "unit of a timestamp")
        need(tz is None or (isinstance(tz, str) and TZ.fullmatch(tz)), "tz of a timestamp")
        return Field(kind=word, unit=detail["unit"], tz=detail["tz"], **common)
    if word == "class_label":
        names = detail["names"]
        need(isinstance(names, list) and names and all(isinstance(name, str) for name in names) and len(set(names)) == len(names), "names of classes")
        return Field(kind=word, names=tuple(names), **common)
    if word == "media":
        need(detail["type"] is None or isinstance(detail["type"], str), "media type")
        return Field(kind=word, media=detail["type"], **common)
    need(isinstance(detail["dtype"], str), "dtype")
    need(detail["dtype"] in SCALARS, f"unknown dtype {detail['dtype']!r}", Unsupported)
    if word == "tensor":
        need("list" not in data or detail["ndim"] == 1, "a list has one dimension")
        need(detail["ndim"] is None or (type(detail["ndim"]) is int and detail["ndim"] >= 0), "ndim")
        need(detail["ndim"] is None or detail["ndim"] <= MAX_DIMENSIONS, "a tensor of too many dimensions", Limit)
        return Field(kind=word, dtype=detail["dtype"], ndim=detail["ndim"], **common)
    need(isinstance(detail["shape"], list) and all(type(n) is int and n >= 0 for n in detail["shape"]), "shape")
    check_shape(detail["shape"])
    need("list" not in data or len(detail["shape"]) == 1, "a list has one dimension")
    return Field(kind=word, dtype=detail["dtype"], shape=tuple(detail["shape"]), **common)


def check_shape(shape: list[int]) -> None:
    need(len(shape) <= MAX_DIMENSIONS, "an array of too many dimensions", Limit)
    need(math.prod(n or 1 for n in shape) <= MAX_ELEMENTS, "an array of too many elements", Limit)


# The leaves that a schema asks for

def own_leaves(field: Field) -> list[tuple[int, int]]:
    """(kind, width) of each."""
    variable = (VARIABLE_LEAF, 0)
    if field.kind == "array":
        return [(FIXED_LEAF, math.prod(field.shape) * itemsize(field.dtype))]
    if field.kind == "tensor":
        return [variable] + ([] if field.ndim == 1 else [variable] if field.ndim is None else [(FIXED_LEAF, 4 * field.ndim)])
    if field.kind == "media":
        return [variable] * (2 if field.media is None else 1)
    if field.kind == "struct":
        return [(FIXED_LEAF, 1)] if field.nullable else []
    width = {"date": 4, "timestamp": 8, "class_label": 8}.get(field.kind)
    return [variable] if field.kind in ("str", "bytes", "object") else [(FIXED_LEAF, width or itemsize(field.kind))]


def walk(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        yield field
        yield from walk(field.fields)


def check_leaves(schema: Schema, leaves: Any) -> None:
    """The leaf table holds exactly the leaves of the schema, in its order."""
    wanted = []
    for field in walk(schema.fields):
        own = own_leaves(field)
        need(len(own) == len(field.leaves), f"field {field.name!r} has {len(field.leaves)} leaves, its type {len(own)}")
        wanted += [(id, *leaf, field) for id, leaf in zip(field.leaves, own)]
    need(len(wanted) == len(leaves), "the schema has not as many leaves as the leaf table")
    for (id, kind, width, field), leaf in zip(wanted, leaves):
        need((leaf.id, leaf.kind, leaf.width) == (id, kind, width), f"leaf {leaf.id} is not as field {field.name!r} has it")
        if field.kind != "struct":
            need(bool(leaf.flags & NULLABLE) == field.nullable, f"leaf {leaf.id}: NULLABLE differs from field {field.name!r}")


# Values

def itemsize(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def numbers(data: bytes, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    need(dtype != "bool" or not data.translate(None, b"\0\1"), "a bool that is not 0 or 1")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


def build_value(field: Field, cell: CellOf) -> Any:
    if field.kind == "struct":
        present = cell(field.leaves[0]) if field.nullable else b"\1"
        need(present in (None, b"\0", b"\1"), "the presence of a struct is not 0 or 1")
        if present == b"\1":
            return {each.name: build_value(each, cell) for each in field.fields}
        for id in (id for each in walk(field.fields) for id in each.leaves):
            need(not (cell(id) or b"").strip(b"\0"), "a value in an absent struct")
        return None
    first, *others = (cell(id) for id in field.leaves)
    empty_shape = field.kind == "tensor" and field.ndim == 0  # of no bytes, whether it is null or not
    need(empty_shape or all((other is None) == (first is None) for other in others), "one leaf of a field is null, another is not")
    if first is None:
        return None
    if field.kind == "bytes":
        return first
    if field.kind == "str":
        return _text(first)
    if field.kind == "object":
        return unpack_object(first)
    if field.kind == "media":
        return (field.media if field.media is not None else _text(others[0]), first)
    if field.kind in ("array", "tensor"):
        array = numbers(first, field.dtype).reshape(field.shape) if field.kind == "array" else _tensor(field, first, others)
        return array.tolist() if field.list else array
    if field.kind in ("date", "timestamp", "class_label"):
        return _counted(field, int.from_bytes(first, "little", signed=True))
    scalar = numbers(first, field.kind)[0]
    return scalar if field.numpy else scalar.item()


def _counted(field: Field, count: int) -> Any:
    if field.kind == "class_label":
        need(0 <= count < len(field.names), "a class without a name")
        return count
    if field.kind == "date":
        need(-719162 <= count <= 2932896, "a day outside of the years 1 to 9999")
        return np.datetime64(count, "D") if field.numpy else datetime.date(1970, 1, 1) + datetime.timedelta(count)
    if field.unit == "ns":
        need(count != -2**63, "a moment that is NaT")
        return np.datetime64(count, "ns")
    scale = PER_SECOND[field.unit]
    need(-62135596800 * scale <= count < 253402300800 * scale, "a moment outside of the years 1 to 9999")
    if field.numpy:
        return np.datetime64(count, field.unit)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=count * (10**6 // scale))
    if field.tz is None:
        return moment
    moment = moment.replace(tzinfo=datetime.UTC)
    try:
        return moment.astimezone(_zone(field.tz))
    except OverflowError:  # of year 0 or 10000 there
        return moment


def _zone(tz: str) -> datetime.tzinfo:
    if tz[0] in "+-":
        return datetime.datetime.strptime(tz, "%z").tzinfo
    try:
        return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Unsupported(f"time zone {tz!r}") from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Corrupt(f"not UTF-8: {error}") from error


def _tensor(field: Field, data: bytes, others: list[Cell]) -> np.ndarray:
    item = itemsize(field.dtype)
    if field.ndim == 1:
        need(len(data) % item == 0, "a tensor of a broken number of elements")
        return numbers(data, field.dtype)
    need(len(others[0]) % 4 == 0, "a shape is not of u32")
    shape = np.frombuffer(others[0], "<u4").tolist()
    check_shape(shape)
    need(math.prod(shape) * item == len(data), "a tensor whose shape and bytes differ")
    return numbers(data, field.dtype).reshape(shape)


def unpack_object(data: bytes) -> Any:
    options = {"raw": False, "strict_map_key": True, "ext_hook": _extension, "object_pairs_hook": _map}
    try:
        _check_moments([msgpack.unpackb(data, timestamp=0, list_hook=_check_moments, **options)])
        return msgpack.unpackb(data, timestamp=3, **options)
    except ShardError:
        raise
    except (msgpack.StackError, RecursionError) as error:
        raise Limit("an object nested too deep") from error
    except (ValueError, OverflowError, msgpack.UnpackException) as error:
        raise Corrupt(f"not one MessagePack value: {error}") from error


def _extension(code: int, data: bytes) -> Any:
    need(code in (1, 2), f"unknown MessagePack extension {code}")
    if code == 2:
        return _array(msgpack.unpackb(data, raw=False))
    need(NAIVE.fullmatch(data), "extension 1 is not a datetime")
    return datetime.datetime.fromisoformat(data.decode())  # ValueError if it is none


NAIVE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?")


def _array(body: Any) -> np.ndarray:
    need(isinstance(body, list) and len(body) == 3 and isinstance(body[1], list), "an array in an object")
    dtype, shape, values = body
    need(all(type(n) is int and n >= 0 for n in shape), "the shape of an array in an object")
    check_shape(shape)
    if dtype == "str":
        need(isinstance(values, list) and all(isinstance(one, str) for one in values) and len(values) == math.prod(shape), "an array of text")
        need(not any(one.endswith("\0") for one in values), "a text of an array ends in NUL")
        return np.array(values, np.str_).reshape(shape)
    need(dtype in SCALARS and dtype != "bfloat16" and isinstance(values, bytes), "the dtype of an array in an object")
    need(len(values) == itemsize(dtype) * math.prod(shape), "the bytes of an array in an object")
    return numbers(values, dtype).reshape(shape)


def _check_moments(values: list[Any]) -> list[Any]:
    for value in values:
        need(not isinstance(value, msgpack.Timestamp) or value.nanoseconds % 1000 == 0, "a timestamp has a fraction of a microsecond")
    return values


def _map(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    need(all(isinstance(key, str) for key, _ in pairs), "a map key that is not str")
    need(len(dict(pairs)) == len(pairs), "a map with a key twice")
    _check_moments([value for _, value in pairs])
    return dict(pairs)


def build_example(schema: Schema, values: list[Any]) -> Any:
    """A dataclass comes as a dict: the class itself is not in the file."""
    if schema.container in ("dict", "dataclass"):
        return {field.name: value for field, value in zip(schema.fields, values)}
    return {"tuple": tuple, "list": list, "value": lambda v: v[0]}[schema.container](values)


def widen(value: Any, field: Field) -> Any:
    """A value of an older shard as the reading field has it (section 13)."""
    if value is None or field.kind in ("str", "bytes", "object", "media", "struct", "date", "timestamp", "class_label"):
        return value
    stand_in = "float32" if "bfloat16" in (field.kind, field.dtype) else field.dtype or field.kind
    if field.list:
        return [np.dtype(stand_in).type(one).item() for one in value]
    wide = np.asarray(value).astype(stand_in)
    return wide if field.kind in ("array", "tensor") else wide[()] if field.numpy else wide[()].item()
