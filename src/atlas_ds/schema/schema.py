"""A schema: what an example is, as a tree of fields, and its JSON. Inference from examples lives in infer.py."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from atlas_ds._core import base
from atlas_ds.errors import CorruptError, LimitError, SchemaError, UnsupportedError
from atlas_ds.schema.specs import make_field
from atlas_ds.schema.times import zone
from atlas_ds.schema.types import (
    MAX_DEPTH,
    MAX_DIMENSIONS,
    MAX_SHAPE,
    MAX_VALUE,
    SCALARS,
    UNITS,
    WORDS,
    Array,
    ClassLabel,
    Date,
    Field,
    Leaf,
    Media,
    Scalar,
    Struct,
    Tensor,
    Timestamp,
    Type,
    Word,
    number_fields,
    own_leaves,
    walk_leaves,
)
from atlas_ds.text import closest, listed, printable

CONTAINERS = ("dict", "tuple", "list", "dataclass", "value")
MAX_LEAVES = base.MAX_LEAVES
MAX_SCHEMA = 1 << 22  # bytes of its JSON
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]{0,63}|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]")
MEMBERS = {"leaves", "name", "nullable", "type"}  # of a field
FLAGS = {"list", "numpy"}  # that a field may have
TYPE_MEMBERS = {
    "array": {"dtype", "shape"}, "tensor": {"dtype", "ndim"}, "media": {"type"}, "timestamp": {"tz", "unit"}, "class_label": {"names"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of an example and the form they come in. `schema["name"]` is a `Field`.

    Usually made from a dict, tuple or list of types that a writer is given as `schema=`.

    Parameters
    ----------
    fields
        The columns, in order; made by `atlas.types`.
    container
        "dict", "tuple", "list", "dataclass", or "value" for examples that are single values.
    name
        The name of a dataclass.
    """

    fields: tuple[Field, ...]
    container: str = "dict"
    name: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(field.name for field in self.fields)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Physical columns in the order of the leaf table.

        `id`, `path`, `fixed`, `width`, `element`, `signed` and `nullable` of each.
        """
        return tuple(walk_leaves(self.fields))

    def __getitem__(self, name: str) -> Field:
        """Returns one column.

        Parameters
        ----------
        name
            Its name.

        Raises
        ------
        KeyError
            There is none; the text names those that exist.
        """
        for field in self.fields:
            if field.name == name:
                return field
        like = closest(name, self.names, 1) if isinstance(name, str) else []
        cure = f"; did you mean {like[0]!r}?" if like else ""
        raise KeyError(f"no column {name!r:.80}; the columns are {listed(self.names)}{cure}")

    def __repr__(self) -> str:
        shown = ", ".join(f"{printable(field.name, 40)}: {printable(str(field.type), 60)}{' or None' if field.nullable else ''}" for field in self.fields[:12])
        return f"Schema({self.container}: {shown}{', ...' if len(self.fields) > 12 else ''})"

    def __str__(self) -> str:
        lines = [f"{printable(field.name)}: {printable(field.type)}{' or None' if field.nullable else ''}" for field in self.fields]
        return f"{self.container}\n  " + "\n  ".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Returns the schema as a JSON object, as a manifest holds it: see FORMAT.md."""
        out: dict[str, Any] = {"container": self.container, "fields": [_field_json(field) for field in self.fields]}
        if self.name is not None:
            out["name"] = self.name
        return out

    def dumps(self) -> bytes:
        """Returns the canonical JSON (RFC 8785) that shards and manifests hold.

        It has no floats, and the names of its members are ASCII, which sort alike by UTF-16 and by code point.
        """
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def make_schema(spec: Schema | Mapping[str, Any] | tuple[Any, ...] | list[Any] | Any) -> Schema:
    """A schema from what a user writes: a Schema, a dict of name to type, a tuple or list of types, or one type (single values)."""
    if isinstance(spec, Schema):
        return writable(checked(spec))
    if isinstance(spec, Mapping):
        return build_schema("dict", [make_field(name, kind) for name, kind in spec.items()])
    if isinstance(spec, tuple | list):
        return build_schema("tuple" if isinstance(spec, tuple) else "list", [make_field(str(i), kind) for i, kind in enumerate(spec)])
    return build_schema("value", [make_field("value", spec)])


def build_schema(container: str, fields: list[Field], name: str | None = None) -> Schema:
    """Numbers the leaves and checks limits."""
    numbered, _ = number_fields(tuple(fields))
    return writable(checked(Schema(numbered, container, name)))


def writable(schema: Schema) -> Schema:
    """Refuses a schema of whose values no reader would read one. Readers themselves are not asked: they can leave such a column out."""
    _check_writable(schema.fields, "")
    size = len(schema.dumps())
    if size > MAX_SCHEMA:
        raise LimitError(f"the schema takes {size} bytes as JSON; the limit is {MAX_SCHEMA}: use shorter names, or fewer columns")
    return schema


def _check_writable(fields: tuple[Field, ...], prefix: str) -> None:
    for field in fields:
        path, kind = prefix + field.name, field.type
        if isinstance(kind, Scalar | Array | Tensor) and kind.dtype not in SCALARS:
            raise SchemaError(f"column {path!r}: dtype {kind.dtype!r} is not one of {', '.join(SCALARS)}")
        if isinstance(kind, Word) and kind.kind not in WORDS:
            raise SchemaError(f"column {path!r}: type {kind.kind!r} is not one of {', '.join(WORDS)}")
        if isinstance(kind, Tensor) and kind.ndim is not None and not (type(kind.ndim) is int and 0 <= kind.ndim <= MAX_DIMENSIONS):
            raise LimitError(f"column {path!r}: {kind.ndim!r} dimensions; must be 0 to {MAX_DIMENSIONS}, or None")
        if isinstance(kind, Media) and not (kind.type is None or (isinstance(kind.type, str) and kind.type and is_utf8(kind.type))):
            raise SchemaError(f"column {path!r}: {kind.type!r} is not a media type such as 'image/jpeg'")
        if isinstance(kind, Array):
            width = SCALARS[kind.dtype].itemsize * prod(kind.shape)
            if width > MAX_VALUE:
                raise LimitError(f"column {path!r}: a value of {kind} takes {width} bytes; at most {MAX_VALUE} (256 MiB) can be read back: store it in parts")
        if isinstance(kind, Timestamp) and kind.tz is not None:
            try:
                zone(kind.tz)
            except UnsupportedError as cause:
                raise SchemaError(f"column {path!r}: {cause}") from cause
        if isinstance(kind, Struct):
            _check_writable(kind.fields, path + ".")


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold it: no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked(schema: Schema) -> Schema:
    if schema.container not in CONTAINERS or (schema.name is not None) != (schema.container == "dataclass"):
        raise SchemaError(f"container {schema.container!r}, name {schema.name!r}: one of {', '.join(CONTAINERS)}; a dataclass has a name, no other has one")
    if not schema.fields:
        raise SchemaError("an example needs at least one column")
    _check_fields(schema.fields, 0)
    places = tuple(map(str, range(len(schema.fields))))
    if schema.names != {"tuple": places, "list": places, "value": ("value",)}.get(schema.container, schema.names):
        raise SchemaError(f"columns of a {schema.container} are named {'value' if schema.container == 'value' else '0, 1, ...'}, not {', '.join(schema.names)}")
    leaves = schema.leaves
    if not leaves or len(leaves) > MAX_LEAVES:
        raise LimitError(f"the schema has {len(leaves)} columns after flattening; the limit is {MAX_LEAVES} (put many small values in one array)")
    return schema


def _check_fields(fields: tuple[Field, ...], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise LimitError(f"dicts are nested deeper than {MAX_DEPTH}")
    seen = set()
    for field in fields:
        if not isinstance(field.name, str):
            raise SchemaError(f"keys of examples must be str, got {field.name!r}")
        try:
            field.name.encode()
        except UnicodeEncodeError:
            raise SchemaError(f"key {field.name!r} has a lone surrogate, which UTF-8 cannot hold") from None
        if field.name in seen:
            raise SchemaError(f"column {field.name!r} appears twice")
        seen.add(field.name)
        if (why := fault_of(field.type)) is not None:
            raise SchemaError(f"column {field.name!r}: {why}")
        if field.nullable and field.type == Word("object"):
            raise SchemaError(f"column {field.name!r}: an object is not nullable: None is one of its values")
        check_shape(field)
        if any(width > 1 << 30 for _, _, width, _, _ in own_leaves(field)):
            raise LimitError(f"column {field.name!r}: a value of {field.type} is larger than 1 GiB")
        if isinstance(field.type, Struct):
            if not field.type.fields:
                raise SchemaError(f"column {field.name!r}: a struct needs at least one key (an empty dict is stored as type 'object')")
            _check_fields(field.type.fields, depth + 1)


def check_shape(field: Field) -> None:
    """Refuses an array or a tensor of more dimensions or elements than a reader takes."""
    match field.type:
        case Array(_, shape) if any(n < 0 for n in shape):
            raise LimitError(f"column {field.name!r}: shape {shape} has a negative length")
        case Array(_, shape) if len(shape) > MAX_DIMENSIONS:
            raise LimitError(f"column {field.name!r}: shape {shape} has more than {MAX_DIMENSIONS} dimensions")
        case Array(_, shape) if prod(n or 1 for n in shape) > MAX_SHAPE:
            raise LimitError(f"column {field.name!r}: shape {shape}: its lengths multiply to more than 2^30")
        case Tensor(_, ndim) if ndim is not None and ndim > MAX_DIMENSIONS:
            raise LimitError(f"column {field.name!r}: a tensor of {ndim} dimensions; the limit is {MAX_DIMENSIONS}")


def with_all_names(one: Schema, other: Schema) -> Schema | None:
    """A schema that both are, but for classes at the end of a class label that one of them lacks; None if they differ in anything else."""
    if one == other:
        return one
    fields = _with_all_names(one.fields, other.fields)
    return replace(one, fields=fields) if fields is not None and (one.container, one.name) == (other.container, other.name) else None


def _with_all_names(fields: tuple[Field, ...], others: tuple[Field, ...]) -> tuple[Field, ...] | None:
    out = []
    for field, other in zip(fields, others, strict=False):
        kind, second = field.type, other.type
        if isinstance(kind, Struct) and isinstance(second, Struct):
            inner = _with_all_names(kind.fields, second.fields)
            if inner is None:
                return None
            kind = second = Struct(inner)
        elif isinstance(kind, ClassLabel) and isinstance(second, ClassLabel):
            joined = all_names(kind, second)
            if joined is None:
                return None
            kind = second = joined
        if replace(field, type=kind) != replace(other, type=second):
            return None
        out.append(replace(field, type=kind))
    return tuple(out) if len(fields) == len(others) else None


def all_names(one: ClassLabel, other: ClassLabel) -> ClassLabel | None:
    """The label that has more classes, if it only adds some at the end of the other's: then numbers mean the same in both."""
    longer, shorter = (one, other) if len(one.names) > len(other.names) else (other, one)
    return longer if longer.names[: len(shorter.names)] == shorter.names else None


def first_difference(given: Schema, there: Schema) -> str:
    """In what a schema differs first from that of data, in words."""
    if (given.container, given.name) != (there.container, there.name):
        return f"an example is a {given.name or given.container}, not a {there.name or there.container}"
    fields = {field.name: field for field in given.fields}
    for other in there.fields:
        field = fields.get(other.name)
        if field is None:
            return f"it lacks column {other.name!r} ({_shown(other)})"
        both_labels = isinstance(field.type, ClassLabel) and isinstance(other.type, ClassLabel)
        if isinstance(field.type, ClassLabel) and isinstance(other.type, ClassLabel) and all_names(field.type, other.type) is None:
            return f"column {other.name!r} has other classes: names may only be added at the end of {listed(other.type.names)}"
        if _shown(field) != _shown(other) and not (both_labels and field.nullable == other.nullable):
            return f"column {other.name!r} is {_shown(field)}, not {_shown(other)}"
    more = next((name for name in given.names if name not in there.names), None)
    if more is not None:
        return f"there is no column {more!r}"
    return f"the columns are {', '.join(there.names)}, in this order, each of the same type" if given.names != there.names else f"the schema is\n{there}"


def _shown(field: Field) -> str:
    return f"nullable({field.type})" if field.nullable else f"{field.type}{' of NumPy' if field.numpy else ''}"


def has_labels(fields: tuple[Field, ...]) -> bool:
    """Whether there is a class label among fields."""
    return any(isinstance(field.type, ClassLabel) or (isinstance(field.type, Struct) and has_labels(field.type.fields)) for field in fields)


def fault_of(kind: Type) -> str | None:
    """Why a type is none, or None."""
    match kind:
        case Array(_, shape, True) if len(shape) != 1:
            return f"a list has one dimension, not {len(shape)}"
        case Tensor(_, ndim, True) if ndim != 1:
            return f"a list has one dimension, not {ndim}"
        case Timestamp(unit, tz):
            if unit not in UNITS:
                return f"the unit of a timestamp is one of {', '.join(UNITS)}, not {unit!r}"
            if tz is not None and not (isinstance(tz, str) and ZONE.fullmatch(tz)):
                return f"{tz!r} is not the name of a time zone such as 'UTC', 'Europe/Berlin' or '+02:00'"
        case ClassLabel(names):
            if not names or not all(isinstance(name, str) and is_utf8(name) for name in names):
                return "a class label needs at least one name, and names are str that UTF-8 can hold"
            if len(set(names)) != len(names):
                twice = next(name for k, name in enumerate(names) if name in names[:k])
                return f"two classes have the name {twice!r}"
        case Media(type) if type is not None and not is_utf8(type):
            return f"{type!r} has a lone surrogate, which UTF-8 cannot hold"
    return None


def _field_json(field: Field) -> dict[str, Any]:
    out: dict[str, Any] = {"leaves": list(field.leaves), "name": field.name, "nullable": field.nullable, "type": _type_json(field.type)}
    if field.numpy:
        out["numpy"] = True
    if isinstance(field.type, Array | Tensor) and field.type.list:
        out["list"] = True
    return out


def _type_json(kind: Type) -> Any:
    match kind:
        case Scalar(dtype):
            return dtype
        case Word(word):
            return word
        case Array(dtype, shape):
            return {"array": {"dtype": dtype, "shape": list(shape)}}
        case Tensor(dtype, ndim):
            return {"tensor": {"dtype": dtype, "ndim": ndim}}
        case Timestamp(unit, tz):
            return {"timestamp": {"tz": tz, "unit": unit}}
        case Date():
            return "date"
        case ClassLabel(names):
            return {"class_label": {"names": list(names)}}
        case Media(type):
            return {"media": {"type": type}}
        case Struct(fields):
            return {"struct": [_field_json(field) for field in fields]}


def schema_from_json(data: Any, *, where: str) -> Schema:
    """Reads a schema of a file; where names the file in errors."""
    if not isinstance(data, dict) or data.get("container") not in CONTAINERS or not isinstance(data.get("fields"), list):
        raise CorruptError(f"{where}: schema: container or fields are missing or wrong")
    if not set(data) <= {"container", "fields", "name"} or not isinstance(data.get("name", ""), str):
        raise CorruptError(f"{where}: schema: it has a member that is not container, fields or name, or name is not text")
    schema = Schema(_fields_from_json(data["fields"], where, 0), data["container"], data.get("name"))
    try:
        return checked(schema)
    except SchemaError as cause:
        raise CorruptError(f"{where}: schema: {cause}") from cause
    except LimitError as cause:
        raise LimitError(f"{where}: schema: {cause}") from cause


def _fields_from_json(data: list[Any], where: str, depth: int) -> tuple[Field, ...]:
    if depth > MAX_DEPTH:
        raise LimitError(f"{where}: schema: dicts are nested deeper than {MAX_DEPTH}")
    out = []
    for item in data:
        if not isinstance(item, dict) or not MEMBERS <= set(item) <= MEMBERS | FLAGS:
            raise CorruptError(f"{where}: schema: a field is not {{leaves, name, nullable, type}}")
        if not all(item.get(flag, True) is True for flag in FLAGS):
            raise CorruptError(f"{where}: schema: field {str(item['name'])[:80]!r}: list and numpy are true, or absent")
        name, leaves, null = item["name"], item["leaves"], item["nullable"]
        good_leaves = isinstance(leaves, list) and all(type(i) is int and 0 <= i < 65536 for i in leaves)
        if not isinstance(name, str) or not good_leaves or type(null) is not bool:
            raise CorruptError(f"{where}: schema: field {str(name)[:80]!r} has a member of the wrong type")
        kind = _type_from_json(item["type"], where, depth)
        if "list" in item:
            if not isinstance(kind, Array | Tensor):
                raise CorruptError(f"{where}: schema: field {name[:80]!r}: only an array or a tensor is a list")
            kind = replace(kind, list=True)
        if "numpy" in item and not isinstance(kind, Scalar | Timestamp | Date):
            raise CorruptError(f"{where}: schema: field {name[:80]!r}: only a number, a timestamp or a date is returned as a NumPy scalar")
        field = Field(name, kind, null, "numpy" in item, tuple(leaves))
        if len(leaves) != len(own_leaves(field)):
            raise CorruptError(f"{where}: schema: field {name!r} has {len(leaves)} leaves, its type needs {len(own_leaves(field))}")
        out.append(field)
    return tuple(out)


def _type_from_json(data: Any, where: str, depth: int) -> Type:
    if isinstance(data, str):
        if data in SCALARS:
            return Scalar(data)
        if data in WORDS:
            return Word(data)
        if data == "date":
            return Date()
        raise UnsupportedError(f"{where}: schema: type {data[:40]!r} is not known, and no feature bit declares it")
    if not isinstance(data, dict) or len(data) != 1:
        raise CorruptError(f"{where}: schema: a type is not a name or an object of one member")
    ((kind, body),) = data.items()
    if kind == "struct":
        if not isinstance(body, list):
            raise CorruptError(f"{where}: schema: the fields of a struct are not a list")
        return Struct(_fields_from_json(body, where, depth + 1))
    members = TYPE_MEMBERS.get(kind)
    if members is None:
        raise UnsupportedError(f"{where}: schema: type {str(kind)[:40]!r} is not known, and no feature bit declares it")
    if not isinstance(body, dict) or set(body) != members or ("dtype" in members and not isinstance(body["dtype"], str)):
        raise CorruptError(f"{where}: schema: the members of type {kind} are wrong")
    if "dtype" in members and body["dtype"] not in SCALARS:
        raise UnsupportedError(f"{where}: schema: dtype {body['dtype'][:40]!r} is not known, and no feature bit declares it")
    if kind == "array":
        shape = body["shape"]
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise CorruptError(f"{where}: schema: shape of an array is wrong")
        return Array(body["dtype"], tuple(shape))
    if kind == "tensor":
        if body["ndim"] is not None and not (type(body["ndim"]) is int and body["ndim"] >= 0):
            raise CorruptError(f"{where}: schema: ndim of a tensor is wrong")
        return Tensor(body["dtype"], body["ndim"])
    if kind == "timestamp":
        return Timestamp(body["unit"], body["tz"])
    if kind == "class_label":
        names = body["names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CorruptError(f"{where}: schema: the names of classes are not a list of text")
        return ClassLabel(tuple(names))
    if body["type"] is not None and not isinstance(body["type"], str):
        raise CorruptError(f"{where}: schema: type of a media field is wrong")
    return Media(body["type"])
