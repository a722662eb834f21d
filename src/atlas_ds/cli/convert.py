"""`atlas-ds convert`: other formats to Atlas, and Atlas to tars. It parses, calls the bridge and prints."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atlas_ds import bridge
from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.detect import LEFT_OUT
from atlas_ds.cli.options import add_json, add_storage, positive, storage, subparser
from atlas_ds.cli.text import duration, ratio
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.dataset.output import has_strangers
from atlas_ds.errors import AtlasError, UnsupportedError
from atlas_ds.sizes import format_size
from atlas_ds.store.local import LocalStore
from atlas_ds.store.paths import TAR, clean, cure_of_url, is_url
from atlas_ds.text import count, printable

EXAMPLES = """\
source formats, detected from the content:
  classes      a folder per class, as in pets/cat/1.jpg pets/dog/7.jpg: columns image, label, file_name
  samples      files with the same base name, as in a.jpg a.json b.jpg b.json: columns key, jpg, json
  imagefolder  images, and metadata.csv, .jsonl or .parquet with a column file_name
  csv, jsonl   a table or a folder of tables, compressed or not; jsonl may also be an array of objects
  parquet      a Parquet file or a folder of files
  arrow        Arrow and Feather files, and folders written by Hugging Face's save_to_disk
  npy, npz     NumPy arrays, with rows along the first axis
  idx          MNIST and datasets in the same format
  mds          a folder of MosaicML Streaming
  litdata      a folder of LitData
  webdataset   tars, compressed or not: file names, a-{000..099}.tar, a folder, URLs, or - for standard input
  atlas        an Atlas dataset, to store it with other options
  atlas-v1     a dataset of torch-atlas-ds (version 1); needs --trust-pickle

Folders called train, val or test become splits. Files that do not belong to the detected format are left out and
listed. The result is an Atlas dataset, or tars if SRC is an Atlas dataset and DST is named like a tar.

examples:
  atlas-ds convert pets/ pets-atlas --dry-run
  atlas-ds convert pets/ pets-atlas --skip-errors
  atlas-ds convert train.parquet news-atlas --split train
  atlas-ds convert test.parquet news-atlas --split test --append
  atlas-ds convert logs.csv logs-atlas --compression zstd --access scan
  atlas-ds convert train.csv cars-atlas --media image=path
  atlas-ds convert train.csv cars-atlas --media 'image=photos/{id}.jpg'
  atlas-ds convert pets/ pets-atlas --compression json=zstd --compression jpg=none
  atlas-ds convert cars-*.tar cars-atlas --decode
  atlas-ds convert 'https://host/cars-{000000..000099}.tar' cars-atlas --dry-run
  atlas-ds convert cars-atlas tars/cars-%06d.tar

An error or Ctrl-C leaves the destination unchanged.
"""


SHOWN = 20  # lines of a list
FOR_TARS = (  # option, attribute, default
    ("--fields", "fields", None), ("--decode", "decode", False), ("--interleaved", "interleaved", "error"), ("--duplicates", "duplicates", "error"),
    ("--strict", "strict", False), ("--resume", "resume", False), ("--allow-http", "allow_http", False),
)  # fmt: skip


def add_command(commands: Any) -> None:
    parser = subparser(commands, "convert", "convert folders, tables, arrays or tars to a dataset", EXAMPLES, run)
    parser.add_argument("src", metavar="SRC", nargs="+", help="a file, a folder, or one or more tars")
    parser.add_argument(
        "dst", metavar="DST",
        help="the folder of the new dataset; or the tars to write: NAME-%%06d.tar",
    )
    parser.add_argument(
        "--from", dest="source_format", choices=bridge.FORMATS, metavar="FORMAT",
        help="format of SRC, see below (default: detected); files of other formats are left out",
    )
    add_storage(parser)
    parser.add_argument("--split", metavar="NAME", help="put all rows into this split, e.g. train")
    parser.add_argument(
        "--icc", action="append", metavar="COLUMN",
        help="measure how similar neighbouring rows are in this column; may be repeated",
    )
    parser.add_argument(
        "--trust-pickle", action="store_true",
        help="read pickles, which can run any code that their writer put there (for atlas-v1)",
    )
    parser.add_argument(
        "--missing", choices=("error", "skip"), default="error",
        help="what to do about missing shards (for atlas-v1; default: error)",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--overwrite", action="store_true", help="replace an existing dataset at DST")
    place.add_argument("--append", action="store_true", help="append the rows to the dataset at DST")
    add_reading(parser)
    add_tars(parser)
    parser.add_argument("--quiet", action="store_true", help="do not show progress")
    add_json(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--dry-run", action="store_true",
        help="show the detected format, the reason, and what would be written; write nothing",
    )
    reading.add_argument("--skip-errors", action="store_true", help="leave out examples that cannot be converted, and list them")
    reading.add_argument(
        "--encoding", metavar="NAME",
        help="encoding of text files and of names in tars, e.g. latin1 (default: UTF-8; UTF-16 text is detected)",
    )
    reading.add_argument(
        "--media", action="append", metavar="NEW=COLUMN", type=_media,
        help="add column NEW with the contents of the files that COLUMN names; COLUMN may be a pattern such "
        "as images/{id}.jpg; may be repeated",
    )
    reading.add_argument(
        "--keep-names", action=argparse.BooleanOptionalAction,
        help="store file names in a column (default: only for images, audio and video)",
    )
    reading.add_argument("--follow-links", action="store_true", help="follow links that lead out of SRC")
    reading.add_argument(
        "--max-expansion", type=positive, default=MAX_EXPANSION, metavar="TIMES",
        help="allow a compressed file to expand to at most TIMES its size (default: %(default)s)",
    )


def _media(text: str) -> tuple[str, str]:
    new, equals, column = text.partition("=")
    if not (new and equals and column):
        raise argparse.ArgumentTypeError(f"{text!r}: write NEW=COLUMN, e.g. image=path")
    return new, column


def add_tars(parser: argparse.ArgumentParser) -> None:
    tars = parser.add_argument_group("tars", "As in WebDataset, adjacent files KEY.EXTENSION with the same KEY are one sample.")
    tars.add_argument("--fields", metavar="EXT,EXT", type=split_commas, help="read only these extensions")
    tars.add_argument(
        "--decode", nargs="?", const=True, default=False, metavar="EXT,EXT", type=split_commas,
        help="decode files to numbers, text, JSON values and arrays: all extensions (pickles are an error), "
        "or only these",
    )
    tars.add_argument(
        "--interleaved", choices=("error", "separate", "merge"), default="error",
        help="what to do if a key appears again after other keys (default: error)",
    )
    tars.add_argument(
        "--duplicates", choices=("error", "first", "last"), default="error",
        help="what to do if a sample has an extension twice (default: error)",
    )
    tars.add_argument("--strict", action="store_true", help="fail if a file has no extension (default: leave it out)")
    tars.add_argument(
        "--resume", action="store_true",
        help="continue an import that failed; keep finished parts if this one fails",
    )
    tars.add_argument(
        "--allow-http", action="store_true",
        help="allow http URLs without TLS; anyone on the network path can change the data",
    )
    tars.add_argument(
        "--max-count", metavar="N", type=positive, default=100_000,
        help="when writing tars: maximum number of samples per tar (default: %(default)s)",
    )
    tars.add_argument(
        "--max-size", metavar="SIZE", default="3GB",
        help="when writing tars: maximum size of the files in a tar (default: %(default)s)",
    )


def split_commas(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def run(args: argparse.Namespace) -> int:
    progress = not args.quiet and not args.json
    if TAR.search(args.dst):
        return export(args, progress)
    check_places(args)
    common = {**storage(args), "overwrite": args.overwrite, "append": args.append, "progress": progress}
    choice = chosen(args)
    tars = choice is None or choice.format == bridge.TARS
    if len(args.src) > 1 and not tars:
        raise AtlasError(
            f"{clean(args.src[1])}: several sources can be read only if they are tars; convert other sources one by "
            f"one, with --append"
        )
    given = [option for option, name, default in FOR_TARS if getattr(args, name) != default]
    if not tars and given:
        raise AtlasError(
            f"{args.src[0]}: not a tar or a folder of tars, and {given[0]} is for tars; omit it, or pass --from "
            f"webdataset"
        )
    if choice is None or tars:
        done = of_tars(args, choice, common)
    else:
        done = bridge.convert(
            choice,
            args.dst,
            split=args.split,
            icc=args.icc,
            on_error="skip" if args.skip_errors else "raise",
            dry_run=args.dry_run,
            **reading(args),
            **common,
        )
    print_report(args, done)
    return 0


def check_places(args: argparse.Namespace) -> None:
    """Finds mistakes in SRC and DST before anything is read."""
    src, dst = Path(args.src[0]), Path(args.dst)
    if not args.dry_run and (dst / MANIFEST).exists() and not (args.append or args.overwrite):
        raise FileExistsError(f"{dst}: a dataset already exists; --append adds to it, --overwrite replaces it")
    swapped = (dst.exists() and not (dst / MANIFEST).exists()) and (not src.exists() and not is_pattern(args.src[0]))
    if swapped:
        raise AtlasError(
            f"{src}: no such file or folder, but {dst} exists; the order is SRC, then DST: atlas-ds convert "
            f"{dst} {src}"
        )
    if src.exists() and dst.exists() and src.samefile(dst):
        return  # convert says so
    if dst.is_file():
        raise FileExistsError(f"{dst} is a file; a dataset is a folder, so name a new one")
    if dst.is_dir() and not (dst / MANIFEST).exists() and has_strangers(LocalStore(dst)):
        turned = f"; if you want to read {dst}, the order is SRC, then DST" if (src / MANIFEST).exists() else ""
        raise FileExistsError(f"{dst}: the folder has other files and no dataset; choose a new or empty folder{turned}")


def is_pattern(name: str) -> bool:
    """Whether a name can only mean tars: standard input, braces, lists, URLs."""
    return name == "-" or any(mark in name for mark in ("{", "::", "://"))


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """The options of add_reading, as arguments of convert."""
    return {
        "encoding": args.encoding,
        "media": dict(args.media or ()),
        "keep_names": args.keep_names,
        "follow_links": args.follow_links,
        "max_expansion": args.max_expansion,
        "trust_pickle": args.trust_pickle,
        "missing": args.missing,
    }


def chosen(args: argparse.Namespace) -> bridge.Choice | None:
    """The format of the first source; None for names that can only mean tars."""
    first = args.src[0]
    if is_url(first) and args.source_format is None and not any(mark in first for mark in ("{", "::")):
        raise UnsupportedError(f"{clean(first)}: is a URL, and no tar by its name: {cure_of_url(clean(first))}; --from webdataset takes it for a tar")
    if not Path(first).exists() and (is_pattern(first) or args.source_format == bridge.TARS):
        return None
    if args.media and len({new for new, _ in args.media}) < len(args.media):
        raise AtlasError("--media: two columns of one name; give each column a different name")
    return bridge.choose(first, args.source_format, bridge.ReadOptions(**reading(args)))


def of_tars(args: argparse.Namespace, choice: bridge.Choice | None, common: dict[str, Any]) -> bridge.Converted:
    """Converts tars: those in the chosen folder, or all that are named."""
    if args.icc:
        raise AtlasError(
            f"{clean(args.src[0])}: --icc cannot be measured while tars are imported; use "
            f"AtlasDatasetWriter(append=True, icc=...)"
        )
    return bridge.import_tars(
        choice if choice is not None and len(args.src) == 1 else args.src,
        args.dst,
        fields=args.fields,
        decode=args.decode,
        interleaved=args.interleaved,
        duplicates=args.duplicates,
        strict=args.strict,
        on_error="skip" if args.skip_errors else "raise",
        resume=args.resume,
        dry_run=args.dry_run,
        max_expansion=args.max_expansion,
        encoding=args.encoding or "utf-8",
        allow_http=args.allow_http,
        split=args.split,
        **common,
    )


def print_report(args: argparse.Namespace, done: bridge.Converted) -> None:
    stats = {"rows": 0, "bytes": 0, "raw_bytes": 0} if args.dry_run else AtlasDataset(args.dst).stats()
    if args.json:
        facts: dict[str, Any] = {"path": str(done.path), "format": done.format, "why": done.why, "rows": done.rows, "seconds": done.seconds}
        facts |= {"total_rows": stats["rows"], "bytes": stats["bytes"], "raw_bytes": stats["raw_bytes"], "columns": dict(done.columns)}
        print(json.dumps(facts | {"notes": list(done.notes), "left_out": list(done.left_out), "skipped": list(done.skipped), "lost": done.lost}))
        return
    if args.dry_run:
        print(f"{printable(done.path)}: {'rows' if done.rows is None else count(done.rows, 'row')} from {done.format} would be written")
    else:
        rows = done.rows or 0
        print(f"{printable(done.path)}: {count(rows, 'row')} from {done.format} in {duration(done.seconds)}"
              f" ({rows / max(done.seconds, 1e-9):,.0f} rows/s)")  # fmt: skip
        print(f"  {format_size(stats['raw_bytes'])} of values in {format_size(stats['bytes'])} on disk, ratio {ratio(stats['raw_bytes'], stats['bytes'])}"
              + (f", {stats['rows']:,} rows in all" if stats["rows"] != rows else ""))  # fmt: skip
    if done.why:
        print(f"  {done.format}: {printable(done.why)}")
    if args.dry_run and done.columns:
        print("  columns: " + ", ".join(f"{printable(name)} {kind}" for name, kind in done.columns.items()))
    for note in done.notes:
        if not note.startswith(LEFT_OUT):  # the list below has them
            print(f"  {printable(note)}")
    if done.format == "atlas":
        print("  the result is a dataset; to write tars, use a DST such as NAME-%06d.tar")
    listed(count(len(done.left_out), "file") + " left out", done.left_out)
    if args.dry_run:
        listed(count(len(done.skipped), "example") + " that would be refused", done.skipped)
    else:
        listed(f"{done.lost:,} of {count(done.lost + (done.rows or 0), 'example')} left out", done.skipped)


def listed(what: str, lines: Sequence[str]) -> None:
    """Prints the first lines of a list that may be long; --json has all."""
    if lines:
        print(f"  {what}:")
    for line in lines[:SHOWN]:
        print(f"    {printable(line)}")
    if len(lines) > SHOWN:
        print(f"    and {len(lines) - SHOWN:,} more; --json lists all")


def export(args: argparse.Namespace, progress: bool) -> int:
    """Writes a dataset as tars."""
    if len(args.src) > 1 or bridge.detect(args.src[0]) != "atlas":
        raise AtlasError(
            f"{args.dst}: tars can only be written from one Atlas dataset; pass its folder, or convert "
            f"{clean(args.src[0])} to a dataset first"
        )
    if args.append:
        raise AtlasError(f"{args.dst}: tars are not added to; choose other names, or pass --overwrite")
    start = time.monotonic()
    source = AtlasDataset(args.src[0], split=args.split)
    if args.fields is not None:
        keys = [name for name in ("__key__", "key") if name in source.schema.names and name not in args.fields]
        source = AtlasDataset(args.src[0], split=args.split, columns=[*keys, *args.fields])
    done = bridge.export_webdataset(
        source,
        args.dst,
        maxcount=args.max_count,
        maxsize=args.max_size,
        overwrite=args.overwrite,
        progress=progress,
    )
    if args.json:
        facts = {"paths": list(map(str, done.paths)), "format": bridge.TARS, "samples": done.samples, "bytes": done.bytes, "fields": dict(done.fields)}
        print(json.dumps(facts | {"notes": list(done.notes)}))
        return 0
    names = f"{done.paths[0]} to {done.paths[-1].name}" if len(done.paths) > 1 else str(done.paths[0])
    print(f"{printable(names)}: {count(done.samples, 'sample')} in {duration(time.monotonic() - start)}, {format_size(done.bytes)}")
    print("  " + ", ".join(f"{printable(column)} -> {printable(field)}" for column, field in done.fields.items()))
    for note in done.notes:
        print(f"  {printable(note)}")
    return 0
