"""Merges the schemas of files that differ harmlessly: in the order of columns, in width, in the
storage of texts and lists.

A column that only some files have, and types with different meanings, are errors that name both
files and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.exported_types import own_fields
from atlas_ds.bridge.arrow.python_values import bare, is_list, is_text, plain_values
from atlas_ds.bridge.files.table import check_width, one_lacks
from atlas_ds.errors import SchemaError
from atlas_ds.schema.types import Field

Feature = dict[str, Any]
MAX_DECIMAL = 76  # digits
FLOAT_BITS = {16: 11, 32: 24, 64: 53}  # floats of these sizes hold all integers of this many bits
UNITS = ("s", "ms", "us", "ns")


class Differ(Exception):
    """Two types that cannot be merged."""


def check_schema(path: Path | str, schema: Any) -> None:
    """SchemaError for duplicate names: the rows of Atlas are dicts."""
    names = schema.names
    if not names:
        raise SchemaError(f"{path}: no columns; nothing to convert")
    _check_names(f"{path}: ", names)
    check_width(Path(path), len(names))
    for column in schema:
        _check_inner(f"{path}: column {column.name!r}: ", column.type)


def _check_names(place: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SchemaError(f"{place}two columns are called {name!r}, and a dict holds only one; rename one of them")
        seen.add(name)
        if not name:
            raise SchemaError(f"{place}a column has no name; give it one")


def _check_inner(place: str, kind: Any) -> None:
    import pyarrow.types as t

    kind = bare(kind)
    if t.is_union(kind):
        raise SchemaError(f"{place}{kind} is a union, which Atlas has no type for; cast it to one type, or drop it")
    if t.is_struct(kind):
        _check_names(place, [field.name for field in kind])
        for field in kind:
            _check_inner(f"{place}{field.name}: ", field.type)
    elif t.is_map(kind):
        _check_inner(place, kind.key_type)
        _check_inner(place, kind.item_type)
    elif is_list(kind):
        _check_inner(place, kind.value_type)


def merge_schemas(files: Sequence[tuple[Path, Any]]) -> Any:
    """The merged schema of all files, in the first one's order."""
    import pyarrow as pa

    first, merged = files[0]
    for path, schema in files[1:]:
        if schema.equals(merged):
            continue
        only_one = set(merged.names) ^ set(schema.names)
        for name in (*merged.names, *schema.names) if only_one else ():
            if name in only_one:
                has, lacks = (path, first) if name in schema.names else (first, path)
                raise one_lacks(lacks, has, name, "a column of nulls")
        merged = pa.schema([_merge_field(files, path, field, schema.field(field.name)) for field in merged])
    return merged


def _merge_field(files: Sequence[tuple[Path, Any]], path: Path, one: Any, other: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.field(one.name, merge_types(one.type, other.type))
    except Differ as error:
        before = next(earlier for earlier, schema in files if str(schema.field(one.name).type) != "null")
        raise SchemaError(f"{path}: column {one.name!r} is {other.type}, but {one.type} in {before}{error}; cast one of them to the other's type") from error


def merge_types(one: Any, other: Any) -> Any:
    """The narrowest type that holds the values of both exactly. Integers merged with decimals
    are checked value by value when they are cast."""
    import pyarrow as pa
    import pyarrow.types as t

    if one == other:
        return one
    if t.is_null(one) or t.is_null(other):
        return other if t.is_null(one) else one
    a, b = bare(one), bare(other)
    if a == b:
        return a
    if is_text(a) and is_text(b):
        return pa.large_string()
    if _is_bytes(a) and _is_bytes(b):
        return pa.large_binary()
    if _is_number(a) and _is_number(b):
        return _merge_numbers(a, b)
    if is_list(a) and is_list(b):
        return pa.large_list(merge_types(a.value_type, b.value_type))
    if t.is_struct(a) and t.is_struct(b):
        return _merge_structs(a, b)
    if t.is_map(a) and t.is_map(b):
        return pa.map_(merge_types(a.key_type, b.key_type), merge_types(a.item_type, b.item_type))
    if t.is_decimal(a) and t.is_decimal(b):
        return _merge_decimals(a, b)
    return _merge_times(a, b)


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_integer(kind) or t.is_floating(kind))


def _merge_numbers(a: Any, b: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as t

    floats = {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}
    if t.is_floating(a) or t.is_floating(b):
        bits = {size: [size if t.is_floating(kind) else FLOAT_BITS[size] + t.is_signed_integer(kind) - 1 for kind in (a, b)] for size in (16, 32)}
        return floats[next((size for size in (16, 32) if all(kind.bit_width <= limit for kind, limit in zip((a, b), bits[size], strict=True))), 64)]
    signed = t.is_signed_integer(a) or t.is_signed_integer(b)
    need = max(kind.bit_width + (signed and not t.is_signed_integer(kind)) for kind in (a, b))
    for wanted in (8, 16, 32, 64):
        if wanted >= need:
            return getattr(pa, f"{'int' if signed else 'uint'}{wanted}")()
    raise Differ("")


def _merge_structs(a: Any, b: Any) -> Any:
    import pyarrow as pa

    names, others = [field.name for field in a], [field.name for field in b]
    only_one = set(names) ^ set(others)
    lacking = next((name for name in (*names, *others) if name in only_one), None)
    if lacking is not None:
        raise Differ(f" (only one of them has the field {lacking!r})")
    return pa.struct([pa.field(field.name, merge_types(field.type, b.field(field.name).type)) for field in a])


def _merge_decimals(a: Any, b: Any) -> Any:
    import pyarrow as pa

    scale = max(a.scale, b.scale)
    digits = max(a.precision - a.scale, b.precision - b.scale) + scale
    if digits > MAX_DECIMAL:
        raise Differ("")
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def _merge_times(a: Any, b: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_timestamp(a) and t.is_timestamp(b) and a.tz == b.tz:
        return pa.timestamp(_finer(a, b), tz=a.tz)
    if t.is_duration(a) and t.is_duration(b):
        return pa.duration(_finer(a, b))
    if t.is_time(a) and t.is_time(b):
        return pa.time64("ns" if "ns" in (a.unit, b.unit) else "us")
    if t.is_date(a) and t.is_date(b):
        return pa.date64()
    raise Differ("")


def _finer(a: Any, b: Any) -> str:
    return max(str(a.unit), str(b.unit), key=UNITS.index)


def fit(array: Any, kind: Any) -> Any:
    """The array cast to the merged type. SchemaError for values that it cannot hold exactly."""
    import pyarrow as pa
    import pyarrow.types as t

    if array.type == kind:
        return array
    if t.is_null(array.type):
        return pa.nulls(len(array), kind)
    try:
        if not _has_views(array.type):
            with suppress(pa.ArrowNotImplementedError):
                return array.cast(kind)
        return pa.array(plain_values(array), kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SchemaError(f"{array.type} where other files have {kind}: {error}; cast the column to one type") from error


def _has_views(kind: Any) -> bool:
    """Whether lists inside a type are views, which pyarrow's cast (26.0) silently makes empty."""
    import pyarrow.types as t

    kind = bare(kind)
    if t.is_struct(kind):
        return any(_has_views(field.type) for field in kind)
    if t.is_map(kind):
        return _has_views(kind.item_type)
    return is_list(kind) and (t.is_list_view(kind) or t.is_large_list_view(kind) or _has_views(kind.value_type))


def merge_features(files: Sequence[tuple[Path | str, dict[str, Feature]]]) -> dict[str, Feature]:
    """Hugging Face's features of the columns of all files. Labels and media kinds that differ
    are an error."""
    merged: dict[str, Feature] = {}
    source: dict[str, Path | str] = {}
    for path, features in files:
        for name, feature in features.items():
            known = merged.setdefault(name, feature)
            if _meaning(known) != _meaning(feature):
                raise SchemaError(
                    f"{path}: column {name!r} is {_shown(feature)}, but {_shown(known)} in {source[name]}; give both the same labels and type,"
                    " or convert them as two datasets"
                )
            source.setdefault(name, path)
    return merged


def _meaning(feature: Feature) -> tuple[object, object]:
    kind = str(feature.get("_type"))
    return (kind if kind in ("ClassLabel", "Image", "Audio", "Video") else "", feature.get("names"))


def _shown(feature: Feature) -> str:
    names = feature.get("names")
    return f"{feature.get('_type')} of {json.dumps(names)[:80]}" if names else str(feature.get("_type"))


def merge_own(files: Sequence[tuple[Path, Any]]) -> dict[str, Field]:
    """The recorded Atlas fields of exported columns, if all files agree."""
    found = [(path, own_fields(schema, str(path))) for path, schema in files]
    first, merged = found[0]
    for path, fields in found[1:]:
        for name, field in fields.items():
            if name in merged and _same(field) != _same(merged[name]):
                raise SchemaError(f"{path}: column {name!r} was exported as {field.type}, but as {merged[name].type} in {first}; export both with one type")
        merged = {name: replace(field, nullable=field.nullable or fields[name].nullable) for name, field in merged.items() if name in fields}
    return merged


def _same(field: Field) -> Field:
    """A field without the parts that may differ between files."""
    return replace(field, nullable=False, leaves=())
