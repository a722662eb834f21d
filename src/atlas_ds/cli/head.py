"""`atlas-ds head`: prints a few examples with shortened values. For complete values use AtlasDataset in Python."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from atlas_ds.cli.options import add_dataset, add_json, positive, storage_options, subparser
from atlas_ds.cli.text import brief, brief_json
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.schema.labels import with_names
from atlas_ds.schema.types import ClassLabel
from atlas_ds.text import printable

EXAMPLES = """\
examples:
  atlas-ds head cars
  atlas-ds head cars -n 3 --start 1000 --columns label,caption
  atlas-ds head cars --split test --json          prints one JSON object per line
  atlas-ds head s3://bucket/cars --storage-option anon=true

Long values are shortened.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "head", "print the first examples", EXAMPLES, run)
    add_dataset(parser)
    parser.add_argument("-n", metavar="N", type=positive, default=5, help="number of examples (default: %(default)s)")
    parser.add_argument(
        "--start", metavar="ROW", type=int, default=0,
        help="the first row (default: 0); a negative number counts from the end",
    )
    parser.add_argument("--columns", metavar="COLUMN,...", help="print only these columns, separated by commas")
    parser.add_argument("--split", metavar="NAME", help="print only rows of this split")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    columns = args.columns.split(",") if args.columns else None
    ds = AtlasDataset(args.dataset, columns=columns, split=args.split, storage_options=storage_options(args))
    kinds = {field.name: field.type for field in ds.schema.fields}
    first = max(0, args.start + len(ds)) if args.start < 0 else args.start
    for row in range(first, min(len(ds), first + args.n)):
        fields = dict(_fields(ds[row]))
        if args.json:
            print(json.dumps({name: brief_json(value) for name, value in fields.items()}, ensure_ascii=False))
            continue
        known = {name: with_names(value, kinds.get(name)) for name, value in fields.items()}
        shown = [(printable(name), printable(value if isinstance(kinds.get(name), ClassLabel) else brief(value))) for name, value in known.items()]
        width = max((len(name) for name, _ in shown), default=0)
        print(f"row {row:,}")
        for name, value in shown:
            print(f"  {name:<{width}}  {value}")
    return 0


def _fields(example: object) -> Iterator[tuple[str, object]]:
    """Names and values of an example: a dict, a dataclass, a tuple, or one value."""
    if isinstance(example, Mapping):
        yield from example.items()
    elif hasattr(example, "__dataclass_fields__") and not hasattr(example, "data"):
        yield from ((name, getattr(example, name)) for name in example.__dataclass_fields__)
    elif isinstance(example, (tuple, list)):
        yield from ((str(i), value) for i, value in enumerate(example))
    else:
        yield "value", example
