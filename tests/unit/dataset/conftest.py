"""One dataset with every type in several shards, read by many tests; nobody writes to it."""

from pathlib import Path

import pytest

from atlas_ds import AtlasDataset
from support import rich_rows, write

ROWS = 60


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("rich") / "d", rich_rows(ROWS), shard_size=17, block_size=4, metadata={"a": 1})


@pytest.fixture(scope="session")
def rich_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("rich") / "s", rich_rows(ROWS), shard_size=17, block_size=4, access="scan")


@pytest.fixture(params=["random", "scan", "pread", "views"])
def dataset(request, rich, rich_scan) -> AtlasDataset:
    """The same rows, read in every way."""
    if request.param == "pread":
        return AtlasDataset(rich, io="pread", memory_limit=4096)
    return AtlasDataset(rich_scan if request.param == "scan" else rich, copy=request.param != "views")


@pytest.fixture
def numbers(tmp_path: Path) -> AtlasDataset:
    return AtlasDataset(write(tmp_path / "numbers", range(100), shard_size=33, block_size=5))
