"""Reads Arrow's own files and streams, and the folders that Hugging Face's save_to_disk writes,
through pyarrow (an extra).

types.py converts the columns; parquet.py reads Parquet. Files are memory-mapped: the first pass
reads only the headers of their batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.converting import Place, number_lists
from atlas_ds.bridge.arrow.errors import arrow_errors, pyarrow
from atlas_ds.bridge.arrow.merge import check_schema
from atlas_ds.bridge.arrow.python_values import bare
from atlas_ds.bridge.arrow.tables import Look, arrow_table, nulls_of
from atlas_ds.bridge.arrow.types import features_of
from atlas_ds.bridge.files.table import Table
from atlas_ds.bridge.opening import inner_path, read_head, read_json
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.errors import CorruptError, UnsupportedError

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
BROKEN = "not a readable Arrow file"
STATE, DICT = "state.json", "dataset_dict.json"
Files = list[tuple[Path, str | None]]


def read_arrow_table(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The rows of some files as one table."""
    pyarrow(paths[0], "Arrow")
    return arrow_table([_look(path) for path in paths], _batches)


def _look(path: Path) -> Look:
    rows, nulls, holes = 0, set[str](), set[Place]()
    with _opened(path) as (schema, batches), arrow_errors(path, BROKEN):
        check_schema(path, schema)
        features = features_of(schema)
        lists = {column.name: set(number_lists(column.type, (column.name,))) for column in schema}
        wrapped = {column.name for column in schema if lists[column.name] or column.type != bare(column.type)}
        for batch in batches:
            batch.validate()
            rows += batch.num_rows
            for name, column in zip(schema.names, batch.columns, strict=True):
                if name in nulls and not lists[name] - holes:
                    continue
                if name in wrapped:
                    column.validate(full=True)  # the next lines use its offsets and indices
                found = nulls_of(name, column, features.get(name, {}))
                nulls |= {name} if found.in_column else set()
                holes |= found.holes
    return Look(path, schema, rows, nulls, holes)


def first_rows(path: Path, count: int) -> list[dict[str, Any]]:
    """The first rows of a file as Python values."""
    batch = next(_batches(path), None)
    with arrow_errors(path, BROKEN):
        return [] if batch is None else batch.slice(0, count).to_pylist()


def is_arrow_folder(folder: Path) -> bool:
    """Whether save_to_disk wrote it."""
    return (folder / DICT).is_file() or ((folder / STATE).is_file() and any(folder.glob("*.arrow")))


def ipc_rows(data: memoryview, count: int, place: str) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow file or stream inside another file; there must be `count`."""
    pa = pyarrow(place, "Arrow")
    seen = 0
    with arrow_errors(place, "a damaged Arrow table"):  # names of columns are not validated
        for batch in _batches_of(_reader(pa, pa.py_buffer(data), bytes(data[:6]))):
            batch.validate(full=True)
            seen += batch.num_rows
            yield from batch.to_pylist()
    if seen != count:
        raise CorruptError(f"{place}: its table has {seen:,} rows, but the index says {count:,}; fetch the file again")


def _reader(pa: Any, source: Any, head: bytes) -> Any:
    return pa.ipc.open_file(source) if head[:6] == FILE_MAGIC else pa.ipc.open_stream(source)


def _batches_of(reader: Any) -> Iterator[Any]:
    """The batches of a file or of a stream."""
    return map(reader.get_batch, range(reader.num_record_batches)) if hasattr(reader, "get_batch") else iter(reader)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """A file's schema and its batches, which are not validated yet."""
    pa = pyarrow(path, "Arrow")
    head = read_head(path, 6)
    with arrow_errors(path, BROKEN), pa.memory_map(str(path)) as source, _reader(pa, source, head) as reader:
        yield reader.schema, _batches_of(reader)


def _batches(path: Path) -> Iterator[Any]:
    """The batches of a file. Every offset is checked before it is used, since a wrong one would
    be followed anywhere."""
    with _opened(path) as (_, batches):
        for batch in batches:
            batch.validate(full=True)
            yield batch


def saved_files(folder: Path, follow_links: bool = False) -> Files:
    """The files that save_to_disk of Hugging Face wrote into a folder, each with its split; none
    for any other folder."""
    if (folder / DICT).is_file():
        splits = _json(folder / DICT).get("splits")
        if not isinstance(splits, list):
            raise CorruptError(f"{folder / DICT}: no list of splits; restore the file")
        inner = [(inner_path(folder, split, str(folder / DICT), follow_links=follow_links), str(split)) for split in splits]
        return [(file, split) for part, split in inner for file, _ in saved_files(part, follow_links)]
    if (folder / STATE).is_file():
        state = _json(folder / STATE)
        if state.get("_indices_data_files"):
            raise UnsupportedError(f"{folder / STATE}: rows selected from other files; call flatten_indices() and save_to_disk again")
        parts = state.get("_data_files")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise CorruptError(f"{folder / STATE}: no list of data files; restore the file")
        return [(inner_path(folder, part.get("filename"), str(folder / STATE), follow_links=follow_links), None) for part in parts]
    return []


def _json(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise CorruptError(f"{path}: not a JSON object; restore the file")
    return found
