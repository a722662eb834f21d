"""Copies the examples of a source into an Atlas dataset: all of them, or none. It is independent
of formats."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.detect import TARS, Choice, check_options, choose, left_out_note, open_choice, tars_of
from atlas_ds.bridge.labels import join_labels
from atlas_ds.bridge.refusals import Refusals, at_place
from atlas_ds.bridge.source import Missing, OnError, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.webdataset.importing import import_webdataset
from atlas_ds.bridge.webdataset.urls import is_remote
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.dataset.options import WriterOptions, refuse_unknown
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.specs import make_field
from atlas_ds.store.files import refuse_overlap
from atlas_ds.store.paths import TAR, clean, local_path
from atlas_ds.text import count


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion did, or with `dry_run` would do.

    Attributes
    ----------
    path
        The dataset's folder.
    format
        What the source is, such as "parquet".
    rows
        Rows written by this conversion, without those appended to; None where only reading tells.
    seconds
        How long it took.
    notes
        Sentences about what was chosen or changed.
    left_out
        Files that were not read, each with the reason.
    skipped
        Examples that were left out (`on_error="skip"`), each with place and cause; a damaged file
        in one line for all of its own.
    why
        The rule that detected the format.
    columns
        The types of the columns, where they were known before the first example.
    lost
        How many rows are covered by `skipped`.
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


class ConvertOptions(WriterOptions, total=False):
    """The options that functions which convert one format pass on to `convert`, whose docstring describes them."""

    append: bool
    split: str | None
    icc: Sequence[str] | None
    on_error: OnError


def convert(
    src: str | Path | Choice,
    dst: str | Path,
    *,
    source_format: str | None = None,
    append: bool = False,
    split: str | None = None,
    icc: Sequence[str] | None = None,
    progress: bool = True,
    on_error: OnError = "raise",
    encoding: str | None = None,
    media: Mapping[str, str] | None = None,
    keep_names: bool | None = None,
    follow_links: bool = False,
    max_expansion: int = MAX_EXPANSION,
    dry_run: bool = False,
    trust_pickle: bool = False,
    missing: Missing = "error",
    storage_options: Mapping[str, Any] | None = None,
    **writing: Unpack[WriterOptions],
) -> Converted:
    """Writes the examples of a source as a dataset, as `atlas-ds convert` does.

    See docs/guide/convert.md. Tars are read as `import_webdataset` does. Any error or Ctrl-C leaves
    `dst` as it was.

    Parameters
    ----------
    src
        A file, a folder or tars. Tars may be at a URL, as for `import_webdataset`; where its path does
        not end in .tar or the like, pass `source_format="webdataset"`.
    dst
        The dataset's folder.
    source_format
        Overrides detection: a name from `atlas-ds convert --help`.
    append
        Add to the dataset that exists.
    split
        Put all rows into this split, whatever splits the source has.
    icc
        As for AtlasDatasetWriter.
    progress
        Show progress on stderr.
    on_error
        "raise" names all examples that cannot be converted, and writes nothing; "skip" leaves them
        out and lists them in the report.
    encoding
        Of text files; None: UTF-8 or UTF-16, by their first bytes. Of the names in tars; None:
        UTF-8.
    media
        `{"image": "path"}` reads the files that column "path" names, as column "image".
    keep_names
        Store each file's name as a column. None: where the files are media.
    follow_links
        Read what links name outside of `src`.
    max_expansion
        How many times its own size a compressed file may expand.
    dry_run
        Look at the source and report; write nothing.
    trust_pickle
        As for `import_atlas_v1`.
    missing
        As for `import_atlas_v1`.
    storage_options
        How a URL is reached, as for AtlasDataset.
    writing
        As for AtlasDatasetWriter.

    Returns
    -------
    Converted
        A report.

    Raises
    ------
    AtlasError
        The source is damaged, not understood, or holds what a dataset cannot; the text names file
        and place.
    """
    refuse_unknown("convert", writing)
    dst = local_path(dst, "dst")
    check_on_error(on_error)
    options = ReadOptions(encoding, media or {}, keep_names, follow_links, max_expansion, trust_pickle, missing, on_error, progress)
    if isinstance(src, str) and is_tar_url(src, source_format):
        choice, tars = None, clean(src)
        check_options(tars, TARS, options)
    else:
        refuse_overlap(src.path if isinstance(src, Choice) else local_path(src, "src"), dst)
        if storage_options is not None:
            raise ValueError("storage_options= is for URLs, and the source is not at one")
        choice = src if isinstance(src, Choice) else choose(src, source_format, options)
        tars = str(choice.path)
    if choice is None or choice.format == TARS:
        if icc is not None:
            raise AtlasError(f"{tars}: icc is measured by AtlasDatasetWriter(append=True, icc=...) or atlas.shuffle; importing tars does not measure it")
        return import_tars(
            choice or [str(src)], dst, append=append, split=split, on_error=on_error, max_expansion=max_expansion, progress=progress, dry_run=dry_run,
            encoding=encoding or "utf-8", storage_options=storage_options, **writing,
        )  # fmt: skip
    source = open_choice(choice, options)
    if dry_run:
        return report(dst, source, source.total, 0.0, source.refused)
    if source.place is None:
        source = replace(source, place=lambda row: f"{choice.path}: example {row}")
    return convert_source(source, dst, on_error=on_error, append=append, split=split, icc=icc, progress=progress, **writing)


def convert_source(
    source: Source,
    dst: str | Path,
    *,
    append: bool = False,
    split: str | None = None,
    icc: Sequence[str] | None = None,
    on_error: OnError = "raise",
    progress: bool = True,
    **writing: Unpack[WriterOptions],
) -> Converted:
    """`convert` for a source that is open already."""
    refuse_unknown("convert_source", writing)
    start, dst = time.monotonic(), local_path(dst, "dst")
    check_on_error(on_error)
    schema, metadata = source.schema, dict(source.metadata)
    if append and (dst / MANIFEST).exists():
        existing = AtlasDataset(dst)
        joined = join_labels(str(dst), existing.schema, source.schema)
        schema, metadata = joined.schema, _joined_metadata(dst, existing, source)
        source = replace(source, examples=_examples(source, joined.change), notes=(*source.notes, *joined.notes))
    refusals = Refusals()
    with AtlasDatasetWriter(
        dst,
        schema=schema,
        append=append,
        metadata=metadata or None,
        icc=icc,
        **writing,
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


def is_tar_url(src: str, source_format: str | None) -> bool:
    """Whether a source is tars at a URL, by what the user says or by the name."""
    return is_remote(src) and (source_format == TARS or (source_format is None and TAR.search(clean(src).lower()) is not None))


def check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: must be 'raise' or 'skip'")


def import_atlas_v1(
    src: str | Path,
    dst: str | Path,
    *,
    trust_pickle: bool = False,
    missing: Missing = "error",
    progress: bool = True,
    **options: Unpack[ConvertOptions],
) -> Converted:
    """Converts a dataset of torch-atlas-ds (version 1), or the folder of one shard of it.

    See docs/guide/from-torch-atlas-ds.md.

    Parameters
    ----------
    src
        The dataset's folder, or one shard's.
    dst
        The folder of the new dataset.
    trust_pickle
        Its examples are pickles, and reading a pickle can run any code that its writer put
        there: without True nothing is read.
    missing
        Missing shards: "error", or "skip": their rows are left out and later rows move
        up.
    progress
        Show progress on stderr.
    options
        As for `convert`.

    Returns
    -------
    Converted
        A report.
    """
    refuse_unknown("import_atlas_v1", options, ConvertOptions)
    return convert(src, dst, source_format="atlas-v1", trust_pickle=trust_pickle, missing=missing, progress=progress, **options)


def _examples(source: Source, change: Callable[[Any], Any] | None) -> Callable[[], Iterator[Row]]:
    if change is None:
        return source.examples
    return lambda: ((row if isinstance(row, Refused) else change(row), split) for row, split in source.examples())


def _joined_metadata(dst: Path, ds: AtlasDataset, source: Source) -> dict[str, object]:
    """The metadata of both. Values that differ are an error."""
    existing = dict(ds.metadata or {})
    for name, value in source.metadata.items():
        if existing.get(name, value) != value:
            raise SchemaError(
                f"{dst}: metadata[{name!r}] is {existing[name]!r}, but the rows to append have {value!r};"
                " make them equal, or convert into a separate dataset"
            )
    return existing | dict(source.metadata)
