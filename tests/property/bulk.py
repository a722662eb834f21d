"""Datasets of one column with many different rows, for hypothesis: there, values become smaller one by one, or narrower, or repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from atlas_ds import types

KINDS = {
    "array": types.array("int32", (40,)), "wide": types.array("int64", (9, 4)), "real": types.array("float32", (48,)), "list": types.list("int64"), "list of 30": types.list("int16", 30),
    "tensor": types.tensor("uint32", 1), "any": types.tensor("uint16"), "text": "str", "record": "str", "word": "str", "label": types.class_label([f"class {k}" for k in range(9)]), "bytes": "bytes", "few": types.array("float64", (5,)),
}  # fmt: skip


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, spread: int) -> np.ndarray:
    """Numbers near each other in steps, or all zero; or noise."""
    size = int(np.prod(shape))
    if rng.integers(6) == 0:
        return np.zeros(shape, dtype)
    if rng.integers(8) == 0 and spread > 1 << 20:
        return rng.integers(0, 256, size * np.dtype(dtype).itemsize, np.uint8).view(dtype).reshape(shape)
    low = int(rng.integers(spread))
    return (low + np.arange(size) // 8 % 5 * int(rng.integers(1, 9))).astype(dtype).reshape(shape)


def value(name: str, rng: np.random.Generator, spread: int) -> Any:
    kind = KINDS[name]
    if name == "text":
        return f"{rng.integers(spread)} " * 12 + "and so on " * 8
    if name == "record":
        return f'{{"user": {rng.integers(spread)}, "event": "click on button {rng.integers(13)}", "page": "/home/index.html", "price": {rng.integers(9999)}}}'
    if name == "word":
        return ("train", "test", "")[rng.integers(3)]
    if name == "few":
        return np.full(5, rng.integers(4) / 3)
    if name == "label":
        return int(rng.integers(9))
    if name == "bytes":
        return bytes([int(rng.integers(256))]) * int(rng.integers(0, 300))
    shape = kind.shape if isinstance(kind, types.Array) else (int(rng.integers(0, 90)),) if kind.ndim else (int(rng.integers(1, 9)), 8)
    found = np.abs(numbers(rng, shape, "int32", spread)).astype("float32") if kind.dtype == "float32" else numbers(rng, shape, kind.dtype, spread)
    return found.tolist() if kind.list else found


@st.composite
def bulk(draw: Any) -> tuple[Any, list[Any], dict[str, Any]]:
    """(schema, rows, writer options), as datasets() has them."""
    name = draw(st.sampled_from(sorted(KINDS)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([1, 90, 9000, 2**30]))
    missing = draw(st.sampled_from([0, 0, 3, 20]))
    spec = types.nullable(KINDS[name]) if missing else KINDS[name]
    rows = [{"v": None if missing and rng.integers(missing) == 0 else value(name, rng, spread)} for _ in range(draw(st.integers(1, 80)) if name != "record" else 400)]
    options = {
        "shard_size": draw(st.sampled_from([23, "256MB"])),
        "block_size": draw(st.sampled_from([None, None, None, 3, 16])),
        "compression": draw(st.sampled_from(["auto", "none", "lz4", "zstd", "zstd"])),
        "access": draw(st.sampled_from(["random", "scan"])),
        "dictionary": draw(st.sampled_from(["shared", "shard", None])),
        "level": draw(st.sampled_from([1, 3, 9])),
    }
    return {"v": spec}, rows, options
