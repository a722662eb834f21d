"""Reads Parquet, one file or a folder of them, batch by batch through pyarrow (an extra, imported only here).

NumPy scalars keep a column's width (float32 stays float32); lists of numbers become arrays; the Image and Audio
columns of Hugging Face become media. CSV and JSON lines are text_tables.py's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from atlas_ds.bridge.folder import SPLIT_NAMES
from atlas_ds.bridge.media import sniff
from atlas_ds.bridge.source import Row, Source, unreadable
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, UnsupportedError
from atlas_ds.schema.types import Field, array, make_field, media, nullable, struct, tensor
from atlas_ds.schema.values import Media

BATCH_ROWS = 1024
Convert = Callable[[Any], list[object]]


def read_parquet(path: Path) -> Source:
    """Examples of a file, or of all .parquet files of a folder in the order of their names."""
    pq = _pyarrow(path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    schema, total = None, 0
    full: set[str] | None = None  # columns without a null in any file
    for file in files:
        with _open(pq, file) as table:
            total += int(table.metadata.num_rows)
            schema = schema if schema is not None else table.schema_arrow
            if not table.schema_arrow.equals(schema):
                raise SchemaError(f"{file}: its columns differ from those of {files[0].name}; convert it on its own")
            full = _full_columns(table) if full is None else full & _full_columns(table)
    if schema is None or total == 0 or not schema.names:
        raise SchemaError(f"{path}: no rows; nothing to convert")
    features = _features(schema)
    converters = [_converter(path, column, features.get(column.name, {})) for column in schema]
    splits = {file: _split_name(file, files) for file in files}

    def examples() -> Iterator[Row]:
        for file in files:
            for batch in _batches(pq, file):
                columns = [convert(column) for convert, column in zip(converters, batch.columns, strict=True)]
                for values in zip(*columns, strict=True):
                    yield dict(zip(schema.names, values, strict=True)), splits[file]

    classes = {name: feature["names"] for name, feature in features.items() if feature.get("names")}
    metadata = {"classes": next(iter(classes.values())) if len(classes) == 1 else classes} if classes else {}
    specs = {c.name: _spec(c.type, features.get(c.name, {}), c.name in (full or ())) for c in schema}
    return Source("parquet", examples, total, schema=specs, metadata=metadata, notes=_notes(schema))


def _pyarrow(path: Path) -> ModuleType:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise AtlasError(f"{path}: reading Parquet needs pyarrow; install it: pip install 'atlas-ds[tables]'") from error
    return pq  # type: ignore[no-any-return, unused-ignore]


def _open(pq: ModuleType, path: Path) -> Any:
    import pyarrow as pa

    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise CorruptError(f"{path}: not a readable Parquet file: {error}; fetch or write it again") from error
    except OSError as error:
        raise _torn(path, error) from error


def _torn(path: Path, error: OSError) -> AtlasError:
    if error.errno is None:  # Arrow's own complaint about bytes, not the system's about the file
        return CorruptError(f"{path}: not a readable Parquet file: {error}; fetch or write it again")
    return unreadable(path, error)


def _batches(pq: ModuleType, path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with _open(pq, path) as table:
        batches = table.iter_batches(batch_size=BATCH_ROWS)
        while True:
            try:
                batch = next(batches, None)
            except pa.ArrowInvalid as error:
                raise CorruptError(f"{path}: a damaged page: {error}; fetch or write the file again") from error
            except OSError as error:
                raise _torn(path, error) from error
            if batch is None:
                return
            yield batch


def _split_name(file: Path, files: list[Path]) -> str | None:
    """"train" for train-00000-of-00002.parquet, if every file is named so."""
    words = [re.split(r"[-_.]", other.name)[0].lower() for other in files]
    if len(files) < 2 or not SPLIT_NAMES.issuperset(words):
        return None
    return words[files.index(file)]


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What Hugging Face notes about columns in the file's metadata; empty if it did not write the file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _full_columns(table: Any) -> set[str]:
    """The flat columns that cannot hold a null, by their declaration or by every row group's statistics."""
    full = {column.name for column in table.schema_arrow if not column.nullable}
    metadata = table.metadata
    for i in range(metadata.num_columns):
        name = metadata.schema.column(i).path
        found = (metadata.row_group(group).column(i).statistics for group in range(metadata.num_row_groups))
        if all(stats is not None and stats.has_null_count and stats.null_count == 0 for stats in found):
            full.add(name)
    return full


def _is_media(kind: Any, feature: dict[str, Any]) -> bool:
    import pyarrow.types as t

    names = {field.name for field in kind} if t.is_struct(kind) else set()
    return names == {"bytes", "path"} and feature.get("_type") in ("Image", "Audio", "Video")


def _spec(kind: Any, feature: dict[str, Any], full: bool) -> object:
    """The Atlas type of an Arrow type; "object" for what has no narrower one. It must agree with `_converter`."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        kind = kind.value_type
    spec: object = "object"
    if _is_media(kind, feature):
        spec = media()
    elif t.is_integer(kind) or t.is_floating(kind):
        name = str(kind.to_pandas_dtype().__name__)
        spec = Field("", make_field("", name).type, numpy=name not in ("int64", "float64"))
    elif t.is_boolean(kind):
        spec = "bool"
    elif _is_text(kind) or _as_text(kind):
        spec = "str"
    elif t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        spec = "bytes"
    elif t.is_struct(kind) and kind.num_fields:
        spec = struct({field.name: _nested_spec(field) for field in kind})
    elif _is_numbers(kind):
        dtype = kind.value_type.to_pandas_dtype()
        spec = array(dtype, (kind.list_size,)) if t.is_fixed_size_list(kind) else tensor(dtype, 1)
    return spec if full else nullable(spec)


def _nested_spec(column: Any) -> object:
    """Inside a struct values come from to_pylist: numbers are Python's, lists stay lists."""
    import pyarrow.types as t

    kind, spec = column.type, "object"
    if t.is_struct(kind) and kind.num_fields:
        return nullable(struct({field.name: _nested_spec(field) for field in kind}))
    if t.is_boolean(kind) or t.is_integer(kind):
        spec = "bool" if t.is_boolean(kind) else str(kind)
    elif t.is_floating(kind):
        spec = str(kind.to_pandas_dtype().__name__)
    elif _is_text(kind):
        spec = "str"
    elif t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        spec = "bytes"
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


def _converter(path: Path, column: Any, feature: dict[str, Any]) -> Convert:
    """How one column's Arrow arrays become the values of examples."""
    import pyarrow as pa
    import pyarrow.types as t

    kind = column.type
    if t.is_dictionary(kind):
        plain = _converter(path, column.with_type(kind.value_type), feature)
        return lambda array: plain(array.dictionary_decode())
    if _is_media(kind, feature):
        return lambda array: [_media(path, column.name, value) for value in array.to_pylist()]
    if _as_text(kind):
        return lambda array: list(array.cast(pa.string()).to_pylist())
    if t.is_timestamp(kind):
        unit = pa.timestamp("us", tz=kind.tz)
        return lambda array: _timestamps(path, column.name, array, unit)
    if (t.is_integer(kind) or t.is_floating(kind)) and kind not in (pa.int64(), pa.float64()):
        return _narrow
    if _is_numbers(kind):
        return lambda array: [_numbers(path, column.name, scalar) for scalar in array]
    return lambda array: list(array.to_pylist())


def _narrow(array: Any) -> list[object]:
    """NumPy scalars, whose type says the width; a null is None."""
    values = list(array.fill_null(0).to_numpy(zero_copy_only=False)) if array.null_count else list(array.to_numpy())
    if array.null_count:
        valid = array.is_valid().to_pylist()
        return [value if ok else None for value, ok in zip(values, valid, strict=True)]
    return values


def _numbers(path: Path, name: str, scalar: Any) -> object:
    if not scalar.is_valid:
        return None
    if scalar.values.null_count:
        raise SchemaError(f"{path}: column {name}: a list with nulls among its numbers; fill them before converting")
    return scalar.values.to_numpy(zero_copy_only=False)


def _timestamps(path: Path, name: str, array: Any, unit: Any) -> list[object]:
    import pyarrow as pa

    try:
        return list(array.cast(unit).to_pylist())
    except (pa.ArrowInvalid, OverflowError) as error:
        raise SchemaError(f"{path}: column {name}: finer or wider than a datetime: {error}; cast it to int64") from error


def _media(path: Path, name: str, value: dict[str, Any] | None) -> object:
    if value is None:
        return None
    data = value["bytes"]
    if data is None:
        raise UnsupportedError(f"{path}: column {name}: only a path ({value['path']}), no bytes; embed the files first")
    return Media(data, sniff(data[:64]) or "application/octet-stream")
