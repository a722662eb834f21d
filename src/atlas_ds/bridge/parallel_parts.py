"""Writes a dataset in independent parts, several at a time. The result does not depend on their
order; finished parts can be kept after a failure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from atlas_ds.dataset.journal import Journal, exclusive
from atlas_ds.dataset.names import MANIFEST, PART_DONE, PARTS, parse_part_name
from atlas_ds.dataset.output import has_strangers
from atlas_ds.dataset.parts import check_parts, finish_removal, merge, part_store, remove_part, remove_parts
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.store.local import LocalStore
from atlas_ds.store.store import Store

MAX_NOTE_BYTES = 64 << 20  # of the note of a part
MAX_WORKERS = 4  # each holds about 60 MB of rows and blocks that are not written yet


@dataclass(frozen=True, slots=True)
class Part:
    """identity: JSON that is equal exactly if the part is. write: adds the examples to a writer
    until the event says stop, and returns JSON to keep with the part. is_note: whether some JSON
    can be a return value of write."""

    identity: Any
    write: Callable[[AtlasDatasetWriter, Event], Any]
    is_note: Callable[[Any], bool]


class Stopped(Exception):
    """Another part failed."""


def write_parts(
    dst: Path, parts: Sequence[Part], make_writer: Callable[[int], AtlasDatasetWriter], *, overwrite: bool, resume: bool, workers: int | None,
    check: Callable[[list[Any]], None] = lambda notes: None,
) -> list[Any]:
    """Writes the parts, merges them into the dataset dst, and returns the notes that their write
    calls returned. An error leaves dst unchanged. resume: finished parts are kept in a hidden
    folder, and the next call does not write them again. check: raises if the notes forbid
    merging."""
    check_place(dst, overwrite)
    store = LocalStore(dst)
    check_parts(store)
    made = store.create()
    try:
        with exclusive(store) as own:
            return _write_parts(store, parts, make_writer, own, check, overwrite=overwrite, resume=resume, workers=workers)
    finally:
        if made:
            store.remove_if_empty()


def _write_parts(
    dst: Store, parts: Sequence[Part], make_writer: Callable[[int], AtlasDatasetWriter], own: Journal, check: Callable[[list[Any]], None], *,
    overwrite: bool, resume: bool, workers: int | None,
) -> list[Any]:
    finish_removal(dst)
    if not resume:
        remove_parts(dst)
    stop = Event()

    def one(number: int) -> Any:
        home = part_store(dst, number)
        kept = read_done(home, parts[number])
        if kept is not None:
            return kept[0]
        remove_part(home)
        if stop.is_set():
            raise Stopped
        with make_writer(number) as writer:
            note = parts[number].write(writer, stop)
        home.put(PART_DONE, json.dumps({"identity": parts[number].identity, "note": note}).encode())
        return note

    try:
        notes = run(one, len(parts), stop, workers)
        check(notes)
        written = dst.inside(PARTS)
        for stale in written.entries():
            number = parse_part_name(stale.removesuffix("/"))
            if number is not None and number >= len(parts):
                remove_part(written.inside(stale.removesuffix("/")))
        merge(dst, overwrite, {}, len(parts), own)
    except BaseException:
        if not resume:
            remove_parts(dst)
        raise
    return notes


def run(one: Callable[[int], Any], count: int, stop: Event, workers: int | None) -> list[Any]:
    """Calls one(0), one(1), ... on threads. The first error, by number, stops the others and is
    raised."""
    threads = min(count, workers if workers is not None else min(MAX_WORKERS, os.cpu_count() or 1))
    if threads <= 1:
        return [one(number) for number in range(count)]
    with ThreadPoolExecutor(threads, "atlas-part") as pool:
        futures = [pool.submit(one, number) for number in range(count)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if any(not future.done() or future.exception() for future in futures):
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
    errors = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in futures]


def read_done(home: Store, part: Part) -> list[Any] | None:
    """[note] of a part that is finished and has the same identity, else None."""
    try:
        done = json.loads(home.read(PART_DONE, limit=MAX_NOTE_BYTES, follow=False)[0])
    except (OSError, ValueError, RecursionError):
        return None
    fits = isinstance(done, dict) and done.keys() == {"identity", "note"} and done["identity"] == part.identity and part.is_note(done["note"])
    return [done["note"]] if fits and home.is_plain(MANIFEST) else None


def check_place(dst: Path, overwrite: bool) -> None:
    """FileExistsError if parts cannot become the dataset dst. Checked before hours of work."""
    if dst.is_file():
        raise FileExistsError(f"{dst} is a file; a dataset is a folder")
    if (dst / MANIFEST).exists() and not overwrite:
        raise FileExistsError(f"{dst}: a dataset already exists: pass overwrite=True to replace it, append=True to add to it, or choose another folder")
    if dst.is_dir() and not (dst / MANIFEST).exists() and has_strangers(LocalStore(dst)):
        raise FileExistsError(f"{dst}: the folder has other files, but no dataset: choose a new or empty folder")
