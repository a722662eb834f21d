"""Datasets that the loader's tests share; nobody writes to them."""

from pathlib import Path

import pytest

from support import rich_rows, write

ROWS = 60


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("loader") / "rich", rich_rows(ROWS), shard_size=17, block_size=4, metadata={"a": 1})


@pytest.fixture(scope="session")
def rich_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("loader") / "scan", rich_rows(ROWS), shard_size=17, block_size=4, access="scan")


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 rows {"i": row, "x": 8 floats of that row}."""
    import numpy as np

    rows = [{"i": i, "x": np.full(8, i, np.float32)} for i in range(1000)]
    return write(tmp_path_factory.mktemp("loader") / "numbers", rows, shard_size=300, block_size=16)
