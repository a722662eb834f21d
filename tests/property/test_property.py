"""Generated schemas and rows: what Atlas writes, Atlas and the plain-Python reference read alike, and both verify it."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import atlas_ds as atlas
from reference import reader, wire
from support import agrees, same, write

from .bulk import bulk
from .moments import row_as_read
from .strategies import datasets

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # thousands of small datasets: not worth a disk's fsync
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


FORMS: Counter[tuple[Any, ...]] = Counter()  # of the pages of every shard so far


def forms_of(shard: reader.Shard) -> list[tuple[Any, ...]]:
    """(kind of leaf, layout, codec, values of a cell (0, 1, 2: several), with nulls, with a dictionary) of each page."""
    out = []
    for group, index in enumerate(shard.index):
        leaves = [shard.leaves[position] for position in shard.members[group]]
        for number in range(len(index)):
            _, pages = shard.block(group, number)
            out += [(leaf.kind, page.layout, page.codec, min(page.cell_rows, 2), page.nulls > 0, page.dictionary > 0) for leaf, page in zip(leaves, pages, strict=True)]
    return out


def check(case: tuple[Any, list[Any], dict[str, Any]]) -> None:
    schema, given, options = case
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        path = write(Path(scratch) / "d", given, schema=schema, **options)
        for dataset in (atlas.AtlasDataset(path), atlas.AtlasDataset(path, verify="always", io="pread", memory_limit=1)):
            assert len(dataset) == len(given)
            rows = [row_as_read(row, dataset.schema) for row in given]
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
            FORMS.update(forms_of(shard))
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
            if isinstance(value, np.datetime64):
                assert np.isnat(value) if row is None else moment(row, value.dtype) == value
            elif isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not isinstance(row, np.ndarray)):
                assert row is None or np.array_equal(value, np.asarray(row, value.dtype), equal_nan=value.dtype.kind in "fc")
            else:
                assert row is None or same(value, row), (value, row)


def moment(row: Any, dtype: np.dtype[Any]) -> np.datetime64:
    """What a batch has for a moment or a day that an example has."""
    if isinstance(row, datetime.datetime) and row.tzinfo is not None:
        row = row.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(row).astype(dtype)


@settings(max_examples=25, derandomize=True, **QUIET)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=9, unique=True), st.data())
def test_appending_adds_classes(names: list[str], data: st.DataObject) -> None:
    """Each append has all names so far and maybe more; the shards keep the names of their time."""
    known, labels = 0, []
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        path = Path(scratch) / "d"
        for _ in range(data.draw(st.integers(1, 4))):
            known = data.draw(st.integers(max(known, 1), len(names)))
            new = data.draw(st.lists(st.one_of(st.none(), st.integers(0, known - 1)), min_size=1, max_size=5))
            write(path, [{"k": label} for label in new], schema={"k": atlas.types.nullable(atlas.types.class_label(names[:known]))}, append=path.exists())
            labels += new
        dataset = atlas.AtlasDataset(path)
        assert [row["k"] for row in dataset] == labels == [row["k"] for row in reader.Dataset(path).examples()]
        assert dataset.schema["k"].type.names == tuple(names[:known]) and atlas.verify(path).damages == []
        assert dataset.batch(range(len(labels)))["k"].tolist() == labels


@settings(max_examples=150, derandomize=True, **QUIET)
@given(datasets())
def test_written_is_read(case):
    check(case)


CELLED = [(wire.FIXED_LEAF, wire.FIXED), (wire.FIXED_LEAF, wire.NARROW), (wire.VARIABLE_LEAF, wire.NARROW), (wire.VARIABLE_LEAF, wire.VAR)]


def check_census(*, codecs: tuple[int, ...]) -> None:
    """Every form of cells, and narrowed lists, were among the pages that were written, with nulls and without."""
    seen = {form[:5] for form in FORMS}
    wanted = {(*form, codec, together, nulls) for form in CELLED for codec in codecs for together in (1, 2) for nulls in (False, True)}
    wanted |= {(wire.VARIABLE_LEAF, wire.NARROW, wire.NONE, 0, nulls) for nulls in (False, True)}
    wanted |= {(kind, layout, wire.NONE, 0, nulls) for kind in (1, 2) for layout in (wire.CONST, wire.ENUM) for nulls in (False, True)}
    assert wanted <= seen, sorted(wanted - seen)
    assert any(dictionary and cells for _, _, _, cells, _, dictionary in FORMS)


def test_many_rows_are_read_and_have_every_form() -> None:
    FORMS.clear()
    settings(max_examples=500, derandomize=True, **QUIET)(given(bulk())(check))()
    check_census(codecs=(wire.ZSTD,))


@pytest.mark.campaign
def test_written_is_read_at_length() -> None:
    FORMS.clear()
    count = int(os.environ.get("ATLAS_CAMPAIGN_EXAMPLES", "10000"))
    settings(max_examples=count, **QUIET)(given(st.one_of(datasets(), datasets(), bulk()))(check))()
    print(*sorted(FORMS.items()), sep="\n")
    check_census(codecs=(wire.LZ4, wire.ZSTD))
