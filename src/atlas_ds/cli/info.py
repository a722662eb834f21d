"""`atlas-ds info`: columns, sizes, codecs and splits of a dataset. It reads no rows."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from atlas_ds.cli.options import add_dataset, add_json, storage_options, subparser
from atlas_ds.cli.text import ratio, table
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.sizes import format_size
from atlas_ds.text import count, listed, printable

EXAMPLES = """\
examples:
  atlas-ds info cars
  atlas-ds info cars --shards              also lists the shards
  atlas-ds info cars --json | jq .rows
  atlas-ds info s3://bucket/cars           reads only the manifest

"ratio" is the size of the values divided by their stored size; "why" is the reason for the codec.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "info", "show columns, sizes, codecs and splits", EXAMPLES, run)
    add_dataset(parser)
    parser.add_argument("--shards", action="store_true", help="also list the shards")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    ds = AtlasDataset(args.dataset, storage_options=storage_options(args))
    facts = _facts(args.dataset, ds)
    print(json.dumps(facts) if args.json else _text(facts, args.shards))
    return 0


def _facts(path: object, ds: Any) -> dict[str, Any]:
    stats = ds.stats()
    columns = [_column(field, stats["columns"]) for field in ds.schema.fields]
    return {
        "path": str(path),
        "rows": stats["rows"],
        "bytes": stats["bytes"],
        "raw_bytes": stats["raw_bytes"],
        "splits": dict(ds.splits),
        "metadata": dict(ds.metadata or {}),
        "icc": ds.icc,
        "columns": columns,
        "shards": [{"path": str(s.path), "rows": s.rows, "bytes": s.bytes} for s in ds.shards],
    }


def _column(field: Any, stats: dict[str, Any]) -> dict[str, Any]:
    """Sums over the stored parts of a column (boxes.x and boxes.y of "boxes"); codec and why of the largest."""
    parts = {path: part for path, part in stats.items() if path == field.name or path.startswith(field.name + ".")}
    layouts: Counter[str] = Counter()
    for part in parts.values():
        layouts.update(part["layouts"])
    largest: dict[str, Any] = max(parts.values(), key=lambda part: part["stored_bytes"], default={})
    return {
        "name": field.name,
        "type": str(field.type),
        "nullable": bool(field.nullable),
        "raw_bytes": sum(part["raw_bytes"] for part in parts.values()),
        "stored_bytes": sum(part["stored_bytes"] for part in parts.values()),
        "layouts": dict(layouts),
        "codec": largest.get("codec", ""),
        "why": largest.get("why", ""),
        "parts": parts,
    }


def _text(facts: dict[str, Any], list_shards: bool) -> str:
    total = ratio(facts["raw_bytes"], facts["bytes"])
    lines = [
        printable(facts["path"]),
        f"  {count(facts['rows'], 'row')} in {count(len(facts['shards']), 'shard')}",
        f"  {format_size(facts['raw_bytes'])} of values in {format_size(facts['bytes'])} on disk, ratio {total}",
    ]
    if facts["splits"]:
        lines.append("  splits: " + listed([f"{name} {rows:,}" for name, rows in facts["splits"].items()], 50))
    if facts["icc"]:
        values = [f"{name} {value:.2f}" for name, value in facts["icc"].items()]
        lines.append("  similarity of neighbouring rows (icc, 0 to 1): " + listed(values, 50))
    if facts["metadata"]:
        text = json.dumps(facts["metadata"], ensure_ascii=False)
        lines.append("  metadata: " + (text if len(text) <= 100 else text[:100] + "..."))
    rows = [("column", "type", "values", "stored", "ratio", "pages", "codec", "why")]
    for column in facts["columns"]:
        raw, stored = column["raw_bytes"], column["stored_bytes"]
        pages = " ".join(f"{layout} {n:,}" for layout, n in column["layouts"].items())
        kind = column["type"] + (" or None" if column["nullable"] else "")
        rows.append((column["name"], kind, format_size(raw), format_size(stored), ratio(raw, stored), pages,
                     column["codec"], column["why"]))  # fmt: skip
    lines += ["", table(rows, right=(2, 3, 4))]
    if list_shards:
        shards = [("shard", "rows", "bytes")] + [(s["path"], f"{s['rows']:,}", format_size(s["bytes"])) for s in facts["shards"]]
        lines += ["", table(shards, right=(1, 2))]
    return "\n".join(lines)
