"""`atlas-ds shuffle`: a dataset written anew in a random order. The work is in loader; this only parses, calls and prints."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from atlas_ds.cli.options import add_json, add_storage, storage, subparser
from atlas_ds.cli.text import duration
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.rewrite.shuffle import shuffle
from atlas_ds.text import count, printable

EXAMPLES = """\
examples:
  atlas-ds shuffle sorted mixed
  atlas-ds shuffle sorted mixed --seed 7 --memory 32GiB
  atlas-ds shuffle logs mixed-logs --access scan

The same seed gives the same bytes, whatever --memory is. Rows stay in their splits.
Data of more than --memory is written twice, first uncompressed to a hidden folder beside DST.
Ctrl-C or an error leaves the destination as it was.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "shuffle", "write a dataset anew in a random order", EXAMPLES, run)
    parser.add_argument("src", metavar="SRC", type=Path, help="the dataset's folder, or one .atlas file")
    parser.add_argument("dst", metavar="DST", type=Path, help="the new dataset's folder")
    parser.add_argument("--seed", type=int, default=0, help="names the order: 0 to 2^64 - 1 (default: %(default)s)")
    parser.add_argument("--memory", default="1GiB", help="bytes of rows to hold at a time (default: %(default)s)")
    add_storage(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a dataset at DST")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()
    quiet = args.quiet or args.json
    shuffle(args.src, args.dst, seed=args.seed, memory=args.memory, overwrite=args.overwrite, progress=not quiet, **storage(args))
    rows, seconds = len(AtlasDataset(args.dst)), time.monotonic() - start
    if args.json:
        print(json.dumps({"path": str(args.dst), "rows": rows, "seed": args.seed, "seconds": seconds}))
    else:
        print(f"{printable(args.dst)}: {count(rows, 'row')} in the order of seed {args.seed}, in {duration(seconds)}")
    return 0
