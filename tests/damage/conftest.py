"""What the tests of damage share."""

import pytest

from atlas_ds.store import files


@pytest.fixture(autouse=True)
def every_piece_is_a_call_of_its_own(monkeypatch):
    """So that a fault can come between any two of them."""
    monkeypatch.setattr(files, "WRITE_BUFFER_BYTES", 0)
