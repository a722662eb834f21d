"""Reads an Atlas dataset as a source, to write it anew with other sizes, codecs or column order. Not a copy tool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Row, Source
from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.errors import UnsupportedError


def read_atlas(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """All rows of a dataset with its schema, metadata and splits; split by split where there are splits."""
    ds = AtlasDataset(path)
    if ds.splits and sum(ds.splits.values()) != len(ds):
        raise UnsupportedError(
            f"{path}: its splits do not hold every row exactly once, so a conversion would lose or repeat rows;"
            " read the splits you want with AtlasDataset(path, split=...) and write them with AtlasDatasetWriter"
        )

    def examples() -> Iterator[Row]:
        if not ds.splits:
            for example in ds:
                yield example, None
        for split in ds.splits:
            for example in AtlasDataset(path, split=split):
                yield example, split

    return Source("atlas", examples, len(ds), schema=ds.schema, metadata=ds.metadata or {})
