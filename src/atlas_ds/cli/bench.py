"""`atlas-ds bench`: how fast a dataset is read, alone or compared with other formats. measure.py does the timing."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atlas_ds.cli.measure import QUESTIONS, Answer, Contender, Reader, measure
from atlas_ds.cli.measure_loader import LoaderAnswer, measure_loader
from atlas_ds.cli.options import add_dataset, add_json, positive, storage_options, subparser
from atlas_ds.cli.peers import PEERS, installed
from atlas_ds.cli.plot import check_matplotlib, plot
from atlas_ds.cli.text import duration, table
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.errors import AtlasError
from atlas_ds.progress import Progress
from atlas_ds.sizes import format_size
from atlas_ds.text import count, printable

EXAMPLES = f"""\
examples:
  atlas-ds bench cars
  atlas-ds bench cars --loader
  atlas-ds bench cars --rows 20000 --compare lmdb,hf,h5py
  atlas-ds bench cars --compare all --plot bench.png --json > bench.json
  atlas-ds bench s3://bucket/cars --rows 20000 --loader

formats for --compare: {", ".join(PEERS)}
The other formats get the same examples in a temporary folder and are measured in turn with Atlas. A format that is
not installed is reported and left out. All files are in the page cache, so this compares formats, not disks. Of a URL, blocks
that were read stay in memory (64 MiB); the others are requests to the server.

--loader also measures a shuffled epoch of atlas_ds.Loader with its default settings, and a plain loop that calls
ds.batch with the same rows and does not prefetch. The "time / atlas" of the plain loop shows what the Loader adds:
near 1.00x it costs nothing; above 1.00x its threads make it faster.
"""


def add_command(commands: Any) -> None:
    parser = subparser(commands, "bench", "measure how fast a dataset is read", EXAMPLES, run)
    add_dataset(parser)
    parser.add_argument(
        "--rows", metavar="N", type=positive,
        help="use only the first N rows (default: all; 10000 with --compare)",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_seconds, default=2.0,
        help="seconds per measurement and format (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", metavar="N", type=positive, default=5,
        help="rounds that this time is divided into (default: %(default)s)",
    )
    parser.add_argument(
        "--loader", action="store_true",
        help="also measure the Loader against a plain loop of ds.batch",
    )
    parser.add_argument(
        "--compare", type=_peers, default=(), metavar="FORMAT,...",
        help="other formats to compare with, or all",
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="write a plot of the results (needs matplotlib)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.plot:
        check_matplotlib()
    ds = open_it(args)
    limit = args.rows or (10_000 if args.compare else len(ds))
    rows = min(len(ds), limit)
    if rows == 0:
        raise AtlasError(f"{args.dataset}: the dataset has no rows; there is nothing to measure")
    notes: list[str] = []
    with ExitStack() as stack:
        on_disk = ds.stats()["bytes"] * rows // len(ds)
        contenders = [Contender("atlas", lambda: _reader(open_it(args)), on_disk)]
        if args.compare:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atlas-bench-")))
            contenders += _write_peers(ds, rows, args.compare, folder, notes)
        steps = args.rounds * (len(QUESTIONS) * len(contenders) + 2 * args.loader)
        bar = stack.enter_context(Progress(steps, "measuring", "steps", not args.json))
        answers = measure(contenders, rows, args.seconds, args.rounds, lambda: bar.advance(1))
        loaded: LoaderAnswer | None = None
        if args.loader:
            loaded = measure_loader(ds if rows == len(ds) else ds[:rows], args.seconds, args.rounds, lambda: bar.advance(1))
            answers += loaded.answers
            notes += loaded.notes
    if args.plot:
        plot(answers, args.plot, f"{args.dataset}: {count(rows, 'row')}")
    if args.json:
        sizes = {who.name: who.bytes for who in contenders}
        facts = {"path": str(args.dataset), "rows": rows, "bytes": sizes, "answers": [asdict(a) for a in answers]}
        print(json.dumps(facts | ({"loader": loaded.as_dict()} if loaded else {}) | {"notes": notes}))
    else:
        print(_text(args.dataset, rows, answers, contenders, notes))
        if loaded:
            print(f"\n{loaded}")
    return 0


def open_it(args: argparse.Namespace) -> AtlasDataset:
    return AtlasDataset(args.dataset, storage_options=storage_options(args))


def _reader(ds: AtlasDataset) -> Reader:
    return Reader(ds.__getitem__, ds.batch, ds.__iter__)


def _write_peers(ds: Any, rows: int, names: tuple[str, ...], folder: Path, notes: list[str]) -> list[Contender]:
    """Writes the first rows with each peer. One that is missing, or cannot store these examples, is noted instead."""
    examples = [_as_dict(ds[i]) for i in range(rows)]
    written = []
    for name in names:
        peer, place = PEERS[name], folder / name
        if not installed(peer):
            notes.append(f"{name} left out: not installed (pip install {peer.pip})")
            continue
        try:
            peer.write(place, examples)
            opener: Callable[[], Reader] = lambda peer=peer, place=place: peer.open(place, rows)  # type: ignore[misc] # noqa: E731
            reader = opener()
            reader.get(rows - 1)
            reader.close()
        except Exception as error:  # an error of one peer must not end the measurement of the others
            notes.append(f"{name} left out: it cannot store these examples: {type(error).__name__}: {str(error)[:200]}")
            continue
        written.append(Contender(name, opener, sum(f.stat().st_size for f in place.rglob("*") if f.is_file())))
    return written


def _as_dict(example: Any) -> dict[str, Any]:
    if isinstance(example, dict):
        return example
    if isinstance(example, (tuple, list)):
        return {str(i): value for i, value in enumerate(example)}
    if hasattr(example, "__dataclass_fields__") and not hasattr(example, "data"):
        return {name: getattr(example, name) for name in example.__dataclass_fields__}
    return {"value": example}


def _text(path: Path | str, rows: int, answers: list[Answer], contenders: list[Contender], notes: list[str]) -> str:
    several = len({answer.contender for answer in answers}) > 1
    head = ["question", "format", "p50", "p99", "rows/s"] + (["time / atlas"] if several else [])
    lines = [head]
    for answer in answers:
        line = [answer.question if answer.contender == "atlas" else "", answer.contender, duration(answer.p50)]
        line += [duration(answer.p99), f"{answer.rows_per_second:,.0f}"]
        lines.append(line + ([f"{answer.ratio:.2f}x"] if several else []))
    sizes = ", ".join(f"{who.name} {format_size(who.bytes)}" for who in contenders)
    where = "warm page cache" if isinstance(path, Path) else "over the network"
    text = [f"{printable(path)}: {count(rows, 'row')}, {where}, Python {sys.version.split()[0]}; stored: {sizes}", ""]
    return "\n".join([*text, table(lines, right=(2, 3, 4, 5)), *([""] if notes else []), *map(printable, notes)])


def _peers(text: str) -> tuple[str, ...]:
    names = tuple(PEERS) if text == "all" else tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is not a known format; choose from {', '.join(PEERS)}, or "
            f"all"
        )
    return names


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return number
