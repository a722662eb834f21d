"""`atlas-ds shuffle`: writes the rows of a dataset in random order. It parses, calls shuffle() and prints."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from atlas_ds.cli.options import add_json, add_storage, add_storage_options, path_or_url, storage, storage_options, subparser
from atlas_ds.cli.text import duration
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.rewrite.shuffle import shuffle
from atlas_ds.text import count, printable

EXAMPLES = """\
examples:
  atlas-ds shuffle cars cars-shuffled
  atlas-ds shuffle cars cars-shuffled --seed 7 --memory 32GiB
  atlas-ds shuffle logs logs-shuffled --access scan

The same seed writes the same bytes, whatever --memory is. Rows stay in their splits.
If the values do not fit in --memory, they are first copied, uncompressed, to a hidden folder next to DST.
An error or Ctrl-C leaves the destination unchanged.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "shuffle", "write the rows of a dataset in random order", EXAMPLES, run)
    parser.add_argument("src", metavar="SRC", type=path_or_url, help="the dataset's folder or URL, or one .atlas file")
    parser.add_argument("dst", metavar="DST", type=Path, help="the folder of the new dataset")
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0,
        help="seed of the order, 0 to 2^64 - 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--memory", metavar="SIZE", default="1GiB",
        help="how many bytes of rows to hold in memory (default: %(default)s)",
    )
    add_storage(parser)
    add_storage_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing dataset at DST")
    parser.add_argument("--quiet", action="store_true", help="do not show progress")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()
    quiet = args.quiet or args.json
    where = {"overwrite": args.overwrite, "storage_options": storage_options(args)}
    shuffle(args.src, args.dst, seed=args.seed, memory=args.memory, progress=not quiet, **where, **storage(args))
    rows, seconds = len(AtlasDataset(args.dst)), time.monotonic() - start
    if args.json:
        print(json.dumps({"path": str(args.dst), "rows": rows, "seed": args.seed, "seconds": seconds}))
    else:
        print(f"{printable(args.dst)}: {count(rows, 'row')} in the order of seed {args.seed}, in {duration(seconds)}")
    return 0
