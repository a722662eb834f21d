"""What the commands' parsers share: a subparser that teaches, with examples under the options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

CODECS = ("auto", "none", "lz4", "zstd")
Run = Callable[[argparse.Namespace], int]


def subparser(commands: Any, name: str, summary: str, examples: str, run: Run) -> argparse.ArgumentParser:
    """Adds a command: `summary` is its line in the list, `examples` the end of its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="the dataset's folder, or one .atlas file")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def positive(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    try:
        number = int(text.replace("_", ""))
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number


def add_storage(parser: argparse.ArgumentParser) -> None:
    """How the new dataset is stored: the writer's options."""
    parser.add_argument("--shard-size", default="256MiB", help="bytes or examples of a shard (default: %(default)s)")
    parser.add_argument("--block-size", help="bytes or examples of a block (default: 64KiB, or 1MiB with --access scan)")
    parser.add_argument(
        "--compression", action="append", metavar="CODEC", type=_codec,
        help="auto, none, lz4 or zstd (default: auto); COLUMN=CODEC for one column, may be repeated",
    )  # fmt: skip
    parser.add_argument("--access", choices=("random", "scan"), default="random", help="how it will be read (default: random)")
    parser.add_argument("--workers", type=positive, help="threads that compress (default: as many as cores)")


def storage(args: argparse.Namespace) -> dict[str, Any]:
    """What add_storage asked for, as the writer takes it."""
    return {
        "shard_size": _size(args.shard_size),
        "block_size": _size(args.block_size) if args.block_size else None,
        "compression": _compression(args.compression or []),
        "access": args.access,
        "workers": args.workers,
    }


def _size(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _codec(text: str) -> tuple[str, str]:
    column, _, codec = text.rpartition("=")
    if codec not in CODECS:
        raise argparse.ArgumentTypeError(f"{codec!r} is no codec; choose from {', '.join(CODECS)}")
    return column, codec


def _compression(choices: list[tuple[str, str]]) -> str | dict[str, str]:
    columns = {column: codec for column, codec in choices if column}
    general = [codec for column, codec in choices if not column]
    if columns and general:
        raise ValueError("--compression: give one codec for all columns, or COLUMN=CODEC for some (the others are auto)")
    return columns or (general[-1] if general else "auto")
