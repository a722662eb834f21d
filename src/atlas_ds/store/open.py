"""Which store a URL is opened with: object.py for what obstore has, fsspec_store.py for all else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atlas_ds.store.storage_options import UrlOptions, family_of
from atlas_ds.store.store import Store


def open_store(url: str, storage_options: Mapping[str, Any] | UrlOptions | None = None) -> Store:
    """The store at a URL. UnsupportedError for a scheme that nobody knows; ValueError for a wrong URL or option. It asks nobody."""
    if family_of(url.partition(":")[0]) is not None:
        from atlas_ds.store.object import ObjectStore  # here, because it imports asyncio, which takes as long as all of Atlas

        return ObjectStore(url, storage_options)
    from atlas_ds.store.fsspec_store import FsspecStore

    return FsspecStore(url, storage_options)
