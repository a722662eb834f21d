"""`atlas-ds download`: copies a dataset at a URL to a folder. It parses, calls download() and prints."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from atlas_ds.cli.options import add_json, add_storage_options, path_or_url, storage_options, subparser
from atlas_ds.cli.text import duration
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.download import AGAIN, download
from atlas_ds.sizes import format_size
from atlas_ds.text import count, printable

EXAMPLES = """\
examples:
  atlas-ds download s3://bucket/cars cars
  atlas-ds download s3://bucket/cars cars --storage-option anon=true
  atlas-ds download https://host/cars /data/cars

Every byte is checked. After an error, Ctrl-C or a crash, the same command continues: what has arrived is not fetched
again. DST is a dataset only once everything is there.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "download", "copy a dataset at a URL to a folder", EXAMPLES, run)
    parser.add_argument("url", metavar="URL", type=path_or_url, help="the dataset's URL")
    parser.add_argument("dst", metavar="DST", type=Path, help="the folder of the copy: new, or that of a download that was stopped")
    add_storage_options(parser)
    parser.add_argument("--quiet", action="store_true", help="do not show progress")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()
    try:
        download(args.url, args.dst, storage_options=storage_options(args), progress=not (args.quiet or args.json))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(AGAIN) from None
    ds, seconds = AtlasDataset(args.dst), time.monotonic() - start
    size = sum(shard.bytes for shard in ds.shards)
    if args.json:
        print(json.dumps({"path": str(args.dst), "rows": len(ds), "bytes": size, "seconds": seconds}))
    else:
        print(f"{printable(args.dst)}: {count(len(ds), 'row')}, {format_size(size)}, complete and checked, in {duration(seconds)}")
    return 0
