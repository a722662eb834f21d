"""Imports Hugging Face datasets that are open in this process, and exports to them (the package
datasets is imported only here).

Folders of save_to_disk and Parquet files do not need that package: files.py and parquet.py read
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from atlas_ds.bridge.arrow.converting import Place
from atlas_ds.bridge.arrow.exporting import to_arrow
from atlas_ds.bridge.arrow.merge import merge_features
from atlas_ds.bridge.arrow.tables import nulls_of
from atlas_ds.bridge.arrow.types import Plan, features_of, plan
from atlas_ds.bridge.conversion import Converted, ConvertOptions, convert_source
from atlas_ds.bridge.source import Row, Source
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.options import refuse_unknown
from atlas_ds.errors import SchemaError
from atlas_ds.store.files import NewFile
from atlas_ds.store.paths import local_path

BATCH_ROWS = 1024


def import_huggingface(data: Any, dst: str | os.PathLike[str], *, progress: bool = True, **options: Unpack[ConvertOptions]) -> Converted:
    """Writes an open Hugging Face dataset as an Atlas dataset.

    See docs/guide/from-mds-litdata-huggingface.md#hugging-face-datasets. Columns of images and
    audio keep their encoded bytes; where there is only a path, the file is read. Any error or Ctrl-C leaves `dst` as it was.

    Parameters
    ----------
    data
        A `datasets.Dataset`, an `IterableDataset`, or a `DatasetDict` of either, whose keys become
        splits.
    dst
        The dataset's folder.
    progress
        Show progress on stderr.
    options
        As for `convert`.

    Returns
    -------
    Converted
        A report.
    """
    refuse_unknown("import_huggingface", options, ConvertOptions)
    return convert_source(_source(data), local_path(dst, "dst"), progress=progress, **options)


def to_huggingface(ds: AtlasDataset, *, columns: Sequence[str] | None = None, file: str | os.PathLike[str] | None = None) -> Any:
    """Returns a `datasets.Dataset` of the rows of a dataset or view.

    Parameters
    ----------
    ds
        A dataset or view without `map`.
    columns
        Names of the columns; None: all.
    file
        An Arrow file, which is written first and then mapped. None: the rows are held in memory.

    Returns
    -------
    datasets.Dataset
        With the same columns.

    Raises
    ------
    FileExistsError
        `file` exists.
    """
    datasets = _datasets()
    reader = to_arrow(ds, columns=columns)
    if file is None:
        return datasets.Dataset(_in_memory(reader))
    target = local_path(file, "file")
    if target.exists():
        raise FileExistsError(f"{target}: already exists; give another name, or remove it")
    new = NewFile(target.absolute().parent, target.name)
    try:
        _write_stream(reader, new.path)
        new.publish(target.name)
    except BaseException:
        new.discard()
        raise
    return datasets.Dataset.from_file(str(target))


def _in_memory(reader: Any) -> Any:
    """Goes through Arrow's stream format, which applies the columns' extension types."""
    import pyarrow as pa
    import pyarrow.ipc

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def _write_stream(reader: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.ipc

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError("this needs Hugging Face's datasets: pip install datasets") from error
    return datasets


def _source(data: Any) -> Source:
    """All parts one after another, with the columns of the first."""
    datasets = _datasets()
    parts: dict[str | None, Any] = dict(data) if isinstance(data, Mapping) else {None: data}
    for part in parts.values():
        if not isinstance(part, datasets.Dataset | datasets.IterableDataset):
            raise TypeError(f"expected a Dataset, an IterableDataset or a dict of them, got {type(part).__name__}; call datasets.load_dataset first")
    if not parts:
        raise SchemaError("an empty DatasetDict; nothing to convert")
    looks = {name: _look(part, datasets) for name, part in parts.items()}
    schema = next(iter(looks.values())).schema
    for name, look in looks.items():
        if not look.schema.equals(schema):
            raise SchemaError(f"split {name!r}: its columns differ from those of {next(iter(parts))!r}; import it separately, or cast() it")
    features = merge_features([(f"split {name!r}", features_of(look.schema)) for name, look in looks.items()])
    full = set.intersection(*(look.full for look in looks.values()))
    holes = {place for look in looks.values() for place in look.holes}
    rows = [look.rows for look in looks.values()]
    total = None if None in rows else sum(count or 0 for count in rows)
    planned = plan("huggingface", schema, full, holes=holes, features=features, read_files=True)

    def examples() -> Iterator[Row]:
        for name, part in parts.items():
            yield from _rows(part, planned, schema, name)

    return Source("huggingface", examples, total, schema=planned.schema, notes=planned.notes)


class _Look(NamedTuple):
    """full: columns without a null. holes: places with nulls inside lists of numbers."""

    schema: Any
    full: set[str]
    holes: set[Place]
    rows: int | None


def _look(part: Any, datasets: Any) -> _Look:
    """The columns of a stream come from its features or its first rows. Its nulls are unknown: every
    column may have some, and a list of numbers with one inside is refused."""
    if isinstance(part, datasets.Dataset):
        schema = part.features.arrow_schema
        features = features_of(schema)
        full, holes = set[str](), set[Place]()
        for name, column in zip(part.data.table.column_names, part.data.table.columns, strict=True):
            found = [nulls_of(name, chunk, features.get(name, {})) for chunk in column.chunks]
            full |= set() if any(nulls.in_column for nulls in found) else {name}
            holes |= {place for nulls in found for place in nulls.holes}
        return _Look(schema, full, holes, len(part))
    if part.features is not None:
        return _Look(part.features.arrow_schema, set(), set(), None)
    first = next(iter(part.with_format("arrow").iter(BATCH_ROWS)), None)
    if first is None:
        raise SchemaError("a stream without rows and features; nothing to convert")
    return _Look(first.schema, set(), set(), None)


def _tables(part: Any, name: str | None) -> Iterator[Any]:
    import pyarrow as pa

    try:
        yield from part.with_format("arrow").iter(BATCH_ROWS)
    except pa.ArrowInvalid as error:
        raise _differing(name, error) from error


def _differing(name: str | None, error: Exception) -> SchemaError:
    return SchemaError(f"split {name!r}: rows whose columns differ from the first ones: {error}; give the stream features with cast()")


def _rows(part: Any, planned: Plan, schema: Any, name: str | None) -> Iterator[Row]:
    import pyarrow as pa

    row = 0
    for table in _tables(part, name):
        if table.schema.names != schema.names or table.schema.types != schema.types:
            try:
                table = table.select(schema.names).cast(schema)
            except (pa.ArrowException, KeyError, ValueError) as error:
                raise _differing(name, error) from error
        for batch in table.to_batches():
            for example in planned.rows(batch, f"split {name!r}" if name else "", row):
                yield example, name
            row += batch.num_rows
