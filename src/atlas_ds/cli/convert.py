"""`atlas-ds convert`: other formats into Atlas. The readers are in bridge; this only parses, calls and prints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from atlas_ds import bridge
from atlas_ds.cli.options import add_json, add_storage, storage, subparser
from atlas_ds.cli.text import count, duration, ratio, size
from atlas_ds.dataset.reader import AtlasDataset

EXAMPLES = """\
what it reads, told apart by content:
  classes   a folder per class: pets/cat/1.jpg, pets/dog/7.jpg       -> image, label
  samples   files with one base name: a.jpg a.json b.jpg b.json      -> key, jpg, json
  parquet   a file, or a folder of .parquet files                    csv, jsonl   also gzipped
  npy, npz  rows along the first axis                                idx          MNIST and its kin
  arrow     a file, or what save_to_disk of Hugging Face wrote
  mds       a folder of MosaicML Streaming                           litdata      one of LitData
  atlas     an Atlas dataset, to store it anew with other options

examples:
  atlas-ds convert pets/ pets-atlas
  atlas-ds convert train.parquet news-atlas --split train
  atlas-ds convert test.parquet news-atlas --split test --append
  atlas-ds convert logs.csv logs-atlas --compression zstd --access scan
  atlas-ds convert pets/ pets-atlas --compression json=zstd --compression jpg=none

Ctrl-C or an error leaves the destination as it was.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "convert", "turn a folder, table or arrays into a dataset", EXAMPLES, run)
    parser.add_argument("src", metavar="SRC", type=Path, help="what to read: a file or a folder")
    parser.add_argument("dst", metavar="DST", type=Path, help="the dataset's folder, made by this command")
    parser.add_argument("--from", dest="source_format", choices=tuple(bridge.READERS), help="the format, if not to be detected")
    add_storage(parser)
    parser.add_argument("--split", help="put all rows into this split, e.g. train")
    parser.add_argument("--icc", action="append", metavar="COLUMN", help="measure how alike near rows are in this column; may be repeated")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--overwrite", action="store_true", help="replace a dataset at DST")
    place.add_argument("--append", action="store_true", help="add the rows to the dataset at DST")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if (args.dst / "atlas.json").exists() and not (args.append or args.overwrite):
        raise FileExistsError(f"{args.dst}: a dataset is there: --append adds to it, --overwrite replaces it, or choose another folder")
    done = bridge.convert(
        args.src,
        args.dst,
        source_format=args.source_format,
        **storage(args),
        overwrite=args.overwrite,
        append=args.append,
        split=args.split,
        icc=args.icc,
        progress=not args.quiet and not args.json,
    )
    stats = AtlasDataset(args.dst).stats()
    if args.json:
        told = {"path": str(done.path), "format": done.format, "rows": done.rows, "seconds": done.seconds}
        told |= {"total_rows": stats["rows"], "bytes": stats["bytes"], "raw_bytes": stats["raw_bytes"]}
        print(json.dumps(told | {"notes": list(done.notes)}))
        return 0
    print(f"{done.path}: {count(done.rows, 'row')} from {done.format} in {duration(done.seconds)}"
          f" ({done.rows / max(done.seconds, 1e-9):,.0f} rows/s)")  # fmt: skip
    print(f"  {size(stats['raw_bytes'])} of values in {size(stats['bytes'])} on disk, ratio {ratio(stats['raw_bytes'], stats['bytes'])}"
          + (f", {stats['rows']:,} rows in all" if stats["rows"] != done.rows else ""))  # fmt: skip
    for note in done.notes:
        print(f"  {note}")
    return 0
