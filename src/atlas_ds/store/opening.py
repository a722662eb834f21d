"""open_store: what a user gave as the place of a dataset, as a store."""

from __future__ import annotations

import os
from typing import cast

from atlas_ds.store.local import LocalStore
from atlas_ds.store.paths import local_path
from atlas_ds.store.store import Store


def open_store(place: str | os.PathLike[str] | Store, what: str = "path") -> Store:
    """A path becomes a LocalStore; a Store is returned as it is. Errors are those of local_path. what: the argument's name, for errors."""
    if is_store(place):
        return cast(Store, place)
    return LocalStore(local_path(cast(str, place), what))


def is_store(place: object) -> bool:
    """Whether it is a store, and not a path, of whatever type."""
    return callable(getattr(place, "read_ranges", None)) and not isinstance(place, str | os.PathLike)
