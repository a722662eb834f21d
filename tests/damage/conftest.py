"""What the tests of damage share."""

import pytest

from atlas_ds.store import local_file


@pytest.fixture(autouse=True)
def every_piece_is_a_call_of_its_own(monkeypatch):
    """So that a fault can come between any two of them."""
    monkeypatch.setattr(local_file, "WRITE_BUFFER_BYTES", 0)
