"""What the loader's tests share: functions that other processes can import, exact comparison of batches. No tests here."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any, NamedTuple

import numpy as np

from atlas_ds import Loader, Ragged
from support import same


def alike(a: Any, b: Any) -> bool:
    """`same`, for batches too: tensors equal in dtype and bits, Ragged in rows, values and masks."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(alike(a[name], b[name]) for name in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        return len(a) == len(b) and same(rows_of(a), rows_of(b))
    if hasattr(a, "detach") and hasattr(b, "detach"):
        return same(a.numpy(), b.numpy())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    return same(a, b)


def rows_of(column: Ragged) -> list[Any]:
    return [None if column[i] is None else np.asarray(column[i]) for i in range(len(column))]


def load(dataset: Any, **options: Any) -> Loader:
    """A loader with the options that most tests want."""
    return Loader(dataset, **({"batch_size": 7, "seed": 5, "format": "numpy", "last_batch": "short", "num_threads": 2} | options))


def ids(batches: Any, name: str = "i") -> list[list[int]]:
    """The ids of each batch."""
    return [[int(i) for i in batch[name]] for batch in batches]


# --- transforms ---------------------------------------------------------------


def slowly(example: dict[str, Any]) -> dict[str, Any]:
    """Takes 0 to 2 ms, never the same."""
    time.sleep(random.random() / 500)
    return example


def with_pid(example: dict[str, Any]) -> dict[str, Any]:
    return slowly(example) | {"pid": os.getpid()}


def with_noise(example: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {"i": example["i"], "noise": rng.integers(1 << 60)}


def with_noise_slowly(example: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return with_noise(slowly(example), rng)


def batch_noise(batch: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {"i": batch["i"], "noise": rng.integers(1 << 60, size=len(batch["i"]))}


class TwoPartError(Exception):
    """Cannot be made again from its args."""

    def __init__(self, what: str, where: int) -> None:
        super().__init__(f"{what} at {where}")


def fail_at_77(example: dict[str, Any]) -> dict[str, Any]:
    if example["i"] == 77:
        raise KeyError("this row has no caption")
    return example


def fail_oddly_at_77(example: dict[str, Any]) -> dict[str, Any]:
    if example["i"] == 77:
        raise TwoPartError("no caption", 77)
    return example


def unpicklable_at_77(example: dict[str, Any]) -> dict[str, Any]:
    return example | {"more": (lambda: 1) if example["i"] == 77 else None}


def killed_at_77(example: dict[str, Any]) -> dict[str, Any]:
    if example["i"] == 77:
        os.kill(os.getpid(), signal.SIGKILL)
    return example


def hang_at_77(example: dict[str, Any]) -> dict[str, Any]:
    if example["i"] == 77:
        time.sleep(600)
    return example


def hang_if_77(batch: dict[str, Any]) -> dict[str, Any]:
    if 77 in batch["i"]:
        time.sleep(20)
    return batch


def tensors(example: dict[str, Any]) -> dict[str, Any]:
    import torch  # here only: it takes a process seconds

    return {"i": example["i"], "x": torch.from_numpy(example["x"]) * 2}


def as_it_is(example: Any) -> Any:
    return example


class Pair(NamedTuple):
    x: int
    y: int


def as_pair(example: dict[str, Any]) -> Pair:
    return Pair(example["x"], 2)


def bfloat16(example: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {"c": torch.full((2,), example["x"]).bfloat16()}


def with_grad(example: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {"c": torch.full((2,), float(example["x"]), requires_grad=True) * 1}


def masked_rows(example: dict[str, Any]) -> dict[str, Any]:
    return {"c": np.ma.masked_equal(np.arange(3), example["x"])}


def texts_only(example: dict[str, Any]) -> dict[str, Any]:
    return {"c": str(example["x"])}


def nothing(example: dict[str, Any]) -> None:
    return None
