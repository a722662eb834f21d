"""Which store a place is opened with: local.py for paths, object.py for URLs that obstore has, fsspec_store.py for all else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from atlas_ds.store.local import open_store as open_folder
from atlas_ds.store.paths import is_url
from atlas_ds.store.storage_options import UrlOptions, family_of
from atlas_ds.store.store import Store


def open_store(url: str, storage_options: Mapping[str, Any] | UrlOptions | None = None) -> Store:
    """The store at a URL. UnsupportedError for a scheme that nobody knows; ValueError for a wrong URL or option. It asks nobody."""
    if family_of(url.partition(":")[0]) is not None:
        from atlas_ds.store.object import ObjectStore  # here, because it imports asyncio, which takes as long as all of Atlas

        return ObjectStore(url, storage_options)
    from atlas_ds.store.fsspec_store import FsspecStore

    return FsspecStore(url, storage_options)


def open_to_write(
    given: str | os.PathLike[str] | Store, what: str = "path", storage_options: Mapping[str, Any] | None = None, *, single_writer: bool = False
) -> Store:
    """The store that a user wants written: at a path, a URL, or one that was made before. what: the argument, for errors. single_writer: nobody else
    writes there meanwhile, so that the store need not look at conditions."""
    if not is_url(given):
        if storage_options is not None or single_writer:
            raise ValueError(f"{'storage_options' if storage_options is not None else 'single_writer'}= is for URLs, and {what}= is a path or a store")
        return open_folder(given, what)
    store = open_store(given, storage_options)
    if single_writer:
        from atlas_ds.store.object import ObjectStore

        if isinstance(store, ObjectStore):
            store.alone = True
    return store
