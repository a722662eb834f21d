"""The order in plain Python, written from docs/order.md alone: slow, and the oracle of csrc/permute.c and src/atlas_ds/order."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

GOLDEN = 0x9E3779B97F4A7C15
BITS = (1 << 64) - 1
CHUNKS, WINDOW, MIX, ROWS = 1, 2, 3, 4


def scale(x: int, n: int) -> int:
    return x * n >> 64


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & BITS
    return z ^ z >> 31


def key(*words: int) -> int:
    h = GOLDEN
    for word in words:
        h = mix(h ^ mix(word + GOLDEN & BITS)) + GOLDEN & BITS
    return h


def shuffled(n: int, k: int) -> list[int]:
    table, s = list(range(n)), k
    for i in range(n - 1, 0, -1):
        s = s + GOLDEN & BITS
        j = scale(mix(s), i + 1)
        table[i], table[j] = table[j], table[i]
    return table


def half(x: int, k: int) -> int:
    z = (x ^ k) * 0xD6E8FEB86659FD93 & BITS
    return (z ^ z >> 32) * 0xD6E8FEB86659FD93 & BITS


def permutation(n: int, *words: int) -> Callable[[int], int]:
    if n <= 65_536:
        return shuffled(n, key(*words)).__getitem__
    a = next(a for a in itertools.count(int(n**0.5) - 2) if a * a >= n)
    b = -(-n // a)
    keys = [key(*words, i) for i in range(8)]

    def at(x: int) -> int:
        while True:
            left, right = divmod(x, b)
            for i in (0, 2, 4, 6):
                left = (left + scale(half(right, keys[i]), a)) % a
                right = (right + scale(half(left, keys[i + 1]), b)) % b
            x = left * b + right
            if x < n:
                return x

    return at


def row_counts(chunks: Any) -> list[int]:
    if isinstance(chunks, dict):
        return [1 + i * chunks["factor"] % chunks["modulus"] for i in range(chunks["count"])]
    if isinstance(chunks, tuple):
        rows, per_chunk = chunks
        return [min(per_chunk, rows - start) for start in range(0, rows, per_chunk)]
    return list(chunks)


class Window:
    """Positions as the page tells them: one lane after the other takes its turn, from the first position on."""

    def __init__(self, chunks: Any, lanes: int, window: int, seed: int, epoch: int, substream: int) -> None:
        counts = row_counts(chunks)
        starts = [0, *itertools.accumulate(counts)]
        names = (substream, seed, epoch)
        self.length, self.lanes = starts[-1], min(lanes, len(counts))
        deal = permutation(len(counts), CHUNKS, *names)
        of_lanes: list[list[int]] = [[] for _ in range(self.lanes)]
        for q in range(len(counts)):
            of_lanes[q % self.lanes].append(deal(q))
        self.rows_of_lanes = [sum(counts[chunk] for chunk in own) for own in of_lanes]
        self.even = min(self.rows_of_lanes, default=0) * self.lanes

        @cache
        def window_rows(lane: int, number: int) -> list[int]:
            own = [c for i, c in enumerate(of_lanes[lane]) if (i + lane * window // self.lanes) // window == number]
            stored = [row for chunk in own for row in range(starts[chunk], starts[chunk + 1])]
            place = permutation(len(stored), WINDOW, *names, lane, number)
            return [stored[place(o)] for o in range(len(stored))]

        def lane_rows(lane: int) -> Iterator[int]:
            for number in itertools.count():
                yield from window_rows(lane, number)

        self._lane_rows = lane_rows

    def __iter__(self) -> Iterator[int]:
        """The rows at positions 0, 1, 2, ..."""
        readers = [self._lane_rows(lane) for lane in range(self.lanes)]
        turns = range(self.lanes)
        for offset in range(max(self.rows_of_lanes, default=0)):
            if offset * self.lanes == self.even:
                turns = sorted(turns, key=lambda lane: -self.rows_of_lanes[lane])
            for lane in turns:
                if offset < self.rows_of_lanes[lane]:
                    yield next(readers[lane])


def mixed(segments: list[tuple[int, list[int]]], seed: int) -> Iterator[tuple[int, int]]:
    """(dataset, position in it) at positions 0, 1, 2, ..."""
    turns: list[int] = [0] * max(len(weights) for _, weights in segments)
    for (origin, weights), (end, _) in itertools.zip_longest(segments, segments[1:], fillvalue=(1 << 62, [])):
        total, ends = sum(weights), list(itertools.accumulate(weights))
        for block in itertools.count():
            slots = permutation(total, MIX, seed, origin, block)
            for place in range(min(total, end - origin - block * total)):
                dataset = next(i for i, below in enumerate(ends) if slots(place) < below)
                yield dataset, turns[dataset]
                turns[dataset] += 1
            if origin + (block + 1) * total >= end:
                break


def rank_positions(length: int, begin: int, batch: int, step: int, rank: int, size: int, last_batch: str, lanes: int = 0, even: int = 0) -> list[int]:
    """The positions of a rank in a step; from length on they are repeats."""
    first, last = begin + step * batch, begin + (step + 1) * batch
    if last > length and last_batch == "drop":
        raise IndexError(step)
    positions = list(range(first, min(last, length) if last_batch == "short" else last))
    if lanes and lanes % size == 0 and len(positions) == batch and last <= even:
        return [p for p in positions if p % size == rank]
    return positions[rank * len(positions) // size : (rank + 1) * len(positions) // size]


# --- golden vectors ---------------------------------------------------------

COUNT = 1000


def numbers(config: dict[str, Any]) -> list[int]:
    """The first 1,000 numbers of a configuration of docs/order-vectors.json."""
    c = config
    if c["order"] == "exact":
        at = permutation(c["length"], ROWS, c["substream"], c["seed"], c["epoch"])
        return [at(p) for p in range(c["start"], min(c["length"], c["start"] + COUNT))]
    if c["order"] == "window":
        chunks = tuple(c["chunks"]) if isinstance(c["chunks"], list) and c["equal"] else c["chunks"]
        window = Window(chunks, c["lanes"], c["window"], c["seed"], c["epoch"], c["substream"])
        return list(itertools.islice(window, c["start"], c["start"] + COUNT))
    found = itertools.islice(mixed([(begin, list(weights)) for begin, weights in c["segments"]], c["seed"]), c["start"], c["start"] + COUNT // 2)
    return [number for pair in found for number in pair]


def digest(found: list[int]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(found)}q", *found)).hexdigest()[:16]


def exact(length: int, seed: int = 0, epoch: int = 0, substream: int = 0, start: int = 0) -> dict[str, Any]:
    return {"order": "exact", "length": length, "seed": seed, "epoch": epoch, "substream": substream, "start": start}


def window(chunks: Any, lanes: int, size: int, seed: int = 0, epoch: int = 0, substream: int = 0, start: int = 0) -> dict[str, Any]:
    equal = isinstance(chunks, tuple)
    chunks = list(chunks) if equal else chunks
    return {"order": "window", "chunks": chunks, "equal": equal, "lanes": lanes, "window": size, "seed": seed, "epoch": epoch, "substream": substream, "start": start}


def weighted(segments: list[tuple[int, list[int]]], seed: int, start: int = 0) -> dict[str, Any]:
    return {"order": "mix", "segments": segments, "seed": seed, "start": start}


CONFIGURATIONS = [
    exact(1),
    exact(2, seed=1),
    exact(5, seed=1, epoch=1),
    exact(1000),
    exact(1000, epoch=1),
    exact(1000, seed=1),
    exact(1000, substream=1),
    exact(65_536, seed=BITS, epoch=BITS, substream=BITS),
    exact(65_537, seed=42),
    exact(1_281_167, seed=42, epoch=3, start=1_280_167),
    exact(10**9, seed=7),
    exact((1 << 63) - 1, seed=7, start=1 << 62),
    window((1000, 16), 4, 3),
    window((1001, 100), 192, 32, seed=9, epoch=2, substream=5),
    window([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 300, 2, 3, 8, 4], 6, 2, seed=42),
    window((300_000, 256), 192, 32, seed=42, start=100_000),
    window((40_000_000, 400), 8, 4, seed=1, start=2000),
    window((70_000, 1), 16, 40, seed=3),
    window({"count": 2000, "factor": 7919, "modulus": 500}, 48, 8, seed=42, start=400_000),
    window((600_000, 50_000), 3, 2, seed=8, epoch=1),
    weighted([(0, [5, 3, 1, 1])], 7),
    weighted([(0, [2, 1]), (100, [0, 1, 3]), (250, [70, 20, 10])], 42),
]


def as_text(value: Any) -> Any:
    """Integers beyond 2^53 - 1 as text: many readers of JSON round them."""
    if isinstance(value, dict):
        return {name: as_text(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_text(inner) for inner in value]
    return str(value) if isinstance(value, int) and value >= 1 << 53 else value


def from_text(value: Any) -> Any:
    """What as_text was given: the only other text in a vector is the name of its order."""
    if isinstance(value, dict):
        return {name: from_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [from_text(inner) for inner in value]
    return int(value) if isinstance(value, str) and value.isdigit() else value


def main(path: Path) -> None:
    """Writes the vectors and prints the page's table."""
    done = [{**config, "out": numbers(config)} for config in CONFIGURATIONS]
    path.write_text("[\n" + ",\n".join(json.dumps(as_text(one), separators=(",", ":")) for one in done) + "\n]\n")
    print("\n".join(table(done)))


def table(vectors: list[dict[str, Any]]) -> list[str]:
    lines = ["| | order | first 8 | hash |", "|---|---|---|---|"]
    for number, vector in enumerate(vectors):
        parameters = {name: value for name, value in vector.items() if name not in ("order", "out", "equal")}
        said = ", ".join(f"{name} {json.dumps(value)}" for name, value in parameters.items() if value or name in ("length", "seed"))
        first = " ".join(map(str, vector["out"][:8]))
        lines.append(f"| {number} | {vector['order']}: {said} | {first} | `{digest(vector['out'])}` |")
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
