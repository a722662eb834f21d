"""Generated schemas and rows: what Atlas writes, Atlas and the plain-Python reference read alike, and both verify it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import atlas_ds as atlas
from reference import reader
from support import agrees, same, write

from .strategies import datasets

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # thousands of small datasets: not worth a disk's fsync
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def check(case: tuple[Any, list[Any], dict[str, Any]]) -> None:
    schema, rows, options = case
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        path = write(Path(scratch) / "d", rows, schema=schema, **options)
        for dataset in (atlas.AtlasDataset(path), atlas.AtlasDataset(path, verify="always", io="pread", cache_bytes=1)):
            assert len(dataset) == len(rows)
            got = list(dataset)
            assert all(map(same, got, rows)), (got, rows, str(dataset.schema))
            for i in range(-len(rows), len(rows)):
                assert same(dataset[i], rows[i])
            order = np.random.default_rng(len(rows)).integers(0, max(len(rows), 1), 2 * len(rows))
            assert all(map(same, dataset.__getitems__(order), [rows[i] for i in order]))
            if len(rows):
                check_batch(dataset.batch(order), [rows[i] for i in order])
        report = atlas.verify(path)
        assert report.damages == [] and report.rows == len(rows)
        other = reader.Dataset(path)
        for shard in other.shards():
            shard.verify()
        theirs = list(other.examples())
        assert len(theirs) == len(rows) and all(map(agrees, got, theirs)), (got, theirs)


def check_batch(batch: Any, rows: list[Any]) -> None:
    """Each column holds the rows' values."""
    if isinstance(batch, dict):
        for name, column in batch.items():
            check_batch(column, [None if row is None else row[name] for row in rows])
    elif isinstance(batch, tuple) or (isinstance(batch, list) and rows and isinstance(rows[0], list) and len(batch) == len(rows[0]) and not same(batch, rows)):
        for k, column in enumerate(batch):
            check_batch(column, [row[k] for row in rows])
    elif isinstance(batch, np.ma.MaskedArray):
        assert len(batch) == len(rows)
        for value, mask, row in zip(batch.data, np.ma.getmaskarray(batch), rows, strict=True):
            assert mask.all() if row is None and mask.size else (row is None or np.array_equal(value, np.asarray(row).astype(value.dtype), equal_nan=value.dtype.kind in "fc"))
    else:
        assert len(batch) == len(rows)
        for i, row in enumerate(rows):
            value = batch[i]
            if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not isinstance(row, np.ndarray)):
                assert row is None or np.array_equal(value, np.asarray(row, value.dtype), equal_nan=value.dtype.kind in "fc")
            else:
                assert row is None or same(value, row), (value, row)


@settings(max_examples=150, derandomize=True, **QUIET)
@given(datasets())
def test_written_is_read(case):
    check(case)


@pytest.mark.campaign
@settings(max_examples=int(os.environ.get("ATLAS_CAMPAIGN_EXAMPLES", "10000")), **QUIET)
@given(datasets())
def test_written_is_read_at_length(case):
    check(case)
