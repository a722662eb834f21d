"""Resolves rank="auto" and world_size="auto". Uses torch only if the program has imported it; never imports it."""

from __future__ import annotations

import os
import sys
from typing import SupportsIndex

from atlas_ds.order import keys


def rank_and_size(rank: SupportsIndex | str, world_size: SupportsIndex | str) -> tuple[int, int]:
    """Both as ints, 0 <= rank < world_size. "auto" asks torch.distributed if it is initialised, else RANK and WORLD_SIZE."""
    size = resolve("world_size", world_size)
    own = resolve("rank", rank)
    size = keys.count("world_size", size)
    return keys.count("rank", own, 0, size - 1), size


def resolve(name: str, value: SupportsIndex | str) -> SupportsIndex:
    if not isinstance(value, str):
        return value
    if value != "auto":
        raise ValueError(f'{name} {value!r} is neither an int nor "auto"')
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank() if name == "rank" else distributed.get_world_size())
    text = os.environ.get(name.upper())
    if text is None:
        raise ValueError(
            f'{name}="auto", but torch.distributed is not initialised and {name.upper()} is not set: '
            f"set it (torchrun does), or pass {name}="
        )
    if not text.isdecimal():
        raise ValueError(f'{name}="auto", but {name.upper()} is {text!r}, not a number')
    return int(text)
