"""Copies the examples of a source into an Atlas dataset: all of them, or none. It is independent
of formats."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.detect import TARS, Choice, choose, left_out_note, open_choice, tars_of
from atlas_ds.bridge.refusals import Refusals, at_place
from atlas_ds.bridge.source import ReadOptions, Refused, Source
from atlas_ds.bridge.webdataset.importing import import_webdataset
from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.types import make_field
from atlas_ds.store.local import refuse_overlap
from atlas_ds.store.paths import local_path
from atlas_ds.text import count


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion did, or would do (dry_run). `rows` counts the rows it wrote, without those
    that were there before; None if only reading can tell.

    notes: sentences about what was chosen or changed. left_out: files that were not read, each with
    its reason. skipped: examples that were left out (on_error="skip"), each with place and cause; a
    damaged file is one line. lost: the number of rows left out. why: the rule by which this format
    was chosen. columns: their types, if they were known before the first example.
    """

    path: Path
    format: str
    rows: int | None
    seconds: float
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    why: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    lost: int = 0


def convert(
    src: str | Path | Choice,
    dst: str | Path,
    *,
    source_format: str | None = None,
    shard_size: int | str = "256MB",
    block_size: int | str | None = None,
    compression: str | Mapping[str, str] = "auto",
    access: str = "random",
    overwrite: bool = False,
    append: bool = False,
    split: str | None = None,
    workers: int | None = None,
    icc: Sequence[str] | None = None,
    progress: bool = True,
    on_error: str = "raise",
    encoding: str | None = None,
    media: Mapping[str, str] | None = None,
    keep_names: bool | None = None,
    follow_links: bool = False,
    max_expansion: int = MAX_EXPANSION,
    dry_run: bool = False,
    trust_pickle: bool = False,
    missing: str = "error",
) -> Converted:
    """Writes the examples of `src`, a path or what `choose` made of one, as the dataset `dst`. Any error, Ctrl-C too, leaves `dst` as it was.

    source_format: overrides detection (names in `detect.FORMATS`); tars are read as import_webdataset does. split: puts all rows into one split,
    whatever splits the source has. on_error: "raise" names all examples that cannot be converted and writes nothing; "skip" leaves them out and
    lists them in the report. encoding: of text files (default: UTF-8 or UTF-16, by their first bytes), and of the names in tars (default: UTF-8).
    media: {"image": "path"} reads the files that column "path" names, as column "image". keep_names: store each file's name as a column; None:
    where the files are media.
    follow_links: read what links name outside of `src`. max_expansion: how many times its own size a compressed file may expand.
    dry_run: look at the source and report; write nothing. trust_pickle, missing: see `import_atlas_v1`.
    The other options are AtlasDatasetWriter's.

    Raises an AtlasError that names file and place for a source that is damaged, not understood, or holds what a dataset cannot.
    """
    dst = local_path(dst, "dst")
    refuse_overlap(src.path if isinstance(src, Choice) else local_path(src, "src"), dst)
    check_on_error(on_error)
    options = ReadOptions(encoding, media or {}, keep_names, follow_links, max_expansion, trust_pickle, missing, on_error, progress)
    choice = src if isinstance(src, Choice) else choose(src, source_format, options)
    if choice.format == TARS:
        if icc is not None:
            raise AtlasError(
                f"{choice.path}: icc is measured by AtlasDatasetWriter(append=True, icc=...) or atlas.shuffle; importing tars does not measure it"
            )
        return import_tars(
            choice, dst, shard_size=shard_size, block_size=block_size, compression=compression, access=access, overwrite=overwrite, append=append,
            split=split, workers=workers, on_error=on_error, max_expansion=max_expansion, progress=progress, dry_run=dry_run, encoding=encoding or "utf-8",
        )  # fmt: skip
    source = open_choice(choice, options)
    if dry_run:
        return report(dst, source, source.total, 0.0, source.refused)
    if source.place is None:
        source = replace(source, place=lambda row: f"{choice.path}: example {row}")
    return convert_source(
        source,
        dst,
        on_error=on_error,
        shard_size=shard_size,
        block_size=block_size,
        compression=compression,
        access=access,
        overwrite=overwrite,
        append=append,
        split=split,
        workers=workers,
        icc=icc,
        progress=progress,
    )


def convert_source(
    source: Source,
    dst: str | Path,
    *,
    shard_size: int | str = "256MB",
    block_size: int | str | None = None,
    compression: str | Mapping[str, str] = "auto",
    access: str = "random",
    overwrite: bool = False,
    append: bool = False,
    split: str | None = None,
    workers: int | None = None,
    icc: Sequence[str] | None = None,
    on_error: str = "raise",
    progress: bool = True,
) -> Converted:
    """`convert` for a source that is open already."""
    start, dst = time.monotonic(), local_path(dst, "dst")
    check_on_error(on_error)
    metadata = _appended_metadata(dst, source) if append else dict(source.metadata)
    refusals = Refusals()
    with AtlasDatasetWriter(
        dst,
        shard_size,
        block_size,
        schema=None if append else source.schema,  # an existing dataset keeps its schema
        compression=compression,
        access=access,
        append=append,
        overwrite=overwrite,
        workers=workers,
        metadata=metadata or None,
        icc=icc,
    ) as writer:
        with Progress(source.total, "converting", "rows", progress) as bar:
            read = write_examples(source, writer, split, refusals, bar, skip=on_error == "skip")
        if source.total is not None and read != source.total:
            raise AtlasError(f"{dst}: {source.format} returned {read:,} rows, but {source.total:,} were expected; was it changed during the conversion?")
        if refusals.errors and (on_error == "raise" or refusals.count == read):
            raise refusals.as_error(read)
    return report(dst, source, read - refusals.count, time.monotonic() - start, tuple(refusals.lines), refusals.count)


def write_examples(source: Source, writer: AtlasDatasetWriter, split: str | None, refusals: Refusals, bar: Progress, *, skip: bool) -> int:
    """Adds the examples of a source, collects the refused ones, and returns how many were read.
    After the first refusal nothing more is written unless skip is set: the rest is read only to
    report every error."""
    read = 0
    for example, own_split in source.examples():
        if isinstance(example, Refused):
            refusals.add(example.error, example.rows)
            read += example.rows
            bar.advance(example.rows)
            continue
        if skip or not refusals.errors:
            try:
                writer.add_example(example, split=split or own_split)
            except (SchemaError, LimitError) as error:
                refusals.add(at_place(error, source.place(read) if source.place else f"example {read}"))
        read += 1
        bar.advance(1)
    return read


def report(dst: Path, source: Source, rows: int | None, seconds: float, skipped: tuple[str, ...] = (), lost: int = 0) -> Converted:
    columns = source.schema if isinstance(source.schema, Mapping) else {}
    types = {str(name): str(make_field(name, spec).type) for name, spec in columns.items()}
    return Converted(dst, source.format, rows, seconds, source.notes, source.left_out, skipped, source.why, types, lost)


def import_tars(sources: Choice | Sequence[str], dst: str | Path, *, split: str | None = None, **options: Any) -> Converted:
    """`convert` for tars: those of a choice, whose names may give splits, or a list of them.
    options: of import_webdataset."""
    tars, left_out = tars_of(sources) if isinstance(sources, Choice) else ({}, ())
    done = import_webdataset(sources if not isinstance(sources, Choice) else list(tars), dst, split=split or tars or None, **options)
    splits = Counter(name for name in tars.values() if name and not split)
    note = ("splits by name: " + ", ".join(f"{name} ({count(number, 'tar')})" for name, number in splits.items()),) if splits else ()
    why = sources.why if isinstance(sources, Choice) else ""
    return Converted(
        done.path, done.format, done.rows, done.seconds, (*done.notes, *note, *left_out_note(left_out)), left_out, done.left_out, why, lost=done.lost
    )


def check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: 'raise' or 'skip'")


def import_atlas_v1(
    src: str | Path,
    dst: str | Path,
    *,
    trust_pickle: bool = False,
    missing: str = "error",
    shard_size: int | str = "256MB",
    block_size: int | str | None = None,
    compression: str | Mapping[str, str] = "auto",
    access: str = "random",
    overwrite: bool = False,
    append: bool = False,
    split: str | None = None,
    workers: int | None = None,
    icc: Sequence[str] | None = None,
    progress: bool = True,
) -> Converted:
    """`convert` for a dataset of torch-atlas-ds (version 1), or for the folder of one shard of it.

    trust_pickle: its examples are pickles, and reading a pickle can run any program that its writer put there; without True nothing is read.
    missing: shards that the folder lacks are an "error", or "skip": their rows are left out and later rows move up.
    """
    return convert(
        src,
        dst,
        source_format="atlas-v1",
        shard_size=shard_size,
        block_size=block_size,
        compression=compression,
        access=access,
        overwrite=overwrite,
        append=append,
        split=split,
        workers=workers,
        icc=icc,
        progress=progress,
        trust_pickle=trust_pickle,
        missing=missing,
    )


def _appended_metadata(dst: Path, source: Source) -> dict[str, object]:
    """The metadata of both. Labels whose meaning would change are an error."""
    if not dst.exists():
        return dict(source.metadata)
    existing = dict(AtlasDataset(dst).metadata or {})
    for name, value in source.metadata.items():
        if existing.get(name, value) != value:
            raise SchemaError(
                f"{dst}: metadata[{name!r}] is {existing[name]!r}, but the rows to append have {value!r};"
                " make them equal, or convert into a separate dataset"
            )
    return existing | dict(source.metadata)
