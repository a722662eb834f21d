"""import_webdataset: imports tars into an Atlas dataset; no sample is lost silently. tars.py and
tar/ read the tars.

Tars are read twice: first the headers, so that damage and the union of all fields are known before
anything is written, then the data. Standard input and URLs are read once; their fields are those of
the first samples, or those that fields= names. Consecutive tars are grouped up to a shard's size,
and each group is written as one part.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Unpack

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.parallel_parts import Part, check_place, write_parts
from atlas_ds.bridge.source import OnError
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.bridge.webdataset import tars
from atlas_ds.bridge.webdataset.import_groups import UNSTORED, Job, group, locked, look, rules_as_json, some_left, write_group, writes
from atlas_ds.bridge.webdataset.samples import KEY, Duplicates, Interleaved, KeyFn, Rules, Tally, is_tally
from atlas_ds.bridge.webdataset.urls import Sources, expand, given_tars
from atlas_ds.dataset.options import DEFAULT_SHARD, WriterOptions, refuse_unknown
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.images import MODES
from atlas_ds.sizes import parse_size
from atlas_ds.store.files import refuse_overlap
from atlas_ds.store.paths import local_path
from atlas_ds.store.storage_options import with_http
from atlas_ds.text import count, printable

TABLES = frozenset(("csv", "tsv", "parquet", "arrow", "feather", "jsonl", "ndjson", "csv.gz", "jsonl.gz"))  # extensions of files with rows of their own


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import of tars did, or with `dry_run` would do.

    Attributes
    ----------
    path
        The dataset's folder.
    tars, rows, files, bytes
        What was read: tars, samples that became rows, members, and their bytes.
    fields
        How many samples have each field.
    cases
        Files by extension that was not in lower case.
    skipped
        How much was left out, by reason.
    first
        Where it first was, by reason.
    seconds
        How long it took.
    format
        "webdataset".
    left_out
        Samples whose values cannot be stored, each with place and cause.
    """

    path: Path
    tars: int
    rows: int
    files: int
    bytes: int
    fields: Mapping[str, int]
    cases: Mapping[str, int]
    skipped: Mapping[str, int]
    first: Mapping[str, str]
    seconds: float
    format: str = "webdataset"
    left_out: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """How many samples were left out for their values."""
        return self.skipped.get(UNSTORED, 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """The report in sentences."""
        out = [f"{count(self.tars, 'tar')}, {count(self.files, 'file')} of {self.bytes:,} bytes; fields: {', '.join(map(printable, self.fields)) or 'none'}"]
        lacking = {name: self.rows - count for name, count in self.fields.items() if count < self.rows}
        out += [f"{samples:,} of {self.rows:,} samples have no .{printable(name)} file: None there" for name, samples in lacking.items()]
        out += [f"{count(files, 'file')} .{printable(name)} became .{printable(name.lower())}" for name, files in self.cases.items()]
        out += advice(list(self.fields))
        out += [f"left out: {count:,} ({reason}), the first is {self.first[reason]}" for reason, count in self.skipped.items()]
        return tuple(out)


def advice(fields: Sequence[str]) -> list[str]:
    """Advice if the tars seem not to hold samples, but a table, or a folder per class. It
    considers only extensions."""
    if fields and all(field in TABLES for field in fields):
        return ["tables are stored as the bytes of their files; to have their rows, unpack the tar, and convert the table"]
    if fields and all(kind_of(tars.last(field)) for field in fields):
        return ["no labels, only media; if the folders in the tar are classes, unpack it and convert the folder, or take them from __key__"]
    return []


def import_webdataset(
    sources: Sources,
    dst: str | os.PathLike[str],
    *,
    fields: Sequence[str] | None = None,
    decode: bool | Sequence[str] = False,
    key_fn: KeyFn | None = None,
    interleaved: Interleaved = "error",
    duplicates: Duplicates = "error",
    strict: bool = False,
    keep_case: bool = False,
    on_error: OnError = "raise",
    encoding: str = "utf-8",
    allow_http: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    split: str | Mapping[str, str | None] | None = None,
    append: bool = False,
    resume: bool = False,
    max_expansion: int = MAX_EXPANSION,
    progress: bool = True,
    dry_run: bool = False,
    **writing: Unpack[WriterOptions],
) -> Imported:
    """Writes the samples of WebDataset tars as a dataset: see docs/guide/from-webdataset.md.

    A row per sample, with `__key__` and a column per extension, None where a sample lacks one. Any
    error or Ctrl-C leaves `dst` as it was. Damage of a tar is always an error, since what it
    hides cannot be counted.

    Parameters
    ----------
    sources
        Paths, URLs, "-" (standard input), brace expansions, `::` lists, folders of tars, or a list
        of these; plain or compressed with gzip, bzip2, xz, zstd or LZ4.
    dst
        The dataset's folder.
    fields
        Only these extensions; None: all.
    decode
        False keeps a file's bytes (images, audio and video are Media, encoded as they are). True,
        or a list of extensions, makes values of those that are safe; the guide has a table.
    key_fn
        A function of a member's name that returns (key, extension), or None to leave the file out.
    interleaved
        A key that comes again after others: an "error", a sample of its own ("separate"), or joined
        with the first ("merge", plain local tars only).
    duplicates
        A field that a sample has twice: an "error", or keep the "first" or the "last".
    strict
        A file without an extension is an error; else it is reported.
    keep_case
        Extensions are not lower-cased.
    on_error
        Samples whose values cannot be stored: "raise" names all of a group of tars, "skip" leaves
        them out and lists them in the report.
    encoding
        Of names.
    allow_http
        URLs may be of http without TLS: the same as `storage_options={"allow_http": True}`.
    storage_options
        How URLs are reached, as for AtlasDataset. A presigned URL needs none.
    schema
        Types of some columns, where the first samples do not tell (`decode`).
    split
        The split all rows belong to, or a mapping from tars (paths, braces, folders, as in
        `sources`) to their splits.
    append
        Add to the dataset that exists.
    resume
        Groups of tars that an import which failed or was killed had finished are not read again,
        and are kept if this one fails.
    max_expansion
        How many times its own size a compressed tar, or a `.npz` in it, may expand.
    progress
        Show progress on stderr.
    dry_run
        Read all headers and report; write nothing.
    writing
        As for AtlasDatasetWriter. `workers` is the number of groups of tars that are read at the
        same time; None: the cores, at most 4. The result does not depend on it.

    Returns
    -------
    Imported
        A report.

    Raises
    ------
    CorruptError, TruncatedError
        A tar is damaged; the text names file and byte.
    LimitError
        A size is beyond a limit, or something expands too far.
    SchemaError
        Keys or fields collide.
    """
    start = time.monotonic()
    refuse_unknown("import_webdataset", writing)
    overwrite, workers, shard_size = writing.get("overwrite", False), writing.get("workers"), writing.get("shard_size", DEFAULT_SHARD)
    names, path = given_tars(sources, allow_http, storage_options), local_path(dst, "dst")
    chosen = None if fields is None else frozenset(fields)
    rules = Rules(key_fn, chosen, interleaved, duplicates, strict, keep_case, on_error, encoding, max_expansion)
    splits = splits_of(names, split, with_http(storage_options, allow_http))
    for name in names:
        if not tars.is_stream(name):
            refuse_overlap(Path(name), path)
    if decode in MODES:
        raise TypeError(f"decode={decode!r}: must be True, False or a list of extensions; images are decoded on read: AtlasDataset(path, decode={decode!r})")
    tars.refuse_text("decode", decode)
    tars.refuse_text("fields", fields)
    if append and (overwrite or resume):
        raise ValueError("append cannot be combined with overwrite or resume")
    if not (append or dry_run):
        check_place(path, overwrite)
    with ExitStack() as stack:
        tally, started, heads = look(names, rules, progress, dry_run, stack)
        streams = any(map(tars.is_stream, names))
        absent = set() if streams or fields is None else set(fields) - set(tally.fields)
        if absent:
            cure = f"dry_run=True without fields= lists those that exist{tars.without_dot(min(absent), tally.fields)}"
            raise SchemaError(f"{names[0]}: no sample of {count(len(names), 'tar')} has a .{printable(min(absent))}; {cure}")
        tars.check_decode(decode, [*(fields or ()), *tally.fields], names[0])
        if dry_run:
            return report(path, names, [tally], start)
        every = list(dict.fromkeys([*(fields or ()), *tally.fields]))
        types = tars.column_types(names, heads, rules, every, decode, schema or {})
        columns = {KEY: "str"} | {field: tars.wrap(kind, tally.fields.get(field, 0), None if streams else tally.samples) for field, kind in types.items()}
        bar = stack.enter_context(Progress(None if streams else tally.samples, "converting", "samples", progress))
        job = Job(rules, frozenset(every), tars.converters(every, decode, max_expansion=max_expansion), started, splits, locked(bar.advance))
        if append:
            with AtlasDatasetWriter(path, append=True, schema=None if path.exists() else columns, **writing) as writer:
                notes = [write_group(names, job, writer, Event())]
                some_left(notes)
        else:
            defaults: dict[str, Any] = {"block_size": None, "compression": "auto", "access": "random"}
            stored = {name: value for name, value in (defaults | {**writing}).items() if name not in ("shard_size", "overwrite", "workers")}
            of_part: WriterOptions = {**writing, "overwrite": False, "workers": 1}
            settings = [stored, str(shard_size), decode if isinstance(decode, bool) else sorted(decode), {n: str(t) for n, t in columns.items()}]
            groups = group(names, parse_size(shard_size, "shard_size")[1] or 0)
            same = [[[*tars.identity(name), splits[name]] for name in one] for one in groups]
            parts = [Part([settings, rules_as_json(rules), of], writes(one, job), is_tally) for one, of in zip(groups, same, strict=True)]
            make = lambda number: AtlasDatasetWriter(path, part=number, schema=columns, **of_part)  # noqa: E731
            notes = write_parts(path, parts, make, overwrite=overwrite, resume=resume, workers=workers, check=some_left)
    return report(path, names, [Tally(**note) for note in notes], start)


def splits_of(names: Sequence[str], split: str | Mapping[str, str | None] | None, storage_options: Mapping[str, Any] | None) -> dict[str, str | None]:
    """The split of each tar. A mapping can name tars like sources: with ~, braces, folders."""
    if not isinstance(split, Mapping):
        return dict.fromkeys(names, split)
    found = {name: one for source, one in split.items() for name in expand(source, storage_options)}
    unknown = found.keys() - set(names)
    if unknown:
        raise ValueError(f"split={{{min(unknown)!r}: ...}}: is not one of the {count(len(names), 'tar')} to read")
    return {name: found.get(name) for name in names}


def report(path: Path, names: Sequence[str], tallies: Sequence[Tally], start: float) -> Imported:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    fields = {field: count for field, count in total.fields.items() if count}
    return Imported(
        path, len(names), total.samples, total.files, total.bytes, fields, total.cases, total.skipped, total.first, time.monotonic() - start,
        left_out=tuple(total.left_out),
    )  # fmt: skip
