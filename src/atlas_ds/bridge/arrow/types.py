"""What Atlas makes of Arrow's columns, wherever they come from: Parquet, Arrow's own files, Hugging Face. Opens no file of a table.

NumPy scalars keep a column's width (float32 stays float32); lists of numbers become arrays; Hugging Face's Image, Audio and Video become media, its
Array2D to Array5D arrays. What Atlas itself exported is own.py's.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.own import own_fields, restorer
from atlas_ds.bridge.arrow.values import fixed_arrays, list_depth, shaped_arrays, stored, stored_array
from atlas_ds.bridge.opening import unreadable
from atlas_ds.bridge.source import Example
from atlas_ds.bridge.values.media import sniff
from atlas_ds.errors import SchemaError, UnsupportedError
from atlas_ds.schema.types import SCALARS, Array, Field, array, make_field, media, nullable, struct, tensor
from atlas_ds.schema.values import Media

Convert = Callable[[Any], list[Any]]
Feature = dict[str, Any]
MEDIA = ("Image", "Audio", "Video")  # the names that Hugging Face gives columns of {bytes, path}


@dataclass(frozen=True, slots=True)
class Plan:
    """How the batches of one Arrow schema become examples."""

    columns: tuple[tuple[str, Convert], ...]
    schema: dict[str, object]
    metadata: dict[str, object]
    notes: tuple[str, ...]

    def rows(self, batch: Any) -> Iterator[Example]:
        values = [convert(column) for (_, convert), column in zip(self.columns, batch.columns, strict=True)]
        names = [name for name, _ in self.columns]
        for row in zip(*values, strict=True):
            yield dict(zip(names, row, strict=True))


def plan(place: Path | str, schema: Any, full: set[str], *, read_files: bool = False) -> Plan:
    """`full`: columns without a null. `read_files`: media that is only a path is read from there, else refused."""
    features, own = features_of(schema), own_fields(schema, str(place))
    columns: list[tuple[str, Convert]] = []
    specs: dict[str, object] = {}
    for column in schema:
        feature, field = features.get(column.name, {}), own.get(column.name)
        if field is not None:
            columns.append((column.name, _of_storage(restorer(field, f"{place}: column {column.name}"))))
            specs[column.name] = field
        else:
            columns.append((column.name, _converter(place, column, feature, read_files)))
            specs[column.name] = _spec(column.type, feature, column.name in full)
    classes = {name: feature["names"] for name, feature in features.items() if feature.get("names")}
    metadata = {"classes": next(iter(classes.values())) if len(classes) == 1 else classes} if classes else {}
    return Plan(tuple(columns), specs, metadata, _notes(schema))


def _of_storage(convert: Convert) -> Convert:
    return lambda array: convert(stored_array(array))


def features_of(schema: Any) -> dict[str, Feature]:
    """What Hugging Face notes about columns in a schema's metadata; empty if it did not write it."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _is_media(kind: Any, feature: Feature) -> bool:
    import pyarrow.types as t

    names = {field.name for field in kind} if t.is_struct(kind) else set()
    return names == {"bytes", "path"} and feature.get("_type") in MEDIA


def _array_of(kind: Any, feature: Feature) -> tuple[str, tuple[int | None, ...]] | None:
    """dtype and shape of a column of arrays, as Hugging Face (Array2D ...) or Arrow (fixed_shape_tensor) says; None for any other column."""
    import pyarrow as pa

    if isinstance(kind, pa.FixedShapeTensorType) and sorted(kind.permutation or ()) == list(kind.permutation or ()):
        return str(kind.value_type.to_pandas_dtype().__name__), tuple(kind.shape)
    name, shape, dtype = str(feature.get("_type")), feature.get("shape"), str(feature.get("dtype"))
    if not name.startswith("Array") or not isinstance(shape, list) or dtype not in SCALARS or list_depth(stored(kind)) != len(shape):
        return None
    return dtype, tuple(n if isinstance(n, int) else None for n in shape)


def _spec(kind: Any, feature: Feature, full: bool) -> object:
    """The Atlas type of an Arrow type; "object" for what has no narrower one. It must agree with `_converter`."""
    import pyarrow.types as t

    found = _array_of(kind, feature)
    kind = stored(kind)
    if t.is_dictionary(kind):
        kind = kind.value_type
    spec: object = "object"
    if found is not None:
        dtype, shape = found
        sizes = [n for n in shape if n is not None]
        spec = array(dtype, sizes) if len(sizes) == len(shape) else tensor(dtype, len(shape))
    elif _is_media(kind, feature):
        spec = media()
    elif t.is_integer(kind) or t.is_floating(kind):
        name = str(kind.to_pandas_dtype().__name__)
        spec = Field("", make_field("", name).type, numpy=name not in ("int64", "float64"))
    elif t.is_struct(kind) and kind.num_fields:
        spec = struct({field.name: _nested_spec(field) for field in kind})
    elif _is_numbers(kind):
        dtype = kind.value_type.to_pandas_dtype()
        spec = array(dtype, (kind.list_size,)) if t.is_fixed_size_list(kind) else tensor(dtype, 1)
    else:
        spec = _plain_spec(kind)
    return spec if full else nullable(spec)


def _plain_spec(kind: Any) -> str:
    import pyarrow.types as t

    if t.is_boolean(kind):
        return "bool"
    if _is_text(kind) or _as_text(kind):
        return "str"
    return "bytes" if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind) else "object"


def _nested_spec(column: Any) -> object:
    """Inside a struct values come from to_pylist: numbers are Python's, lists stay lists."""
    import pyarrow.types as t

    kind = column.type
    if t.is_struct(kind) and kind.num_fields:
        return nullable(struct({field.name: _nested_spec(field) for field in kind}))
    if t.is_integer(kind):
        spec = str(kind)
    elif t.is_floating(kind):
        spec = str(kind.to_pandas_dtype().__name__)
    else:
        spec = "object" if _as_text(kind) else _plain_spec(kind)
    return nullable(spec) if column.nullable else spec


def _is_text(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))


def _is_numbers(kind: Any) -> bool:
    import pyarrow.types as t

    is_list = t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind)
    return is_list and bool(t.is_integer(kind.value_type) or t.is_floating(kind.value_type))


def _as_text(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_decimal(kind) or t.is_date(kind) or t.is_time(kind) or t.is_duration(kind))


def _notes(schema: Any) -> tuple[str, ...]:
    return tuple(f"{c.name}: {c.type} becomes text, which Atlas has a type for" for c in schema if _as_text(c.type))


def _converter(place: Path | str, column: Any, feature: Feature, read_files: bool) -> Convert:
    """How one column's Arrow arrays become the values of examples."""
    import pyarrow as pa
    import pyarrow.types as t

    kind, where = column.type, f"{place}: column {column.name}"
    found = _array_of(kind, feature)
    if isinstance(kind, pa.BaseExtensionType):
        plain = _converter(place, column.with_type(kind.storage_type), feature if found is None else {}, read_files)
        return lambda array: (plain if found is None else partial(_arrays, where, *found))(array.storage)
    if found is not None:
        return partial(_arrays, where, *found)
    if t.is_dictionary(kind):
        plain = _converter(place, column.with_type(kind.value_type), feature, read_files)
        return lambda array: plain(array.dictionary_decode())
    if _is_media(kind, feature):
        return lambda array: [_media(where, value, read_files) for value in array.to_pylist()]
    if _as_text(kind):
        return lambda array: list(array.cast(pa.string()).to_pylist())
    if t.is_timestamp(kind):
        unit = pa.timestamp("us", tz=kind.tz)
        return lambda array: _timestamps(where, array, unit)
    if (t.is_integer(kind) or t.is_floating(kind)) and kind not in (pa.int64(), pa.float64()):
        return _narrow
    if _is_numbers(kind):
        return lambda array: [_numbers(where, scalar) for scalar in array]
    return lambda array: list(array.to_pylist())


def _arrays(where: str, dtype: str, shape: tuple[int | None, ...], column: Any) -> list[Any]:
    sizes = [n for n in shape if n is not None]
    if len(sizes) == len(shape):
        return fixed_arrays(column, Array(dtype, tuple(sizes)), where)
    return shaped_arrays(column, dtype, len(shape), where)


def _narrow(array: Any) -> list[object]:
    """NumPy scalars, whose type says the width; a null is None."""
    values = list(array.fill_null(0).to_numpy(zero_copy_only=False)) if array.null_count else list(array.to_numpy())
    if array.null_count:
        valid = array.is_valid().to_pylist()
        return [value if ok else None for value, ok in zip(values, valid, strict=True)]
    return values


def _numbers(where: str, scalar: Any) -> object:
    if not scalar.is_valid:
        return None
    if scalar.values.null_count:
        raise SchemaError(f"{where}: a list with nulls among its numbers; fill them before converting")
    return scalar.values.to_numpy(zero_copy_only=False)


def _timestamps(where: str, array: Any, unit: Any) -> list[object]:
    import pyarrow as pa

    try:
        return list(array.cast(unit).to_pylist())
    except (pa.ArrowInvalid, OverflowError) as error:
        raise SchemaError(f"{where}: finer or wider than a datetime: {error}; cast it to int64") from error


def _media(where: str, value: dict[str, Any] | None, read_files: bool) -> object:
    if value is None or (value["bytes"] is None and value["path"] is None):
        return None
    data = value["bytes"]
    if data is None and read_files:
        try:
            data = Path(value["path"]).read_bytes()
        except OSError as error:
            raise unreadable(f"{where}: {value['path']}", error) from error
    if data is None:
        raise UnsupportedError(f"{where}: only a path ({value['path']}), no bytes; embed the files first")
    return Media(data, sniff(data[:64]) or mimetypes.guess_type(value["path"] or "")[0] or "application/octet-stream")
