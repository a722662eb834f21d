"""Many shards: what is known of them without opening one, and reading them with few descriptors."""

import json
import os

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from atlas_ds.dataset.manifest import Manifest
from support import child, write

COUNT = 10_000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A manifest of 10,000 shards whose files do not exist, and the dataset of ten that it was made of."""
    ten = write(tmp_path_factory.mktemp("many") / "ten", [{"x": i, "s": str(i)} for i in range(100)], shard_size=10, icc=["x"])
    found = AtlasDataset(ten)._state.manifest
    shards = tuple(found.shards[k % 10]._replace(path=f"{k:05d}-{found.shards[k % 10].root}.atlas") for k in range(COUNT))
    folder = ten.with_name("many")
    folder.mkdir()
    (folder / "atlas.json").write_bytes(Manifest(found.schema, shards, {}, {}, found.icc, found.totals).dumps())
    return folder, ten


def test_stats_open_no_shard(many):
    folder, ten = many
    dataset = AtlasDataset(folder)
    stats = dataset.stats()
    assert stats["rows"] == 10 * COUNT and stats["columns"].keys() == AtlasDataset(ten).stats()["columns"].keys()
    assert dataset.shard_set.is_open == []


def test_chunks_open_no_shard(many):
    dataset = AtlasDataset(many[0])
    assert int(np.sum(dataset.chunk_rows())) == 10 * COUNT
    assert dataset.shard_set.is_open == []


READ = """
import json, resource, sys
from atlas_ds import AtlasDataset
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
ds = AtlasDataset(sys.argv[1], io=sys.argv[2])
one = [ds[i] for i in range(0, len(ds), 3)]
print(json.dumps([one == list(range(0, len(ds), 3)), ds.batch(slice(None)).tolist() == list(range(len(ds))), list(ds) == list(range(len(ds)))]))
"""


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_1100_shards_with_256_descriptors(tmp_path, io):
    write(tmp_path / "d", list(range(2200)), shard_size=2)
    assert len(os.listdir(tmp_path / "d")) >= 1100
    assert json.loads(child(READ, tmp_path / "d", io).stdout) == [True] * 3


OPEN = """
import re, sys
from atlas_ds import AtlasDataset
dataset = AtlasDataset(sys.argv[1])
most = re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1]  # of this program: what getrusage says began before it
print(len(dataset), int(most) // 1024)
"""


def test_a_hundred_thousand_shards_are_opened_in_200_megabytes(many, tmp_path):
    manifest = AtlasDataset(many[0])._state.manifest
    shards = tuple(shard._replace(path=f"{k:06d}-{shard.root}.atlas") for k, shard in enumerate(manifest.shards * 10))
    (tmp_path / "atlas.json").write_bytes(Manifest(manifest.schema, shards, {}, {}, manifest.icc, manifest.totals).dumps())
    rows, megabytes = map(int, child(OPEN, tmp_path).stdout.split())
    assert rows == 100 * COUNT and megabytes <= 200
