"""Sizes as users write them."""

import numpy as np
import pytest

from atlas_ds.dataset.sizes import format_bytes, parse_size


@pytest.mark.parametrize("size, wanted", [(7, (7, None)), (np.int64(7), (7, None)), ("64KB", (None, 65536)), ("1.5 mb", (None, 3 << 19)), ("2GiB", (None, 2 << 30)), (" 9 ", (None, 9))])
def test_sizes(size, wanted):
    assert parse_size(size, "x") == wanted


@pytest.mark.parametrize("size, error", [(0, ValueError), (-1, ValueError), ("0", ValueError), ("x", ValueError), ("1XB", ValueError), (True, TypeError), (1.5, TypeError), (None, TypeError)])
def test_wrong_sizes(size, error):
    with pytest.raises(error, match="block_size"):
        parse_size(size, "block_size")


def test_words():
    assert [format_bytes(n) for n in (0, 1023, 1536, 5 << 20, 3 << 50)] == ["0 B", "1023 B", "1.5 KB", "5.0 MB", "3072.0 TB"]
