"""Sizes as people write them."""

import numpy as np
import pytest

from atlas_ds.sizes import format_binary, format_size, parse_bytes, parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64KB", 64_000), ("64kB", 64_000), ("64KiB", 65_536), ("256MB", 256_000_000), ("256MiB", 256 << 20), ("1GB", 10**9), ("1GiB", 1 << 30), ("2TB", 2 * 10**12),
        ("2TiB", 2 << 40), ("1.5 mb", 1_500_000), ("1.5mib", 3 << 19), (" 9 ", 9), ("9B", 9), ("0.3KB", 300), ("1.1GB", 1_100_000_000), ("9007199254740993", 2**53 + 1),
    ],
)  # fmt: skip
def test_text_is_bytes(text, count):
    assert parse_size(text, "x") == (None, count)
    assert parse_bytes(text, "x") == count


@pytest.mark.parametrize("size", [7, np.int64(7)])
def test_ints_are_examples_or_bytes(size):
    assert parse_size(size, "x") == (7, None)
    assert parse_bytes(size, "x") == 7


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (0, ValueError), (-1, ValueError), ("0", ValueError), ("0.0001KB", ValueError), ("x", ValueError), ("1XB", ValueError), ("9" * 5000, ValueError),
        ("1.MB", ValueError), ("-1MB", ValueError), ("1 M B", ValueError), (True, TypeError), (1.5, TypeError), (None, TypeError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("parse", [parse_size, parse_bytes])
def test_wrong_sizes(parse, size, error):
    with pytest.raises(error, match="block_size"):
        parse(size, "block_size")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (999_600, "1 MB"),
        (256e6, "256 MB"),
        (5e15, "5000 TB"),
    ],
)
def test_decimal_words(count, text):
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 << 20, "16 MiB"), (1 << 30, "1 GiB"), (3 << 50, "3072 TiB")],
)
def test_binary_words(count, text):
    assert format_binary(count) == text


@pytest.mark.parametrize("count", [1, 999, 64_000, 250_000_000, 3 * 10**12, 5 << 10, 64 << 20, 256 << 30])
def test_what_is_printed_is_read_the_same(count):
    text = format_size(count) if count % 1000 == 0 or count < 1000 else format_binary(count)
    assert parse_bytes(text, "x") == count
