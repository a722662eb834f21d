"""`atlas-ds verify`: checks every byte of a dataset or a shard against its checksums. It changes nothing."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from atlas_ds.cli.options import add_dataset, add_json, storage_options, subparser
from atlas_ds.cli.text import duration
from atlas_ds.dataset.verify import verify
from atlas_ds.sizes import format_size
from atlas_ds.text import count, printable

EXAMPLES = """\
examples:
  atlas-ds verify cars                      checks checksums, decoding, padding and digests
  atlas-ds verify cars --fast               checks the manifest, headers and footers only
  atlas-ds verify cars/00000-3f9a0c11d2e4b567.atlas
  atlas-ds verify s3://bucket/cars          reads every byte from there
  atlas-ds verify cars --json || echo damaged

exit code: 0 if everything is intact, 1 if anything is damaged
`atlas-ds repair` copies the intact rows of a damaged dataset to a new one.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "verify", "check every byte against its checksum", EXAMPLES, run)
    add_dataset(parser)
    parser.add_argument(
        "--fast", action="store_true",
        help="check only the manifest, headers and footers; damage inside values is not found",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()
    report = verify(args.dataset, fast=args.fast, progress=not args.json, storage_options=storage_options(args))
    seconds = time.monotonic() - start
    damages = [(str(path), message if str(path) in message else f"{path}: {message}") for path, message in report.damages]
    if args.json:
        facts = {"path": str(args.dataset), "shards": report.shards, "rows": report.rows, "bytes": report.bytes}
        listed = [{"path": path, "message": message} for path, message in damages]
        print(json.dumps(facts | {"seconds": seconds, "intact": not damages, "damages": listed}))
        return 1 if damages else 0
    for _, message in damages:
        print(printable(message))
    place = printable(args.dataset)
    checked = f"{count(report.shards, 'shard')}, {count(report.rows, 'row')}, {format_size(report.bytes)}, {duration(seconds)}"
    if damages:
        to = " --output FOLDER" if isinstance(args.dataset, str) else ""
        print(f"{place}: DAMAGED, {count(len(damages), 'finding')} ({checked}); try: atlas-ds repair {place}{to}")
        return 1
    print(f"{place}: intact ({checked}{', values not read' if args.fast else ''})")
    return 0
