"""Converts the columns of add_batch into what each leaf stores. The inverse of batch()."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.arrays import convert, scalar_bytes, to_array
from atlas_ds.schema.bfloat16 import widen_bfloat16
from atlas_ds.schema.describe import describe, is_bfloat16, is_tensor
from atlas_ds.schema.fits import SAY_NULLABLE, as_numpy, check_size, unmasked
from atlas_ds.schema.labels import number_of, numbers_in
from atlas_ds.schema.media import to_bytes, to_media
from atlas_ds.schema.named_fields import as_dict
from atlas_ds.schema.nulls import is_null, nulls_of
from atlas_ds.schema.objects import pack
from atlas_ds.schema.ragged import Ragged
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.times import count_of, counts_of, is_nat
from atlas_ds.schema.types import SCALARS, Array, ClassLabel, Date, Field, Media, Scalar, Struct, Tensor, Timestamp, Word, own_leaves
from atlas_ds.text import listed

STEP_BYTES = 1 << 20
SAMPLE_VALUES = 16  # by which the size of a column's values is estimated
Taker = Callable[[int, int], Any]


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices of all leaves. step: how many rows to convert at a time."""

    takers: tuple[Taker, ...]
    step: int

    def take(self, start: int, stop: int) -> list[Any]:
        return [taker(start, stop) for taker in self.takers]


def to_leaf_arrays(columns: Any, schema: Schema) -> tuple[int, Slices]:
    """Returns the number of rows, and an object that converts slices of them."""
    values = [as_column(value, field, field.name) for field, value in zip(schema.fields, _columns_of(columns, schema), strict=True)]
    count = count_rows(dict(zip(schema.names, values, strict=True)))
    takers: list[Taker] = []
    row_bytes = 1
    for field, value in zip(schema.fields, values, strict=True):
        row_bytes += _add(takers, field, value, field.name, count, None)
    return count, Slices(tuple(takers), max(1, min(1024, STEP_BYTES // row_bytes)))


def slice_leaves(leaves: list[Any], start: int, stop: int) -> list[Any]:
    """Rows [start, stop) of what Slices.take returned: values, or (values, which are valid), of each leaf."""
    return [tuple(part[start:stop] for part in leaf) if isinstance(leaf, tuple) else leaf[start:stop] for leaf in leaves]


def _columns_of(columns: Any, schema: Schema) -> list[Any]:
    if schema.container in ("dict", "dataclass"):
        if not isinstance(columns, dict):
            cure = "; extend(examples) takes a list of examples" if isinstance(columns, list | tuple) else ""
            raise SchemaError(f"add_batch expects a dict of columns {listed(schema.names)}, got {describe(columns)}{cure}")
        unknown = [name for name in columns if name not in schema.names]
        if unknown:
            raise SchemaError(f"unknown column {unknown[0]!r}: the schema has {', '.join(schema.names)}")
        return [columns.get(name) for name in schema.names]
    if schema.container == "value":
        return [columns]
    if not isinstance(columns, tuple | list) or len(columns) != len(schema.fields):
        raise SchemaError(f"add_batch expects a {schema.container} of {len(schema.fields)} columns, got {describe(columns)}")
    return list(columns)


def as_column(column: Any, field: Field | None, path: str) -> Any:
    """Returns a column as an array, a Ragged, a sequence, or a dict of such; None for a column that is left out. SchemaError for others.

    field: None while the schema is unknown.
    """
    if column is None:
        return None
    if isinstance(column, Mapping):
        if field is None:
            return {name: as_column(inner, None, f"{path}.{name}" if path else str(name)) for name, inner in column.items()}
        return _struct_columns(column, field, path)
    module = type(column).__module__.partition(".")[0]
    if module == "pyarrow" and hasattr(column, "to_pylist"):
        return column.to_pylist()
    if module == "polars" and hasattr(column, "to_list"):
        return column.to_list()
    if module == "pandas":
        raise SchemaError(f"column {path!r}: a pandas {type(column).__name__} is not accepted as a column: give value.to_numpy() or value.tolist()")
    if is_tensor(column):
        bits = as_numpy(column, path)
        keeps_bits = field is not None and isinstance(field.type, Scalar | Array | Tensor) and field.type.dtype == "bfloat16"
        column = (column.detach() if keeps_bits and bits.ndim else widen_bfloat16(bits)) if is_bfloat16(column) else bits
    if isinstance(column, Ragged):
        return _checked_ragged(column, path)
    if isinstance(column, str | bytes | bytearray) or not hasattr(column, "__len__") or not hasattr(column, "__getitem__"):
        raise SchemaError(f"column {path!r}: expected a column (an array with a leading row axis, or a list), got {describe(column)}{_column_cure(column)}")
    if getattr(column, "shape", None) == ():
        raise SchemaError(f"column {path!r}: expected a column (an array with a leading row axis, or a list), got {describe(column)}: it has no axis of rows")
    return column


def _column_cure(column: Any) -> str:
    if hasattr(column, "__iter__") and not isinstance(column, str | bytes | bytearray):
        return ": give list(...) of it"
    return ": give [value] for one row, or use add_example"


def _struct_columns(column: Mapping[str, Any], field: Field, path: str) -> dict[str, Any]:
    kind = field.type
    if not isinstance(kind, Struct):
        raise SchemaError(f"column {path!r}: expected {kind}, got a dict of columns")
    names = [inner.name for inner in kind.fields]
    unknown = [name for name in column if name not in names]
    if unknown:
        raise SchemaError(f"unknown column {f'{path}.{unknown[0]}'!r}: the schema has {', '.join(names)}")
    return {inner.name: as_column(column.get(inner.name), inner, f"{path}.{inner.name}") for inner in kind.fields}


def _checked_ragged(column: Ragged, path: str) -> Ragged:
    offsets = np.asarray(column.offsets)
    good = offsets.ndim == 1 and offsets.size and offsets.dtype.kind in "iu" and offsets[0] >= 0 and (np.diff(offsets.astype(np.int64)) >= 0).all()
    if not good or offsets[-1] > len(column.values):
        raise SchemaError(f"column {path!r}: Ragged.offsets must be ints in ascending order, from 0 to at most len(values)")
    for name in ("shapes", "mask"):
        part = getattr(column, name)
        if part is not None and len(part) != len(column):
            raise SchemaError(f"column {path!r}: Ragged.{name} has {len(part)} rows, but its offsets have {len(column)}")
    return column


def count_rows(columns: dict[str, Any]) -> int:
    """Returns the number of rows of the columns. SchemaError names a column that has more or fewer than the first."""
    lengths = dict(_lengths(columns, ""))
    if not lengths:
        raise SchemaError(f"no column has rows: {', '.join(columns) or 'there are no columns'}")
    first, count = next(iter(lengths.items()))
    odd = next(((name, length) for name, length in lengths.items() if length != count), None)
    if odd is not None:
        raise SchemaError(f"the columns have different lengths: {first!r} has {count} rows, {odd[0]!r} has {odd[1]}")
    return count


def _lengths(columns: dict[str, Any], prefix: str) -> list[tuple[str, int]]:
    out: list[tuple[str, int]] = []
    for name, column in columns.items():
        if isinstance(column, dict):
            out += _lengths(column, f"{prefix}{name}.")
        elif column is not None:
            out.append((f"{prefix}{name}", len(column)))
    return out


def first_rows(columns: Any, most: int) -> list[Any]:
    """Returns the first rows of columns, as examples; None where a row is masked."""
    if isinstance(columns, tuple):
        named = {str(i): as_column(column, None, str(i)) for i, column in enumerate(columns)}
        count = min(most, count_rows(named))
        return [tuple(_value(column, i) for column in named.values()) for i in range(count)]
    column = as_column(columns, None, "" if isinstance(columns, Mapping) else "value")
    if isinstance(column, dict):
        count = min(most, count_rows(column))
        return [row_of(column, i) for i in range(count)]
    return [_value(column, i) for i in range(min(most, count_rows({"value": column})))]


def row_of(columns: dict[str, Any], i: int) -> dict[str, Any]:
    """Returns one row of columns, as an example."""
    return {name: _value(column, i) for name, column in columns.items()}


def _value(column: Any, i: int) -> Any:
    """Returns one row of a column, as it is in an example; a struct whose fields are all None is None."""
    if column is None:
        return None
    if isinstance(column, dict):
        row = {name: _value(inner, i) for name, inner in column.items()}
        return None if all(value is None for value in row.values()) else row
    value = column[i]
    return None if is_null(value) else value


# --- leaves ---


def _add(takers: list[Taker], field: Field, column: Any, path: str, count: int, present: np.ndarray | None) -> int:
    """Appends the takers of a field's leaves; returns the approximate bytes of a row. present: rows whose struct is; None: all."""
    kind = field.type
    if isinstance(kind, Struct):
        return _add_struct(takers, field, kind, column, path, count, present)
    if column is None:
        if not field.nullable and kind != Word("object") and (present is None or present.any()):
            raise SchemaError(f"column {path!r} is missing: {SAY_NULLABLE}")
        column = [None] * count
    if isinstance(column, dict):
        raise SchemaError(f"column {path!r}: expected {kind}, got a dict of columns")
    quick = _quick_taker(field, column, path, present)
    if quick is not None:
        takers.append(quick[0])
        return quick[1]
    pairs = _converted(field, column, path, present)
    for k in range(len(own_leaves(field))):
        takers.append(lambda start, stop, k=k: [row if row is None else row[k] for row in pairs(start, stop)])  # type: ignore[misc]
    return _row_bytes(column)


def _add_struct(takers: list[Taker], field: Field, kind: Struct, column: Any, path: str, count: int, present: np.ndarray | None) -> int:
    gone = None
    if column is None:
        gone = np.ones(count, np.bool_)
    elif not isinstance(column, dict):
        column, gone = _rows_to_columns(column, field, kind, path)
    elif field.nullable:
        gone = nulls_of(column, count)
    columns = column or {}
    if field.nullable:
        assert gone is not None
        present = ~gone if present is None else present & ~gone
        flags = present.view(np.uint8)
        takers.append(lambda start, stop: flags[start:stop])
    elif gone is not None and gone.any() and (present is None or present[gone].any()):
        row = int(np.argmax(gone if present is None else gone & present))
        raise SchemaError(f"row {row} of the batch: column {path!r}: expected {kind}, got None: {SAY_NULLABLE}")
    return 1 + sum(_add(takers, inner, columns.get(inner.name), f"{path}.{inner.name}", count, present) for inner in kind.fields)


def _rows_to_columns(rows: Any, field: Field, kind: Struct, path: str) -> tuple[dict[str, Any], np.ndarray]:
    """Returns a list of dicts as a dict of columns, and which of them are None."""
    rows = [row if given is None else given for row, given in ((rows[i], as_dict(rows[i])) for i in range(len(rows)))]
    names = {inner.name for inner in kind.fields}
    gone = np.array([is_null(row) and not is_nat(row) for row in rows], np.bool_)
    for number, row in enumerate(rows):
        if not gone[number] and not (isinstance(row, dict) and row.keys() <= names):
            raise SchemaError(f"row {number} of the batch: column {path!r}: expected {kind}, got {describe(row)}")
    columns = {name: [None if null else row.get(name) for row, null in zip(rows, gone, strict=True)] for name in names}
    return _struct_columns(columns, field, path), gone


def _quick_taker(field: Field, column: Any, path: str, present: np.ndarray | None) -> tuple[Taker, int] | None:
    """Returns a taker of a fixed leaf, straight from an array of the column's dtype; None if each value must be checked."""
    kind = field.type
    everywhere = present is None or bool(present.all())
    if isinstance(kind, Timestamp | Date) and isinstance(column, np.ndarray) and column.dtype.kind == "M" and column.ndim == 1 and everywhere:
        nulls = nulls_of(column, len(column))
        if nulls.any() and not field.nullable:
            return None  # refused row by row
        counts, valid = counts_of(np.ma.getdata(column), kind, path, ~nulls), (~nulls).view(np.uint8)
        if nulls.any():
            return (lambda start, stop: (counts[start:stop], valid[start:stop])), counts.itemsize
        return (lambda start, stop: counts[start:stop]), counts.itemsize
    if isinstance(kind, ClassLabel) and type(column) is np.ndarray and column.dtype.kind in "iu" and column.ndim == 1 and everywhere:
        numbers = numbers_in(column, kind, path)
        return (lambda start, stop: numbers[start:stop]), 8
    if not isinstance(column, np.ndarray) or not isinstance(kind, Scalar | Array) or column.dtype != SCALARS[kind.dtype] or kind.dtype == "bfloat16":
        return None
    shape = kind.shape if isinstance(kind, Array) else ()
    if column.shape[1:] != shape:
        raise SchemaError(f"column {path!r}: expected {kind} in each row, got {describe(column)}")
    size = int(column.dtype.itemsize * np.prod(shape, dtype=np.int64))
    plain = np.asarray(column.data) if isinstance(column, np.ma.MaskedArray) else np.asarray(column)
    values: Taker = lambda start, stop: np.ascontiguousarray(convert(plain[start:stop], plain.dtype)[0])  # noqa: E731
    mask = np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else None
    if mask is None or not mask.any():
        return (values, size) if everywhere else None
    nulls = nulls_of(column, len(column))
    if (mask.reshape(len(column), -1).any(axis=1) != nulls).any() or not field.nullable or not everywhere:
        return None  # refused row by row
    valid = np.ascontiguousarray(~nulls).view(np.uint8)
    return (lambda start, stop: (values(start, stop), np.ascontiguousarray(valid[start:stop]))), size


def _converted(field: Field, column: Any, path: str, present: np.ndarray | None) -> Callable[[int, int], list[Any]]:
    """Returns a function that converts rows [start, stop) of a field: a tuple per row, None for a null. It keeps its last result, for the other leaves."""
    one = _converter(field, path)
    nothing = tuple(bytes(width) for _, _, width, _, _ in own_leaves(field))
    nil = field.type == Word("object")
    may_be_nat = nil or isinstance(field.type, Timestamp | Date)  # NaT is no value of any other column
    last: list[Any] = [None, None]

    def convert_rows(start: int, stop: int) -> list[Any]:
        if last[0] == (start, stop):
            return list(last[1])
        out: list[Any] = []
        try:
            for i in range(start, stop):
                if present is not None and not present[i]:
                    out.append(nothing)
                    continue
                value = _plain(column, i, path)
                if may_be_nat and is_nat(value):
                    value = None
                if value is None and not nil and not field.nullable:
                    raise SchemaError(f"column {path!r}: expected {field.type}, got None: {SAY_NULLABLE}")
                out.append(None if value is None and not nil else one(value))
        except (SchemaError, LimitError) as cause:
            raise type(cause)(f"row {start + len(out)} of the batch: {cause}") from cause
        last[:] = [(start, stop), out]
        return out

    return convert_rows


def _plain(column: Any, i: int, path: str) -> Any:
    try:
        return unmasked(column[i], path)
    except (ValueError, IndexError) as cause:  # of a Ragged that was made by hand, or a sequence of the user's
        raise SchemaError(f"column {path!r}: {cause}") from cause


def _converter(field: Field, path: str) -> Callable[[Any], tuple[Any, ...]]:
    """Returns a function from a value to what each leaf stores of it."""
    match field.type:
        case Scalar():
            return lambda value: (scalar_bytes(value, field, path),)
        case ClassLabel() as label:
            return lambda value: (number_of(value, label, path).to_bytes(8, "little"),)
        case Timestamp() | Date() as kind:
            width = 4 if isinstance(kind, Date) else 8
            return lambda value: (count_of(value, kind, path).to_bytes(width, "little", signed=True),)
        case Array():
            return lambda value: (to_array(value, field, path).tobytes(),)
        case Word("str"):
            return lambda value: (_text(value, path),)
        case Word("bytes"):
            return lambda value: (to_bytes(value, path),)
        case Word():
            return lambda value: (pack(value, path),)
        case Tensor(_, ndim):
            return lambda value: _tensor(to_array(value, field, path), ndim)
        case Media(type):
            return lambda value: _media(to_media(value, field, path), type)
        case _:
            raise AssertionError(field.type)


def _tensor(array: np.ndarray, ndim: int | None) -> tuple[bytes, ...]:
    data = array.tobytes()
    return (data,) if ndim == 1 else (data, np.array(array.shape, np.uint32).tobytes())


def _media(pair: tuple[Any, str], type: str | None) -> tuple[Any, ...]:
    return (pair[0],) if type is not None else (pair[0], pair[1].encode())


def _text(value: Any, path: str) -> bytes:
    if not isinstance(value, str):
        raise SchemaError(f"column {path!r}: expected str, got {describe(value)}")
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise SchemaError(f"column {path!r}: {value[:40]!r} has a lone surrogate, which UTF-8 cannot hold; store it as bytes") from None
    check_size(path, len(data))
    return data


def _row_bytes(column: Sequence[Any] | Ragged) -> int:
    """The approximate bytes of a value of a column."""
    if isinstance(column, Ragged):
        return max(256, np.asarray(column.values).nbytes // max(1, len(column)))
    few = [column[i] for i in range(0, len(column), max(1, len(column) // SAMPLE_VALUES))]
    sizes = [getattr(value, "nbytes", None) or (len(value) if isinstance(value, str | bytes | bytearray) else _media_bytes(value)) for value in few]
    return max([256, *(int(size) for size in sizes)])


def _media_bytes(value: Any) -> int:
    data = getattr(value, "data", b"")
    return len(data) if isinstance(data, bytes | bytearray) else 256
