"""Puts `tests/` on the import path and leaves out the campaigns unless they are asked for. No fixtures that write datasets here."""

import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import no_locks as without  # noqa: E402

NUMBERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Test files in memory where there is room: thousands of small datasets are not worth a disk's fsync."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long forms run only with -m campaign (or another -m that names them)."""
    if config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("campaign")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Blocks of URLs are kept where these tests are, and not where the user has them. No test finds what another one fetched, unless it asks for it."""
    os.environ["ATLAS_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(Path(os.environ["ATLAS_CACHE_DIR"]) / f"{next(NUMBERS)}"))


@pytest.fixture(scope="session")
def server():
    """One real S3 for all tests; who puts files there names them as nobody else does."""
    from servers import s3

    with s3.running() as found:
        yield found


@pytest.fixture
def link(server):
    """A proxy in front of it, which writes down the requests, and does what it is told to the answers."""
    from servers import proxy

    with proxy.in_front_of(server.endpoint) as found:
        yield found


@pytest.fixture(scope="session")
def noflock(tmp_path_factory):
    """The library that makes locks fail, for LD_PRELOAD; see no_locks.environment."""
    return without.build(tmp_path_factory.mktemp("noflock"))


@pytest.fixture(scope="session")
def no_locks(noflock):
    """no_locks(code, *args, error="ENOLCK"): Python in a child where every lock of a file fails."""
    return without.child_without(noflock)
