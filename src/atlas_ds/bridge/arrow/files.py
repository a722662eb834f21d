"""Reads Arrow's own files and streams, and the folders that Hugging Face's save_to_disk writes, through pyarrow (an extra).

What the columns become is types.py's; Parquet is parquet.py's. Files are mapped, not read: a first pass looks only at their batches' heads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.types import plan
from atlas_ds.bridge.opening import inner_path, read_head, unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Row, Source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
STATE, DICT = "state.json", "dataset_dict.json"
Files = list[tuple[Path, str | None]]


def read_arrow(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Examples of a file, of all .arrow files of a folder in the order of their names, or of what save_to_disk wrote."""
    files = _files(path) if path.is_dir() else [(path, None)]
    schema, total, nulls = None, 0, set[str]()
    for file, _ in files:
        for batch in _batches(file, full=False):
            schema = schema if schema is not None else batch.schema
            if not batch.schema.equals(schema):
                raise SchemaError(f"{file}: its columns differ from those of {files[0][0].name}; convert it on its own")
            total += batch.num_rows
            nulls |= {name for name, column in zip(schema.names, batch.columns, strict=True) if column.null_count}
    if schema is None or total == 0 or not schema.names:
        raise SchemaError(f"{path}: no rows; nothing to convert")
    planned = plan(path, schema, set(schema.names) - nulls)

    def examples() -> Iterator[Row]:
        for file, split in files:
            for batch in _batches(file, full=True):
                for example in planned.rows(batch):
                    yield example, split

    return Source("arrow", examples, total, schema=planned.schema, metadata=planned.metadata, notes=planned.notes)


def is_arrow_folder(folder: Path) -> bool:
    """Whether save_to_disk wrote it."""
    return (folder / DICT).is_file() or ((folder / STATE).is_file() and any(folder.glob("*.arrow")))


def ipc_rows(data: memoryview, count: int, place: str) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow file or stream that lies inside another file; there must be `count`."""
    pa = _pyarrow(place)
    seen = 0
    try:
        for batch in _open(pa, pa.py_buffer(data), bytes(data[:6])):
            batch.validate(full=True)
            seen += batch.num_rows
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: names of columns are not validated
        raise CorruptError(f"{place}: a damaged table of Arrow: {error}; fetch the file again") from error
    if seen != count:
        raise CorruptError(f"{place}: its table has {seen:,} rows, but the index says {count:,}; fetch the file again")


def _pyarrow(place: Path | str) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.ipc
    except ImportError as error:
        raise AtlasError(f"{place}: reading Arrow needs pyarrow; install it: pip install 'atlas-ds[tables]'") from error
    return pa


def _open(pa: Any, source: Any, head: bytes) -> Iterator[Any]:
    if head[:6] == FILE_MAGIC:
        with pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                yield file.get_batch(number)
    else:
        with pa.ipc.open_stream(source) as stream:
            yield from stream


def _batches(path: Path, *, full: bool) -> Iterator[Any]:
    """The batches of a file, checked before they are used, since a wrong offset would be followed anywhere. `full`: every offset, not only the lengths."""
    pa = _pyarrow(path)
    try:
        with pa.memory_map(str(path)) as source:
            for batch in _open(pa, source, read_head(path, 6)):
                batch.validate(full=full)
                yield batch
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise CorruptError(f"{path}: not a readable Arrow file: {error}; fetch or write it again") from error
    except OSError as error:
        if error.errno is None:  # Arrow's own complaint about bytes
            raise CorruptError(f"{path}: not a readable Arrow file: {error}; fetch or write it again") from error
        raise unreadable(path, error) from error


def _files(folder: Path) -> Files:
    if (folder / DICT).is_file():
        splits = _json(folder / DICT).get("splits")
        if not isinstance(splits, list):
            raise CorruptError(f"{folder / DICT}: no list of splits; restore the file")
        inner = [(inner_path(folder, split, str(folder / DICT)), str(split)) for split in splits]
        return [(file, split) for part, split in inner for file, _ in _files(part)]
    if (folder / STATE).is_file():
        parts = _json(folder / STATE).get("_data_files")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise CorruptError(f"{folder / STATE}: no list of data files; restore the file")
        return [(inner_path(folder, part.get("filename"), str(folder / STATE)), None) for part in parts]
    return [(file, None) for file in sorted(folder.rglob("*.arrow"))]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: not JSON: {error}; restore the file") from error
    if not isinstance(found, dict):
        raise CorruptError(f"{path}: not a JSON object; restore the file")
    return found
