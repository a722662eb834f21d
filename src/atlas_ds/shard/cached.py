"""What a cache has of shards and of other files, checked by hashes. It fetches nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from atlas_ds import _core
from atlas_ds.errors import AtlasError
from atlas_ds.store.mirror import Mirror, MirrorFailed


class Checked(NamedTuple):
    """blocks: that are there. wrong: those that had to go. unknown: those of a shard whose dictionary is not in the cache."""

    blocks: int
    wrong: int = 0
    unknown: int = 0


def check_mirrors(mirrors: Iterable[Mirror]) -> Iterator[tuple[Mirror, Checked]]:
    """Checks the blocks of mirrors, and drops those whose hashes are wrong; a mirror whose ends are broken is removed.

    Shards with one dictionary have one copy of it in a cache, so some wait until another one was opened.
    """
    waiting, opened = [], []
    for mirror in mirrors:
        if not mirror.hashed and not mirror.stays():  # its ends were not fetched yet, and no block was
            yield mirror, Checked(0)
            continue
        try:
            if mirror.hashed:
                yield mirror, check(mirror, as_fetched(mirror))
                continue
            shard = _core.Shard(mirror.region(), str(mirror.path), whole=False, bind=False)
            if mirror.count not in (0, len(shard.blocks())):
                raise MirrorFailed("it has another number of blocks")
            if missing(shard, mirror):
                waiting.append(mirror)
                continue
            shard.bind_dictionaries()
        except (AtlasError, MirrorFailed):
            mirror.remove()
            yield mirror, Checked(mirror.count, mirror.count)
            continue
        opened.append(shard)  # which keeps its dictionaries known
        yield mirror, check(mirror, shard.check_block)
    for mirror in waiting:
        shard = _core.Shard(mirror.region(), str(mirror.path), whole=False, bind=False)
        if missing(shard, mirror):
            there = int(np.count_nonzero(mirror.shown()))
            yield mirror, Checked(there, unknown=there)
        else:
            shard.bind_dictionaries()
            yield mirror, check(mirror, shard.check_block)


def missing(shard: _core.Shard, mirror: Mirror) -> bool:
    """Whether a dictionary is neither known nor in the mirror."""
    stays = mirror.stays()
    return any((offset, size) not in stays for _, offset, size in shard.unknown_dictionaries())


def as_fetched(mirror: Mirror) -> Callable[[int], bool]:
    """Whether a block is as it was fetched, by the hashes that the mirror keeps."""
    memory = memoryview(mirror.region())
    starts, ends = mirror.blocks()
    return lambda number: mirror.is_right(number, memory[starts[number] : ends[number]])


def check(mirror: Mirror, is_right: Callable[[int], bool]) -> Checked:
    there = np.flatnonzero(mirror.shown()).tolist()
    states = mirror.states()
    wrong = [number for number in there if not is_right(number) and states[number]]
    for number in wrong:
        states.clear(number)
    return Checked(len(there), len(wrong))
