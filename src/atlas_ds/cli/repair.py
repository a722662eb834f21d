"""`atlas-ds repair`: copies every row that is verified as intact to a new dataset, and says how many are lost."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from atlas_ds.cli.options import add_dataset, add_json, storage_options, subparser
from atlas_ds.cli.text import table
from atlas_ds.rewrite.repair import repair
from atlas_ds.text import count, printable

EXAMPLES = """\
examples:
  atlas-ds verify cars                      shows what is damaged
  atlas-ds repair cars                      writes the intact rows to cars-repaired
  atlas-ds repair cars --output /data/saved
  atlas-ds repair s3://bucket/cars --output cars-repaired

The damaged dataset is not changed. Rows keep their order. Splits without lost rows are kept.
exit code: 0 if no row was lost, 1 if some were (the others are saved)
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "repair", "copy the intact rows of a damaged dataset to a new one", EXAMPLES, run)
    add_dataset(parser)
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path,
        help="folder of the new dataset (default: DATASET-repaired; a URL needs one)",
    )
    add_json(parser)


def output_of(args: argparse.Namespace) -> Path:
    if args.output is None and isinstance(args.dataset, str):
        raise ValueError("--output is needed with a URL, which has no folder beside it")
    source = Path(args.dataset).resolve()
    return args.output or source.with_name(source.stem + "-repaired")


def run(args: argparse.Namespace) -> int:
    output = output_of(args)
    report = repair(args.dataset, output=output, progress=not args.json, storage_options=storage_options(args))
    unsure = any(lost < 0 for _, _, lost, _ in report.shards)  # its number of rows is unknown
    if args.json:
        shards = [{"path": str(p), "kept": kept, "lost": lost if lost >= 0 else None, "reason": why}
                  for p, kept, lost, why in report.shards]  # fmt: skip
        facts = {"path": str(output), "rows_kept": report.rows_kept, "rows_lost": report.rows_lost, "rows_lost_known": not unsure}
        dropped = [{"name": name, "reason": why} for name, why in report.splits_dropped]
        print(json.dumps(facts | {"shards": shards, "manifest": report.manifest, "splits_dropped": dropped}))
        return 1 if report.rows_lost or unsure else 0
    rows = [
        (Path(path).name, f"{kept:,}", f"{lost:,}" if lost >= 0 else "?", str(why).replace(f"{path}: ", ""))
        for path, kept, lost, why in report.shards
    ]
    print(table([("shard", "kept", "lost", "state"), *rows], right=(1, 2)))
    if report.manifest:
        print(printable(report.manifest))
    for name, why in report.splits_dropped:
        print(f"split {name!r} is dropped: {printable(why)}")
    lost = f"{'at least ' if unsure else ''}{count(report.rows_lost, 'row')} lost"
    print(
        f"{printable(output)}: {count(report.rows_kept, 'row')} saved, {lost}; {printable(args.dataset)} was "
        f"not changed"
    )
    return 1 if report.rows_lost or unsure else 0
