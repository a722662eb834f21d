"""Canonical JSON (RFC 8785) of the parts of a manifest, and how its numbers are read. What the members mean is in manifest.py."""

from __future__ import annotations

import json
import re
from math import inf
from typing import Any

import rfc8785

from atlas_ds.dataset.metadata import MAX_INTEGER

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def canonical(value: Any) -> bytes:
    """The canonical form of any JSON value."""
    data: bytes = rfc8785.dumps(value)
    return data


def canonical_plain(value: Any) -> bytes:
    """As canonical, several times as fast, for values without floats whose names all consist of ASCII characters."""
    return _dumps(value, sort_keys=True)


def canonical_text(value: Any) -> bytes:
    """As canonical, for values without floats: quick where everything is ASCII, whose names sort the same by UTF-16 and by code point."""
    data = canonical_plain(value)
    return data if data.isascii() else canonical(value)


def canonical_members(members: dict[str, Any]) -> bytes:
    """As canonical_plain for the values; the names of these members may be any text."""
    return _dumps(dict(sorted(members.items(), key=lambda item: item[0].encode("utf-16-be"))), sort_keys=False)


def _dumps(value: Any, *, sort_keys: bool) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort_keys).encode()


def load_json(data: bytes, *, exact: bool = False) -> Any:
    """Parses JSON; ValueError where readers could differ: UTF-8 only, no NaN or infinity, no lone surrogate, and of two equal names the last.

    exact: refuses equal names, and an integer beyond MAX_INTEGER is the float that RFC 8785 writes so.
    """
    text = data.decode("utf-8")
    hooks: dict[str, Any] = {"object_pairs_hook": once, "parse_int": as_number} if exact else {}
    body = json.loads(text, parse_constant=no_constant, **hooks)
    if SURROGATE.search(text) is not None:
        json.dumps(body, ensure_ascii=False).encode()
    return body


def as_number(value: float | str) -> int | float:
    """A number as RFC 8785 has it: beyond MAX_INTEGER it is a float."""
    try:
        number = float(value)
    except OverflowError:
        return inf
    return int(value) if not isinstance(value, float) and abs(number) <= MAX_INTEGER else number


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a duplicate member")
    return found


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
