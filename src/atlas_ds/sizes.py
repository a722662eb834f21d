"""Sizes as people write and read them: "256MB" is 256 * 10^6 bytes, "256MiB" is 256 * 2^20.

The one parser and printer of sizes; it knows nothing else.
"""

from __future__ import annotations

import re

DECIMAL = ("B", "kB", "MB", "GB", "TB")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
UNITS = {
    "": 1,
    **{unit.upper(): 1000**power for power, unit in enumerate(DECIMAL)},
    **{unit.upper(): 1024**power for power, unit in enumerate(BINARY)},
}
_SIZE = re.compile(r"\s*([0-9]{1,30})(?:\.([0-9]{1,30}))?\s*([A-Za-z]*)\s*")


def parse_size(size: int | str, name: str) -> tuple[int | None, int | None]:
    """(rows, bytes) of an option that takes a number of examples (int) or bytes (str); one is None.

    Units in any case: kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB are powers of 1024.
    name: of the option, for errors.
    """
    if not isinstance(size, bool | int | str) and hasattr(size, "__index__"):
        size = size.__index__()  # one of NumPy's
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise TypeError(f"{name} must be a number of examples (int) or bytes (str such as '64KiB'), not {size!r}")
    if isinstance(size, int):
        if size < 1:
            raise ValueError(f"{name}={size}: must be at least one example")
        return size, None
    found = _SIZE.fullmatch(size)
    if found is None or found[3].upper() not in UNITS:
        raise ValueError(f"{name}={size!r}: write bytes as '64KiB', '256MB' or '1GB', or give a number of examples")
    digits, decimals = found[1] + (found[2] or ""), len(found[2] or "")
    count = int(digits) * UNITS[found[3].upper()] // 10**decimals
    if count < 1:
        raise ValueError(f"{name}={size!r}: must be at least 1 byte")
    return None, count


def parse_bytes(size: int | str, name: str) -> int:
    """A number of bytes of an option that takes one as int or as text ("64MiB")."""
    try:
        number, text = parse_size(size, name)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}={size!r}: give bytes, as a number or as text such as '64MiB'") from None
    return number or text or 0


def format_size(count: int | float) -> str:
    """Bytes in decimal units, with three digits: 1.23 MB."""
    return _formatted(count, 1000, DECIMAL)


def format_binary(count: int | float) -> str:
    """Bytes in binary units, with three digits: 16 MiB. For limits, which are powers of two."""
    return _formatted(count, 1024, BINARY)


def _formatted(count: int | float, base: int, units: tuple[str, ...]) -> str:
    value = float(count)
    for unit in units:
        if value < base - 0.5 or unit == units[-1]:
            break
        value /= base
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"
