"""What the tests of damage share."""

import pytest

from atlas_ds.store import local
from damage import no_locks as without


@pytest.fixture(autouse=True)
def every_piece_is_a_call_of_its_own(monkeypatch):
    """So that a fault can come between any two of them."""
    monkeypatch.setattr(local, "TOGETHER", 0)


@pytest.fixture(scope="session")
def noflock(tmp_path_factory):
    """The library that makes locks fail, for LD_PRELOAD; see no_locks.environment."""
    return without.build(tmp_path_factory.mktemp("noflock"))


@pytest.fixture(scope="session")
def no_locks(noflock):
    """no_locks(code, *args, error="ENOLCK"): Python in a child where every lock of a file fails."""
    return without.child_without(noflock)
