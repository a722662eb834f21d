"""Writes groups of tars for import_webdataset: each group is one part of the dataset, or all are
appended to an existing one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from threading import Event, Lock
from typing import Any, NamedTuple

from atlas_ds.bridge.parallel_parts import Stopped
from atlas_ds.bridge.refusals import MAX_LINES, Refusals, at_place
from atlas_ds.bridge.webdataset import tars
from atlas_ds.bridge.webdataset.samples import Rules, Sample, Tally
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.text import count, printable

STREAM_SAMPLES = 256  # of a stream, from which its fields are known
UNSTORED = "values that cannot be stored"
STEP = 64  # samples between two checks whether to stop


@dataclass(frozen=True, slots=True)
class Job:
    """Settings shared by all groups of tars. started: streams whose first samples have been
    read, and which continue from there, once each."""

    rules: Rules
    fields: frozenset[str]
    converts: Mapping[str, tars.Convert]
    started: dict[str, tuple[Tally, Iterator[Sample[bytes]]]]
    splits: Mapping[str, str | None]
    advance: Callable[[int], None]


class Content(NamedTuple):
    """What the tars hold. started: the first stream, which continues after its first samples,
    heads."""

    tally: Tally
    started: dict[str, tuple[Tally, Iterator[Sample[bytes]]]]
    heads: list[Sample[bytes]]


def look(
    names: Sequence[str], rules: Rules, progress: bool, dry_run: bool, stack: ExitStack
) -> Content:
    """The content of the tars from their headers, and the first samples of the first stream,
    which is read on from there later."""
    total = Tally()
    head: list[Sample[bytes]] = []
    started: dict[str, tuple[Tally, Iterator[Sample[bytes]]]] = {}
    with Progress(len(names), "reading headers", "tars", progress) as bar:
        for name in names:
            if not tars.is_stream(name) or dry_run:
                total.add(tars.scan(name, rules))
            elif not started:
                tally, head, rest = tars.first_samples(name, rules, STREAM_SAMPLES)
                stack.callback(rest.close)
                started[name] = tally, chain(head, rest)
                total.add(tally)
            bar.advance()
    if total.samples == 0:
        left = "; ".join(f"left out: {count:,} ({reason}), the first is {total.first[reason]}" for reason, count in total.skipped.items())
        raise SchemaError(f"{names[0]}: no sample in {count(len(names), 'tar')}; {left or 'no files in it'}")
    return Content(total, started, head)


def group(names: Sequence[str], size: int) -> list[list[str]]:
    """Groups consecutive tars to at least `size` bytes. A stream is a group of its own, since
    its size may be unknown."""
    groups: list[list[str]] = []
    room = 0
    for name in names:
        stream = tars.is_stream(name)
        if stream or room <= 0:
            groups.append([])
            room = size
        groups[-1].append(name)
        room = 0 if stream else room - os.path.getsize(name)
    return groups


def rules_as_json(rules: Rules) -> dict[str, Any]:
    """The rules as JSON."""
    fields = None if rules.fields is None else sorted(rules.fields)
    return asdict(rules) | {"key_fn": getattr(rules.key_fn, "__qualname__", rules.key_fn and "function"), "fields": fields}


def writes(names: list[str], job: Job) -> Callable[[AtlasDatasetWriter, Event], Any]:
    return lambda writer, stop: write_group(names, job, writer, stop)


def write_group(names: Sequence[str], job: Job, writer: AtlasDatasetWriter, stop: Event) -> dict[str, Any]:
    """Adds the samples of some tars. Returns the tally as JSON."""
    total, refusals = Tally(), Refusals()
    for name in names:
        fresh = Tally()
        tally, found = job.started.pop(name, (fresh, tars.read_samples(name, job.rules, fresh)))
        for number, sample in enumerate(found):
            add(sample, job, writer, tally, name, refusals)
            if number % STEP == STEP - 1:
                job.advance(STEP)
                if stop.is_set():
                    raise Stopped
        total.add(tally)
    if refusals.errors:
        raise refusals.as_error(total.samples)
    return asdict(total)


def add(sample: Sample[bytes], job: Job, writer: AtlasDatasetWriter, tally: Tally, where: str, refusals: Refusals) -> None:
    """Adds a sample. One that cannot be stored is left out or refused; after a refusal, samples
    are only checked, not written."""
    for field in sample.fields:
        if field not in job.fields:
            raise SchemaError(f"{where}: sample {sample.key!r}: .{printable(field)} was in none of the first samples; list all extensions with fields=[...]")
    try:
        example = tars.to_example(sample, job.converts, where)
        if refusals.errors:
            return
        try:
            writer.add_example(example, split=job.splits[where])
        except (SchemaError, LimitError) as error:
            cure = "; set its type with schema=, or do not decode it" if isinstance(error, SchemaError) else ""
            raise at_place(error, f"{where}: {printable(sample.key)}", cure) from error
    except (*tars.REFUSED, SchemaError) as error:
        if job.rules.on_error == "raise":
            refusals.add(error)
            return
        tally.samples -= 1
        for field in sample.fields:
            tally.fields[field] -= 1
        tally.skip(UNSTORED, str(error))
        if len(tally.left_out) < MAX_LINES:
            tally.left_out.append(str(error))


def some_left(notes: Sequence[Mapping[str, Any]]) -> None:
    """SchemaError if every sample was left out."""
    lost = sum(note["skipped"].get(UNSTORED, 0) for note in notes)
    if lost and not any(note["samples"] for note in notes):
        raise SchemaError(f"none of {lost:,} samples can be stored; the first: {next(note['first'][UNSTORED] for note in notes if UNSTORED in note['first'])}")


def locked(advance: Callable[[int], None]) -> Callable[[int], None]:
    lock = Lock()

    def safely(count: int) -> None:
        with lock:
            advance(count)

    return safely
