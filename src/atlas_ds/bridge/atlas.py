"""Reads an Atlas dataset as a source, to rewrite it with other sizes, codecs or column order. To
copy a dataset, copy its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.errors import AtlasError, CorruptError, LimitError, UnsupportedError

PIECE = 256  # rows that are read one by one after damage
LOST = (CorruptError, LimitError, UnsupportedError, FileNotFoundError)  # the last: a missing shard


def read_atlas(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """All rows of a dataset with its schema, metadata and splits; split by split if it has
    splits."""
    ds = AtlasDataset(path)
    if ds.splits and sum(ds.splits.values()) != len(ds):
        raise UnsupportedError(
            f"{path}: its splits do not hold every row exactly once, so a conversion would lose or repeat rows;"
            " read the splits you want with AtlasDataset(path, split=...) and write them with AtlasDatasetWriter"
        )

    def examples() -> Iterator[Row]:
        if not ds.splits:
            yield from rows_of(ds, None)
        for split in ds.splits:
            yield from rows_of(AtlasDataset(path, split=split), split)

    return Source("atlas", examples, len(ds), schema=ds.schema, metadata=ds.metadata or {})


def rows_of(ds: AtlasDataset, split: str | None) -> Iterator[Row]:
    """The rows in order, many at a time. After damage the next PIECE rows are read one by one,
    so that only rows of damaged bytes are lost."""
    at = 0
    while at < len(ds):
        try:
            for example in ds[at:] if at else ds:
                yield example, split
                at += 1
        except LOST:
            stop = min(at + PIECE, len(ds))
            yield from ((row_of(ds, row, split), split) for row in range(at, stop))
            at = stop


def row_of(ds: AtlasDataset, row: int, split: str | None) -> dict[str, object] | Refused:
    try:
        example: dict[str, object] = ds[row]
        return example
    except AtlasError as error:
        where = f"row {row}" if split is None else f"row {row} of split {split!r}"
        return Refused(type(error)(f"{ds.path}: {where}: {str(error).removeprefix(f'{ds.path}: row {row}: ')}"))
    except FileNotFoundError as error:
        return Refused(CorruptError(f"{error.filename or ds.path}: row {row}: the file is missing; restore it"))
