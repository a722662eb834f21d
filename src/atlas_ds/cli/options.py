"""What the commands' parsers share: subparsers with examples, and common options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atlas_ds.store.paths import URL

CODECS = ("auto", "none", "lz4", "zstd")
Run = Callable[[argparse.Namespace], int]


def subparser(commands: Any, name: str, summary: str, examples: str, run: Run) -> argparse.ArgumentParser:
    """Adds a command. `summary`: its line in the list of commands. `examples`: the end of its help."""
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
    """The dataset that a command reads, and how its URL is reached."""
    parser.add_argument("dataset", metavar="DATASET", type=path_or_url, help="the dataset's folder or URL, or one .atlas file")
    add_storage_options(parser)


def path_or_url(text: str) -> Path | str:
    """What a user named. A Path would make one slash of two."""
    return text if URL.match(text) else Path(text)


def add_storage_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--storage-option", metavar="KEY=VALUE", type=_storage_option, action="append",
        help="how to reach a URL, such as region=eu-central-1, endpoint=https://host or anon=true; may be repeated "
        "(default: from the environment). Set secrets in the environment: other users of this machine can see the "
        "options of a command",
    )


def storage_options(args: argparse.Namespace) -> dict[str, Any] | None:
    """The options of add_storage_options, as that argument of the functions that read; None if there are none."""
    return dict(args.storage_option) if args.storage_option else None


def _storage_option(text: str) -> tuple[str, str | bool | float]:
    """The name and the value, which no error shows, because it may be a secret."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("write KEY=VALUE, such as region=eu-central-1")
    if name.lower() == "timeout":
        try:
            return name, float(value)
        except ValueError:
            raise argparse.ArgumentTypeError("timeout: give seconds, such as timeout=60") from None
    return name, {"true": True, "false": False}.get(value.lower(), value)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def positive(text: str) -> int:
    """A positive integer, for argparse."""
    try:
        number = int(text.replace("_", ""))
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return number


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Options of the writer: how the new dataset is stored."""
    parser.add_argument(
        "--shard-size", metavar="SIZE", default="256MiB",
        help="size of a shard before compression, in bytes or examples (default: %(default)s)",
    )
    parser.add_argument(
        "--block-size", metavar="SIZE",
        help="size of a block before compression, in bytes or examples (default: 64KiB)",
    )
    parser.add_argument(
        "--compression", action="append", metavar="CODEC", type=_codec,
        help="auto, none, lz4 or zstd (default: auto); COLUMN=CODEC sets it for one column and may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--access", choices=("random", "scan"), default="random",
        help="optimize for reading in random order or for sequential scans, which also compresses more "
        "(default: random)",
    )
    parser.add_argument(
        "--workers", metavar="N", type=positive,
        help="number of threads that compress (default: one per core)",
    )


def storage(args: argparse.Namespace) -> dict[str, Any]:
    """The options of add_storage, as arguments of the writer."""
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
        raise argparse.ArgumentTypeError(f"{codec!r} is not a codec; choose from {', '.join(CODECS)}")
    return column, codec


def _compression(choices: list[tuple[str, str]]) -> str | dict[str, str]:
    columns = {column: codec for column, codec in choices if column}
    general = [codec for column, codec in choices if not column]
    if columns and general:
        raise ValueError("--compression: pass one codec for all columns, or COLUMN=CODEC for some of them")
    return columns or (general[-1] if general else "auto")
