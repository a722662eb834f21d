"""One shard: its plan, and the checks of its values that the core cannot make."""

import numpy as np
import pytest

from atlas_ds import AtlasDataset, errors
from atlas_ds.shard import verify_shard
from atlas_ds.shard.notes import shard_notes
from atlas_ds.shard.open import open_shard, shard_schema
from atlas_ds.shard.plan import make_groups
from reference import sample
from reference.builder import Encoding, build
from reference.reader import Shard
from reference.wire import FIXED, VAR
from support import rich_rows, same, write


def test_groups():
    """Small columns together, bulky ones apart, 64 at most."""
    assert make_groups([8, 300, 4, 1000]) == [(0, 2), (1,), (3,)] and make_groups([1000]) == [(0,)] and make_groups([8, 8]) == [(0, 1)]
    many = make_groups([1000 + i for i in range(100)])
    assert len(many) == 64 and sorted(i for group in many for i in group) == list(range(100)) and many[0] == tuple(range(37))


def test_many_bulky_columns(tmp_path):
    rows = [{f"c{k}": np.random.default_rng(100 * i + k).bytes(300) for k in range(80)} for i in range(6)]
    path = write(tmp_path / "d", rows, block_size=2)
    assert same(list(AtlasDataset(path)), rows) and len(Shard((path / AtlasDataset(path).shards[0].path).read_bytes()).groups) == 64


def test_blocks_lie_in_the_order_of_their_rows(tmp_path):
    """So that a cut file keeps whole rows: no block stands before one whose rows end earlier."""
    path = write(tmp_path / "d", rich_rows(64), block_size=4)
    shard = Shard((path / AtlasDataset(path).shards[0].path).read_bytes())
    ends = sorted((entry.offset, (number + 1) * shard.groups[g].rows_per_block) for g, blocks in enumerate(shard.index) for number, entry in enumerate(blocks))
    assert [end for _, end in ends] == sorted(end for _, end in ends) and len(ends) > 30


def test_verify_returns_rows_and_tells_of_progress(tmp_path):
    path = write(tmp_path / "d", rich_rows(30))
    file = path / AtlasDataset(path).shards[0].path
    steps = []
    assert verify_shard(file, advance=steps.append) == 30 and all(n > 0 for n in steps) and sum(steps) < file.stat().st_size
    assert verify_shard(file, fast=True) == 30


def test_schema_and_stats_of_a_shard(tmp_path):
    path = write(tmp_path / "d", rich_rows(5))
    shard = open_shard(path / AtlasDataset(path).shards[0].path)
    assert shard_schema(shard) == AtlasDataset(path).schema and {c["path"] for c in shard_notes(shard)["columns"]} == {leaf.path for leaf in shard_schema(shard).leaves}


def test_a_shard_without_stats(tmp_path):
    (tmp_path / "x.atlas").write_bytes(build(sample.tiny()))
    assert shard_notes(open_shard(tmp_path / "x.atlas")) == {"columns": [], "icc": {}} and AtlasDataset(tmp_path / "x.atlas").stats()["columns"] == {}


@pytest.mark.parametrize(
    "kind, cells, how",
    [("bool", [b"\2"], FIXED), ("str", [b"\xff"], VAR), ("object", [b"\xc1"], VAR), ("object", [b""], VAR), ({"array": {"dtype": "bool", "shape": [2]}}, [b"\0\3"], FIXED), ({"tensor": {"dtype": "bool", "ndim": 1}}, [b"\3"], VAR), ({"tensor": {"dtype": "int16", "ndim": 1}}, [b"abc"], VAR)],
    ids=str,
)  # fmt: skip
def test_values_that_are_not_of_their_type(tmp_path, kind, cells, how):
    width = len(cells[0]) if how == FIXED else None
    (tmp_path / "x.atlas").write_bytes(build(sample.one(kind, cells, Encoding(how), width=width)))
    with pytest.raises(errors.CorruptError):
        verify_shard(tmp_path / "x.atlas")


def test_shards_of_the_reference_builder_read_alike(tmp_path):
    """Every layout, codec and flag, and an absent struct as a null: Atlas reads what the other writer wrote."""
    from support import agrees

    data = build(sample.rich())
    (tmp_path / "x.atlas").write_bytes(data)
    assert verify_shard(tmp_path / "x.atlas") == sample.ROWS
    for options in ({}, {"io": "pread", "memory_limit": 1}, {"verify": "always"}):
        assert all(map(agrees, AtlasDataset(tmp_path / "x.atlas", **options), Shard(data)))
    batch = AtlasDataset(tmp_path / "x.atlas").batch(slice(None))
    assert batch["box"]["x"].mask[2] and batch["box"]["name"][2] is None and batch["number"].tolist() == [1000 + 37 * i for i in range(sample.ROWS)]
