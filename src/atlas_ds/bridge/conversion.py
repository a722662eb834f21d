"""Copies the examples of a source into an Atlas dataset: all of them, or none. It knows no format itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from atlas_ds.bridge.detect import TARS, detect, open_source
from atlas_ds.bridge.source import Source
from atlas_ds.bridge.webdataset.importing import import_webdataset
from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.store.local import refuse_overlap
from atlas_ds.store.paths import local_path


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion did. `rows` counts those written by it, not those appended to."""

    path: Path
    format: str
    rows: int
    seconds: float
    notes: tuple[str, ...]


def convert(
    src: str | Path,
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
    trust_pickle: bool = False,
    missing: str = "error",
) -> Converted:
    """Writes the examples of `src` as the dataset `dst`. Any error, Ctrl-C too, leaves `dst` as it was.

    `source_format` overrides detection (names in `detect.FORMATS`); tars are read as import_webdataset does. `split` puts all rows into one split, whatever
    splits the source has. `trust_pickle`, `missing`: see `import_atlas_v1`; they say nothing to other formats.
    The other options are AtlasDatasetWriter's.
    """
    src, dst = local_path(src, "src"), local_path(dst, "dst")
    refuse_overlap(src, dst)
    name = source_format or detect(src)
    if name == TARS:
        if icc is not None:
            raise AtlasError(f"{src}: icc is measured by AtlasDatasetWriter(append=True, icc=...) or atlas.shuffle; importing tars does not measure it")
        told = import_webdataset(
            src, dst, shard_size=shard_size, block_size=block_size, compression=compression, access=access, overwrite=overwrite, append=append,
            split=split, workers=workers, progress=progress,
        )  # fmt: skip
        return Converted(told.path, told.format, told.rows, told.seconds, told.notes)
    return convert_source(
        open_source(src, name, {"trust_pickle": trust_pickle, "missing": missing}),
        dst,
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
    progress: bool = True,
) -> Converted:
    """`convert` for a source that is open already."""
    start, dst = time.monotonic(), local_path(dst, "dst")
    metadata = _appended_metadata(dst, source) if append else dict(source.metadata)
    rows = 0
    with named_places(source.place), AtlasDatasetWriter(
        dst,
        shard_size,
        block_size,
        schema=None if append else source.schema,  # a standing dataset's own schema decides
        compression=compression,
        access=access,
        append=append,
        overwrite=overwrite,
        workers=workers,
        metadata=metadata or None,
        icc=icc,
    ) as writer:
        with Progress(source.total, "converting", "rows", progress) as bar:
            for example, own_split in source.examples():
                writer.add_example(example, split=split or own_split)
                rows += 1
                bar.advance(1)
        if source.total is not None and rows != source.total:
            raise AtlasError(f"{dst}: {source.format} gave {rows:,} rows, but {source.total:,} were announced; did it change meanwhile?")
    return Converted(dst, source.format, rows, time.monotonic() - start, source.notes)


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


@contextmanager
def named_places(place: Callable[[int], str] | None) -> Iterator[None]:
    """Says of an example that cannot be stored where it comes from. The writer counts examples from 0, as the source's rows are."""
    try:
        yield
    except (SchemaError, LimitError) as error:
        found = re.match(r"example (\d+): ", str(error))
        if place is None or found is None:
            raise
        raise type(error)(f"{place(int(found[1]))}: {str(error)[found.end() :]}") from error


def _appended_metadata(dst: Path, source: Source) -> dict[str, object]:
    """Both metadata together. Labels that would change their meaning are refused."""
    if not dst.exists():
        return dict(source.metadata)
    standing = dict(AtlasDataset(dst).metadata or {})
    for name, value in source.metadata.items():
        if standing.get(name, value) != value:
            raise SchemaError(
                f"{dst}: metadata[{name!r}] is {standing[name]!r}, but the rows to append have {value!r};"
                " make them agree, or convert into a dataset of its own"
            )
    return standing | dict(source.metadata)
