"""Where a cache on a disk is, and how much it may take: what users say, made plain. It opens a cache, and reads nothing in it."""

from __future__ import annotations

import os
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas_ds.sizes import parse_bytes
from atlas_ds.store.lock import flock_spans_machines
from atlas_ds.store.paths import local_path

if TYPE_CHECKING:
    from atlas_ds.store.cache import Cache

VARIABLE = "ATLAS_CACHE_DIR"
SMALLEST = 1 << 20


@dataclass(frozen=True, slots=True)
class CachePlace:
    """path: its folder. limit: bytes; None: what is free on the disk, but for a part. chosen: by the user, who is told if there can be none there."""

    path: str
    limit: int | None
    chosen: bool

    def open(self) -> Cache | None:
        """The cache; None if there can be none, after a warning. OSError if the user chose the place."""
        from atlas_ds.store.byte_locks import HAVE
        from atlas_ds.store.cache import cache_at
        from atlas_ds.store.mirror import MirrorFailed

        folder = Path(self.path)
        if not HAVE:
            why = "this system has no locks of open files (OFD), by which processes share a cache: pass cache=None"
            if self.chosen:
                raise OSError(f"{folder}: {why}")
            return None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not flock_spans_machines(folder):
                folder = folder / f"host-{socket.gethostname()}"
                why = f"is on a network file system: {folder} is for this machine alone; a local disk is faster: set {VARIABLE}, or pass cache="
                warnings.warn(f"the cache {why}", stacklevel=2)
            return cache_at(folder)
        except (OSError, MirrorFailed) as error:
            if self.chosen:
                raise OSError(f"cache={self.path!r}: {error}") from error
            warnings.warn(f"{error}; without a cache on a disk, blocks are kept in memory: set {VARIABLE}, or pass cache=", stacklevel=2)
            return None


def default_folder() -> Path:
    """Where the cache is if nobody says: $ATLAS_CACHE_DIR, or "atlas-ds" in the user's folder for caches."""
    given = os.environ.get(VARIABLE)
    return local_path(given) if given else user_folder()


def user_folder() -> Path:
    """"atlas-ds" in the user's folder for caches."""
    above = os.environ.get("XDG_CACHE_HOME")
    return (Path(above) if above and os.path.isabs(above) else Path.home() / ".cache") / "atlas-ds"


def cache_place(cache: Any, limit: Any, *, wanted: bool) -> CachePlace | None:
    """What a user gave as cache= and cache_limit=. wanted: whether there is one if the user says nothing. None: no cache."""
    number = None if limit == "auto" else parse_bytes(limit, "cache_limit")
    if number is not None and number < SMALLEST:
        raise ValueError(f"cache_limit={limit!r}: give at least {SMALLEST:,} bytes, or cache=None for no cache on a disk")
    if cache is None or (cache == "auto" and not wanted):
        return None
    if cache == "auto":
        return CachePlace(str(default_folder()), number, chosen=False)
    return CachePlace(str(local_path(cache, "cache")), number, chosen=True)
