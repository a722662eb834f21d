"""What the writer's notes in several shards add up to: the size of each column, and the sums for the ICC. A manifest holds it. No file is opened here."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from atlas_ds.schema.schema import MAX_LEAVES, Schema
from atlas_ds.shard.icc import checked_sums
from atlas_ds.shard.icc_total import IccTotal, total_from_json, total_of
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.notes import MAX_NAMES, is_leaf_note
from atlas_ds.text import printable

MAX_COUNT = (1 << 53) - 1  # of an integer in a manifest
COUNTS = ("raw_bytes", "stored_bytes", "cells")


@dataclass(slots=True)
class Totals:
    """The notes of some shards, added up.

    columns: by path of a leaf, as is_leaf_note has them; the reason is that of the first shard. None: unknown, or too much for a manifest.
    row_bytes: of a mean row, in the shard where it is largest. icc: by column, of those that all shards have sums of.
    """

    columns: dict[str, dict[str, Any]] | None = field(default_factory=dict)
    row_bytes: int = 0
    icc: dict[str, IccTotal] = field(default_factory=dict)

    @property
    def raw_bytes(self) -> int:
        """Bytes of all values."""
        return sum(column["raw_bytes"] for column in (self.columns or {}).values())

    def add(self, more: Totals) -> None:
        """Adds those of the shards that follow."""
        self.columns = both_columns(self.columns, more.columns)
        self.row_bytes = max(self.row_bytes, more.row_bytes)
        self.icc = {name: total for name, total in self.icc.items() if name in more.icc}
        for name, total in self.icc.items():
            total.add(more.icc[name])


def shard_totals(info: ShardInfo, notes: Mapping[str, Any]) -> Totals:
    """The totals of one shard. notes: as shard_notes returns them."""
    columns: dict[str, dict[str, Any]] | None = {}
    for leaf in notes["columns"]:
        own = {name: dict(leaf[name]) for name in ("layouts", "codecs")} | {name: leaf[name] for name in (*COUNTS, "why")}
        columns = both_columns(columns, {leaf["path"]: own})
    found = {name: checked_sums(sums) for name, sums in notes["icc"].items()}
    totals = Totals(columns, 0, {name: total_of(sums) for name, sums in found.items() if sums is not None})
    totals.row_bytes = max(info.raw, totals.raw_bytes) // max(info.rows, 1)  # values that repeat are stored once
    return totals


def sum_of_totals(parts: Iterable[Totals]) -> Totals:
    """Adds up the totals of shards that follow each other; those given stay as they are."""
    found: Totals | None = None
    for part in parts:
        if found is None:
            found = deepcopy(part)
        else:
            found.add(part)
    return Totals() if found is None else found


def both_columns(one: dict[str, dict[str, Any]] | None, more: dict[str, dict[str, Any]] | None) -> dict[str, dict[str, Any]] | None:
    """Adds the second to the first; None where one is unknown, or it would be too much for a manifest."""
    if one is None or more is None:
        return None
    for path, column in more.items():
        into = add_column(one, path, column, COUNTS)
        counts = [into[name] for name in COUNTS] + [*into["layouts"].values(), *into["codecs"].values()]
        if max(counts) > MAX_COUNT or max(len(into["layouts"]), len(into["codecs"])) > MAX_NAMES:
            return None
    return one if len(one) <= MAX_LEAVES else None


def add_column(columns: dict[str, dict[str, Any]], name: str, more: Mapping[str, Any], counts: Sequence[str]) -> dict[str, Any]:
    """Adds a column to those of its name: its counts, and how often each layout and codec stands. Returns what they add up to."""
    into = columns.setdefault(name, {"layouts": {}, "codecs": {}, "why": more["why"]} | dict.fromkeys(counts, 0))
    for count in counts:
        into[count] += more[count]
    for kind in ("layouts", "codecs"):
        for key, number in more[kind].items():
            into[kind][key] = into[kind].get(key, 0) + number
    return into


def measured_icc(totals: Totals | None, names: Sequence[str], schema: Schema, where: str) -> dict[str, float]:
    """Returns the ICC of columns, from the totals of all shards, None if there are no shards.

    A column without valid sums in some shard is left out with a warning: the sums are informational.
    """
    if totals is None:
        return dict.fromkeys(names, 0.0)
    found = {}
    for name in names:
        total = totals.icc.get(name)
        if total is not None and total.fits(schema[name]):
            found[name] = total.icc()
        else:
            why = "some of its shards have no readable sums for it; write the dataset again to get the column's icc"
            warnings.warn(f"{printable(where)}: icc of column {name!r} is left out: {why}", RuntimeWarning, stacklevel=6)
    return found


# --- as a manifest has them ---


def columns_to_json(totals: Totals) -> dict[str, Any] | None:
    """The member `stats`; None if nothing is known."""
    if totals.columns is None:
        return None
    return {"columns": [column | {"path": path} for path, column in totals.columns.items()], "row_bytes": totals.row_bytes}


def icc_to_json(totals: Totals) -> dict[str, Any]:
    """The member `icc_sums`."""
    found = {name: total.to_json() for name, total in totals.icc.items()}
    return {name: body for name, body in found.items() if body is not None}


def totals_from_json(stats: Any, icc_sums: Any, schema: Schema) -> Totals:
    """The members of a manifest. They are informational: what no writer makes is left out."""
    totals = Totals(None)
    if isinstance(stats, dict) and isinstance(stats.get("columns"), list) and len(stats["columns"]) <= MAX_LEAVES:
        leaves = stats["columns"]
        if all(map(is_leaf_note, leaves)) and is_number(stats.get("row_bytes")) and len({leaf["path"] for leaf in leaves}) == len(leaves):
            totals.columns, totals.row_bytes = {}, stats["row_bytes"]
            for leaf in leaves:
                totals.columns = both_columns(totals.columns, {leaf["path"]: leaf})
    for name in schema.names if isinstance(icc_sums, dict) else ():
        total = total_from_json(icc_sums.get(name))
        if total is not None and total.fits(schema[name]):
            totals.icc[name] = total
    return totals


def is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT
