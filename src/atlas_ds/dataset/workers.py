"""Prepares examples for torch's DataLoader and its worker processes. It does not import torch itself."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable
from typing import Any

from atlas_ds.schema.tensors import for_default_collate, meets_default_collate


def views_as_bytes() -> None:
    """Registers memoryview to be pickled and deep-copied as bytes, from now on.

    Otherwise the queue of a worker drops a batch that holds one (which copy=False returns for bytes and media), and the loop waits forever.
    """
    copyreg.pickle(memoryview, bytes_of)  # type: ignore[arg-type]


def bytes_of(view: memoryview) -> tuple[type[bytes], tuple[bytes]]:
    return bytes, (bytes(view),)


def for_data_loader(examples: list[Any], doubtful: Callable[[], bool]) -> list[Any]:
    """Returns the examples of a __getitems__: unchanged, unless torch's DataLoader calls it and passes them to default_collate.

    doubtful: whether there may be values that default_collate changes, or rejects without naming the column.
    """
    if "torch.utils.data" not in sys.modules or not examples:
        return examples
    return for_default_collate(examples) if meets_default_collate(sys._getframe(2)) and doubtful() else examples
