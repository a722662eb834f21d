"""Writes Atlas rows as Arrow batches or a Parquet file, through pyarrow (an extra).
exported_types.py converts types; features.py writes Hugging Face's features."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from atlas_ds.bridge.arrow.exported_types import KEY, arrow_type, object_type, to_column
from atlas_ds.bridge.arrow.features import array_mark, features_json
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.errors import SchemaError
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Field, Media
from atlas_ds.store.files import NewFile, refuse_overlap
from atlas_ds.store.paths import local_path

ParquetCodec = Literal["zstd", "snappy", "gzip", "brotli", "lz4", "none"]
BATCH_ROWS = 1024
BATCH_BYTES = 64 << 20  # of rows in memory at a time; fewer rows than BATCH_ROWS where they are large


def to_arrow(ds: AtlasDataset, *, columns: Sequence[str] | None = None) -> Any:
    """Returns the rows of a dataset or view as Arrow batches.

    Parameters
    ----------
    ds
        A dataset or view without `map`.
    columns
        Names of the columns; None: all.

    Returns
    -------
    pyarrow.RecordBatchReader
        Reads the rows as they are requested; its `.read_all()` makes a Table.

    Raises
    ------
    SchemaError
        Arrow cannot hold a column; the text names it.
    """
    _want_dataset(ds)
    pa = _pyarrow()
    fields = _fields(ds, columns)
    schema = _arrow_schema(ds, fields)
    return pa.RecordBatchReader.from_batches(schema, _batches(ds, fields, schema))


def export_parquet(
    ds: AtlasDataset,
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    row_group_size: int = 64 * BATCH_ROWS,
    compression: ParquetCodec = "zstd",
    overwrite: bool = False,
) -> Path:
    """Writes a dataset or view as one Parquet file, atomically.

    It needs pyarrow: `pip install 'atlas-ds[tables]'`.

    Parameters
    ----------
    ds
        A dataset or view without `map`.
    path
        The file.
    columns
        Names of the columns; None: all.
    row_group_size
        Rows of a row group, which other readers read at a time.
    compression
        The codec of the file.
    overwrite
        Replace a file that exists.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SchemaError
        Parquet cannot hold a column; the text names it, and nothing is written.
    FileExistsError
        The file exists, and `overwrite` was not given.
    """
    _want_dataset(ds)
    target = local_path(path)
    if row_group_size < 1:
        raise ValueError(f"row_group_size={row_group_size}: must be 1 or more")
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileExistsError(f"{target}: already exists; pass overwrite=True to replace a file, or another name")
    refuse_overlap(Path(ds.path), target)
    reader = to_arrow(ds, columns=columns)
    file = NewFile(target.absolute().parent, target.name)
    try:
        _write_parquet(reader, file.path, row_group_size, compression)
        file.publish(target.name)
        return target
    except BaseException:
        file.discard()
        raise


def _want_dataset(ds: object) -> None:
    if not isinstance(ds, AtlasDataset):
        raise TypeError(f"{type(ds).__name__}: an AtlasDataset or a view of one is needed; write it as a dataset first")


def _write_parquet(reader: Any, path: Path, row_group_size: int, compression: str) -> None:
    """Writes into an existing file; the caller renames it into place."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, reader.schema, compression=compression) as writer:
        waiting: list[Any] = []
        rows = 0
        for batch in reader:
            waiting.append(batch)
            rows += batch.num_rows
            while rows >= row_group_size:
                table = pa.Table.from_batches(waiting, reader.schema)
                writer.write_table(table.slice(0, row_group_size), row_group_size)
                waiting = table.slice(row_group_size).to_batches()
                rows -= row_group_size
        if rows:
            writer.write_table(pa.Table.from_batches(waiting, reader.schema), row_group_size)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError("writing Arrow and Parquet needs pyarrow: pip install 'atlas-ds[tables]'") from error
    return pa


def _fields(ds: AtlasDataset, columns: Sequence[str] | None) -> list[Field]:
    if not isinstance(ds, AtlasDataset):
        raise TypeError(f"only an AtlasDataset or a view of one can be exported, not {type(ds).__name__}; write other data with AtlasDatasetWriter first")
    if ds.function is not None:
        raise SchemaError("a view with map() has no schema; write its examples with AtlasDatasetWriter, and export that")
    if isinstance(columns, str):
        raise TypeError(f"columns={columns!r}: give a list of columns: columns=[{columns!r}]")
    fields = list(ds.schema.fields) if columns is None else [ds.schema[name] for name in columns]
    if not fields:
        raise SchemaError("columns=[]: at least one column is needed")
    return fields


def _arrow_schema(ds: AtlasDataset, fields: list[Field]) -> Any:
    import pyarrow as pa

    kinds = [arrow_type(field, f"column {field.name!r}") for field in fields]
    objects = [field for field, kind in zip(fields, kinds, strict=True) if kind is None]
    found = _object_types(ds, objects)
    arrow = pa.schema([pa.field(f.name, kind if kind is not None else found[f.name], metadata=array_mark(f)) for f, kind in zip(fields, kinds, strict=True)])
    marks = features_json(arrow, fields, {f.name: _first_media(ds, f) for f in fields if f.type == Media(None)})
    own = Schema(tuple(fields), "dict").to_json()
    return arrow.with_metadata({"huggingface": json.dumps({"info": {"features": marks}}), KEY.decode(): json.dumps(own)})


def _object_types(ds: AtlasDataset, fields: list[Field]) -> dict[str, Any]:
    """The Arrow types of "object" columns: those of all their values, which takes a pass over
    them."""
    import pyarrow as pa

    found: dict[str, Any] = {}
    for rows in _rows(ds, fields) if fields else ():
        for field, values in zip(fields, rows, strict=True):
            where = f"column {field.name!r}"
            kind = object_type(values, where)
            before = found.get(field.name, pa.null())
            if kind != before:
                try:
                    kind = pa.unify_schemas([pa.schema([("", before)]), pa.schema([("", kind)])], promote_options="permissive").field(0).type
                except pa.ArrowException as error:
                    raise SchemaError(f"{where}: objects that mix {before} and {kind}; leave it out with columns=, or store it as text first") from error
            found[field.name] = kind
    return found


def _first_media(ds: AtlasDataset, field: Field) -> str | None:
    """The media type of the first value, for a column without one."""
    for (values,) in _rows(ds, [field], 1):
        if values[0] is not None:
            return str(values[0].type)
    return None


def _rows(ds: AtlasDataset, fields: list[Field], count: int = BATCH_ROWS) -> Iterator[list[list[Any]]]:
    """The values of some rows, a list a column, piece by piece."""
    view = ds.raw()
    step = max(1, min(count, int(BATCH_BYTES // max(1, ds.row_bytes))))
    names = [field.name for field in fields]
    every = list(ds.schema.names)
    for start in range(0, len(view), step):
        examples = view.__getitems__(range(start, min(start + step, len(view))))
        if ds.schema.container in ("tuple", "list"):
            places = [every.index(name) for name in names]
            yield [[example[place] for example in examples] for place in places]
        elif ds.schema.container == "value":
            yield [examples]
        else:
            yield [[example[name] for example in examples] for name in names]


def _batches(ds: AtlasDataset, fields: list[Field], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    start = 0
    for rows in _rows(ds, fields):
        arrays = []
        for field, values, column in zip(fields, rows, schema, strict=True):
            where = f"column {field.name!r}, rows from {start:,}"
            try:
                arrays.append(to_column(values, replace(field, name=""), column.type, where))
            except (pa.ArrowException, OverflowError) as error:
                raise SchemaError(f"{where}: {error}; leave it out with columns=") from error
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        start += len(rows[0])
