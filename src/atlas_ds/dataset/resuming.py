"""Checks what a stopped writer left before another one resumes: whether their options agree, and which shards are intact. It changes no file."""

from __future__ import annotations

import warnings
from typing import Any

from atlas_ds import _core
from atlas_ds.dataset.journal import FoundJournal, damaged
from atlas_ds.dataset.manifest import brief
from atlas_ds.dataset.names import ordinal_of
from atlas_ds.errors import CorruptError, StoreError
from atlas_ds.progress import Progress
from atlas_ds.schema.schema import schema_from_json
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.notes import shard_notes
from atlas_ds.shard.open import open_footer, open_stored, shard_info
from atlas_ds.shard.totals import Totals, shard_totals
from atlas_ds.shard.verify import verify_opened
from atlas_ds.store.store import Store, place_of
from atlas_ds.text import listed

UNDER_WAY = 4  # shards that a writer may have noted before the first of them is at its URL


def check_resumable(stopped: FoundJournal, options: dict[str, Any]) -> None:
    """ValueError if a writer with these options cannot resume; CorruptError if the journal is inconsistent."""
    assert stopped.head is not None
    was = stopped.head.options
    differ = [name for name in options if was.get(name) != options[name]]
    if differ:
        given = ", ".join(f"{name}={brief(was.get(name))}" for name in differ)
        now = ", ".join(f"{name}={options[name]!r}" for name in differ)
        raise ValueError(f"{stopped.place}: the stopped writer was given {given}, this one {now}: pass the same, or start over with overwrite=True")
    check_order(stopped)
    shards = stopped.shards
    if len({info.path for _, info in shards}) != len(shards):
        raise damaged(stopped.place, 1, "is followed by one shard twice")
    if shards and stopped.schema is None:
        raise damaged(stopped.place, 1, "is followed by shards without their schema")


def check_order(stopped: FoundJournal) -> None:
    """CorruptError unless shards are in the order of a writer: by number, without a gap if there are no splits."""
    assert stopped.head is not None
    numbers: dict[str | None, list[int]] = {split: [] for split in stopped.streams}
    for split, info in stopped.shards:
        if split is not None and split not in numbers:
            raise damaged(stopped.place, 1, f"is followed by a shard of the split {split[:80]!r}, which was never begun")
        numbers.setdefault(split, []).append(ordinal_of(info.path))
    if None in numbers and len(numbers) > 1:
        raise damaged(stopped.place, 1, "is followed by shards with a split and shards without one")
    for found in numbers.values():
        if found != sorted(found):
            raise damaged(stopped.place, 1, "is followed by shards out of order")
    plain = numbers.get(None, [])
    if plain and len(set(plain)) == len(plain) and plain != list(range(stopped.head.first, stopped.head.first + len(plain))):
        raise damaged(stopped.place, 1, f"is followed by shards {plain[:10]}, whose numbers are not consecutive from {stopped.head.first}")


def intact_shards(store: Store, stopped: FoundJournal, progress: bool) -> list[tuple[str | None, ShardInfo, Totals]]:
    """Returns the finished shards that can be kept, and their totals: of each split those before the first missing or damaged one, which a warning names.

    Reads every byte; at a URL only the footers.
    """
    kept, broken, shards = [], set(), stopped.shards
    schema_json = schema_from_json(stopped.schema, where=stopped.place).dumps() if shards else b""
    with Progress(sum(info.bytes for _, info in shards), "checking finished shards", "bytes", progress) as bar:
        for number, (split, info) in enumerate(shards):
            if split in broken:
                continue
            try:
                if store.far:  # what is there is whole
                    shard = open_footer(store, info)
                    bar.advance(info.bytes)
                else:
                    need_file(store, info.path)
                    shard = open_stored(store, info.path)
                    verify_opened(shard, advance=bar.advance)
            except StoreError:
                raise  # nothing is said of the shard, which must not be removed
            except (CorruptError, OSError) as error:
                broken.add(split)
                late = UNDER_WAY if store.far else 1  # the last were noted just before they were published
                if number + late < len(shards) or not isinstance(error, FileNotFoundError):
                    why = f"resuming before a finished shard that is missing or damaged: {error}"
                    warnings.warn(f"{place_of(store)}: {why}", RuntimeWarning, stacklevel=5)
                continue
            compare(stopped, info, schema_json, shard)
            kept.append((split, info, shard_totals(info, shard_notes(shard))))
    return kept


def need_file(store: Store, name: str) -> None:
    """CorruptError for a link: writers make files."""
    if not store.is_plain(name) and store.info(name):  # info raises for what is missing, or is something else
        raise CorruptError(f"{place_of(store, name)}: is a link, which no writer creates")


def compare(stopped: FoundJournal, info: ShardInfo, schema_json: bytes, shard: _core.Shard) -> None:
    """CorruptError unless the journal and an intact shard agree."""
    if shard.schema_json != schema_json:
        cure = "move the shard and the journal away, or write again"
        raise CorruptError(f"{stopped.place}: names {info.path}, whose columns are not those of the journal: {cure}")
    found = shard_info(shard, info.path)
    if info != found:
        names = [name for name in info._fields if getattr(info, name) != getattr(found, name)]
        said, has = ([getattr(one, name) for name in names] for one in (info, found))
        why = f"names {info.path} with {listed(names)} {said}, but the file has {has}"
        raise CorruptError(f"{stopped.place}: {why}: one of them was changed; restore it, or write again")
