"""Checks and copies the metadata of users, when it is passed, as JSON that a manifest can hold. It opens no file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from atlas_ds.errors import LimitError, SchemaError

MAX_INTEGER = (1 << 53) - 1  # of JSON's numbers, as RFC 8785 has them; also the most rows of a dataset
MAX_DEPTH = 64
MAX_BYTES = 128 << 20  # as JSON: half of what a manifest may have
MAX_VALUES = 1 << 23


def checked_metadata(metadata: Any) -> dict[str, Any]:
    """Returns a copy that a manifest can hold. NumPy numbers become Python numbers; tuples become lists.

    SchemaError names place and cure. LimitError where it is so large that a manifest would not be read.
    """
    if not isinstance(metadata, Mapping):
        raise SchemaError(f"metadata must be a dict with str keys, got {_described(metadata)}")
    copy: dict[str, Any] = _checked(metadata, "metadata", 0)
    data = json.dumps(copy, ensure_ascii=False, separators=(",", ":")).encode()
    for size, most, what in ((len(data), MAX_BYTES, "bytes as JSON"), (sum(map(data.count, (b",", b"[", b"{"))), MAX_VALUES, "values")):
        if size > most:
            raise LimitError(f"metadata takes {size:,} {what}; the limit is {most:,}: store it in a file or in a column")
    return copy


def _checked(value: Any, place: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise SchemaError(f"{place[:80]}...: metadata is nested deeper than {MAX_DEPTH} (does it contain itself?)")
    if isinstance(value, np.generic):
        value = _plain(value, place)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise SchemaError(f"{place} is {int(value)}: JSON numbers are exact up to 2^53 - 1 only; store it as str")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SchemaError(f"{place} is {float(value)}, which JSON cannot hold; store None or a str")
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key, place): _checked(inner, f"{place}[{key!r}]", depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(inner, f"{place}[{number}]", depth + 1) for number, inner in enumerate(value)]
    cure = "; give .tolist()" if hasattr(value, "tolist") else ""
    raise SchemaError(f"{place} is {_described(value)}, which JSON cannot hold: str, int, float, bool, None, lists and dicts can be stored{cure}")


def _plain(value: Any, place: str) -> Any:
    """Returns a NumPy number as a Python number, if it is the same number."""
    plain = value.item()
    if isinstance(plain, bool | int | float | str) and (plain == value or plain != plain):
        return plain
    raise SchemaError(f"{place} is {_described(value)}, which JSON cannot hold exactly; store it as str")


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise SchemaError(f"{place} has the key {key!r}, a {type(key).__name__}: keys must be str; give {str(key)!r}")
    return _text(key, f"a key of {place}")


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SchemaError(f"{place} is {value[:40]!r}, which has a lone surrogate: UTF-8 cannot hold it") from None
    return str(value)


def _described(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
