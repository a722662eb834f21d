"""Converts Arrow columns to Python values: numbers, strings, bytes, lists, dicts, datetimes. Exact,
or a SchemaError that says what would be lost.

Decimals, times and durations become text; maps become dicts if their keys are text, else lists of
pairs. Dates become text where they are part of an object, which cannot hold them. numpy_lists.py
makes NumPy arrays.
"""

from __future__ import annotations

from typing import Any

from atlas_ds.bridge.arrow.moments import moments
from atlas_ds.errors import SchemaError

Values = list[Any]


def plain_values(array: Any, *, typed: bool = False) -> Values:
    """The values of an array; a null is None. typed: they are a column, or a field of a struct in
    one, and not part of an object: dates and timestamps become datetime64."""
    import pyarrow.types as t

    array = bare_array(array)
    kind = array.type
    if typed and (t.is_timestamp(kind) or t.is_date(kind)):
        return moments(array)
    if is_text_like(kind) or t.is_date(kind):
        return _texts(array)
    if t.is_timestamp(kind):
        return _datetimes(array)
    if t.is_interval(kind):
        return [None if value is None else dict(zip(("months", "days", "nanoseconds"), value, strict=True)) for value in array.to_pylist()]
    if t.is_map(kind):
        return _maps(array)
    if t.is_struct(kind):
        return _dicts(array, typed)
    if is_list(kind):
        return _lists(array, plain_values(array.flatten()))
    if t.is_float16(kind):
        return [None if value is None else float(value) for value in array.to_pylist()]
    return list(array.to_pylist())


def bare_array(array: Any) -> Any:
    """The array without wrappers around its values: extension types, dictionaries, run ends."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return bare_array(array.storage.cast(pa.bool_()) if is_bool8(kind) else array.storage)
    if t.is_dictionary(kind):
        return bare_array(array.dictionary_decode())
    return bare_array(pc.run_end_decode(array)) if t.is_run_end_encoded(kind) else array


def bare(kind: Any) -> Any:
    """The type of the array that `bare_array` returns."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(kind, pa.BaseExtensionType):
        return pa.bool_() if is_bool8(kind) else bare(kind.storage_type)
    return bare(kind.value_type) if t.is_dictionary(kind) or t.is_run_end_encoded(kind) else kind


def is_bool8(kind: Any) -> bool:
    return getattr(kind, "extension_name", "") == "arrow.bool8"


def is_text_like(kind: Any) -> bool:
    """Types that Atlas does not have, and whose text keeps the complete value."""
    import pyarrow.types as t

    return bool(t.is_decimal(kind) or t.is_time(kind) or t.is_duration(kind))


def is_list(kind: Any) -> bool:
    import pyarrow.types as t

    checks = (t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_list_view, t.is_large_list_view)
    return any(check(kind) for check in checks)


def _texts(array: Any) -> Values:
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_duration(array.type):
        return [None if value is None else f"{value} {array.type.unit}" for value in array.cast(pa.int64()).to_pylist()]
    return list(array.cast(pa.string()).to_pylist())


def _datetimes(array: Any) -> Values:
    import pyarrow as pa

    try:
        return list(array.cast(pa.timestamp("us", tz="UTC" if array.type.tz else None)).to_pylist())
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise SchemaError(f"too fine or out of range for a datetime: {error}; cast it to int64 or to text") from error


def _lists(array: Any, values: Values) -> Values:
    import pyarrow as pa

    lengths = array.value_lengths().to_pylist() if not isinstance(array.type, pa.FixedSizeListType) else _same_lengths(array)
    found: Values = []
    at = 0
    for length in lengths:
        found.append(None if length is None else values[at : at + length])
        at += length or 0
    return found


def _same_lengths(array: Any) -> list[int | None]:
    size = array.type.list_size
    return [size if valid else None for valid in array.is_valid().to_pylist()]


def _dicts(array: Any, typed: bool) -> Values:
    names = [field.name for field in array.type]
    valid = array.is_valid().to_pylist()
    if not names:
        return [{} if ok else None for ok in valid]
    columns = [plain_values(column, typed=typed) for column in array.flatten()]
    return [dict(zip(names, row, strict=True)) if ok else None for ok, row in zip(valid, zip(*columns, strict=True), strict=True)]


def _maps(array: Any) -> Values:
    import pyarrow as pa
    import pyarrow.types as t

    key_type = bare(array.type.key_type)
    lists = array.cast(pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])))
    keys, items = (plain_values(column) for column in lists.flatten().flatten())
    pairs = _lists(lists, [list(pair) for pair in zip(keys, items, strict=True)])
    if not is_text(key_type) or t.is_null(key_type):
        return pairs
    return [None if row is None else _dict_of(row) for row in pairs]


def _dict_of(pairs: list[list[Any]]) -> dict[str, Any]:
    found = {str(key): value for key, value in pairs}
    if len(found) != len(pairs):
        raise SchemaError("a map with a duplicate key, which a dict cannot hold; cast the column to a list of structs")
    return found


def is_text(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))
