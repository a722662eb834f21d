"""What the stats JSON of all shards adds up to, by section 19 of FORMAT.md: `stats`, `icc_sums` and `icc` of a manifest."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from .wire import need


def check(manifest: dict[str, Any], notes: list[dict[str, Any]]) -> None:
    """notes: the stats JSON of each shard, in order. Members that are missing are not compared."""
    if "stats" in manifest:
        need(manifest["stats"] == stats(manifest["shards"], notes), "stats are not the sums of those of the shards")
    for name, sums in manifest.get("icc_sums", {}).items():
        need(name in manifest["icc"], f"icc_sums of {name}, which has no icc")
        need(sums == icc_sums([note["icc"][name] for note in notes]), f"icc_sums of {name} are not the sums of those of the shards")
        need(abs(manifest["icc"][name] - icc(sums)) < 1e-12, f"icc of {name} does not follow from its sums")


def stats(shards: list[dict[str, Any]], notes: list[dict[str, Any]]) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {}
    largest = 0
    for shard, note in zip(shards, notes, strict=True):
        largest = max(largest, max(shard["raw"], sum(leaf["raw_bytes"] for leaf in note["columns"])) // max(shard["rows"], 1))
        for leaf in note["columns"]:
            if leaf["path"] not in columns:
                columns[leaf["path"]] = leaf
                continue
            old = columns[leaf["path"]]
            new = {name: old[name] + leaf[name] for name in ("cells", "raw_bytes", "stored_bytes")}
            for name in ("codecs", "layouts"):
                new[name] = {key: old[name].get(key, 0) + leaf[name].get(key, 0) for key in old[name] | leaf[name]}
            columns[leaf["path"]] = old | new
    return {"columns": list(columns.values()), "row_bytes": largest}


def icc_sums(shards: list[dict[str, Any]]) -> dict[str, Any]:
    whole = {name: sum(shard[name] for shard in shards) for name in ("rows", "chunks", "squares")}
    numbers = None
    if all(shard["numbers"] for shard in shards):
        exact = [(shard["rows"], *map(Fraction, shard["numbers"])) for shard in shards]
        between = sum(b + Fraction(round(rows * mean * mean * 2**1074), 2**1074) for rows, mean, b, _ in exact)
        numbers = [floats(sum(rows * mean for rows, mean, _, _ in exact)), floats(between), floats(sum(within for *_, within in exact))]
    return whole | {"numbers": numbers, "classes": classes(shards, "classes", 1000), "hashed": classes(shards, "hashed", 1024)}


def classes(shards: list[dict[str, Any]], kind: str, most: int) -> dict[str, Any] | None:
    if not all(shard[kind] for shard in shards):
        return None
    counts: dict[str, int] = {}
    for shard in shards:
        for key, count in shard[kind]["counts"].items():
            counts[key] = counts.get(key, 0) + count
    agree = sum(Fraction(shard[kind]["agree"]) for shard in shards)
    return {"agree": floats(agree), "counts": counts} if len(counts) <= most else None


def floats(number: Fraction | int) -> list[float]:
    found = []
    while number:
        found.append(float(number))
        number -= Fraction(found[-1])
    return found


def icc(sums: dict[str, Any]) -> float:
    rows, chunks = sums["rows"], sums["chunks"]
    if chunks < 2 or rows == chunks:
        return 0.0
    grouped = sums["classes"] or sums["hashed"]
    if grouped:
        agree = sum(map(Fraction, grouped["agree"]))
        between, within = agree - Fraction(sum(count**2 for count in grouped["counts"].values()), rows), rows - agree
    else:
        values, squares, within = (sum(map(Fraction, terms)) for terms in sums["numbers"])
        between = squares - Fraction(values) ** 2 / rows
    k0 = (rows - Fraction(sums["squares"], rows)) / (chunks - 1)
    msb, msw = Fraction(between) / (chunks - 1), Fraction(within) / (rows - chunks)
    return float(max((msb - msw) / (msb + (k0 - 1) * msw), 0)) if msb + (k0 - 1) * msw > 0 else 0.0
