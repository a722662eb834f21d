"""What goes to torch's DataLoader and its worker processes. Knows no torch; what default_collate takes is said in schema/tensors.py."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable
from typing import Any

from atlas_ds.schema.tensors import for_default_collate, meets_default_collate


def views_as_bytes() -> None:
    """From here on a memoryview is pickled and deep-copied as bytes.

    Without that, a worker's queue drops a batch that holds one (as copy=False gives for bytes and media), and the loop waits for it for ever.
    """
    copyreg.pickle(memoryview, bytes_of)  # type: ignore[arg-type]


def bytes_of(view: memoryview) -> tuple[type[bytes], tuple[bytes]]:
    return bytes, (bytes(view),)


def for_data_loader(examples: list[Any], doubtful: Callable[[], bool]) -> list[Any]:
    """The examples that a __getitems__ returns: as they are, unless torch's DataLoader asks and will give them to default_collate.

    doubtful: whether they may have values that it cannot take, changes or refuses without a word about the column.
    """
    if "torch.utils.data" not in sys.modules or not examples:
        return examples
    return for_default_collate(examples) if meets_default_collate(sys._getframe(2)) and doubtful() else examples
