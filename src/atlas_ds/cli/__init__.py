"""The command `atlas-ds`: parses, calls one command, turns errors into one line and an exit code. No work is done here.

Exit codes: 0 fine, 1 damage or failure, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from atlas_ds import __version__
from atlas_ds.cli import bench, convert, head, info, repair, shuffle, verify
from atlas_ds.cli.screen import complain, on_screen
from atlas_ds.cli.text import one_line
from atlas_ds.errors import AtlasError
from atlas_ds.text import printable

DEBUG = "ATLAS_DEBUG"  # in the environment: errors come with their traceback
COMMANDS = (convert, shuffle, info, head, verify, repair, bench)

EPILOG = """\
examples:
  atlas-ds convert photos/ photos-atlas       a folder, Parquet, CSV, JSON lines, .npy, .npz or MNIST files
  atlas-ds shuffle photos-atlas mixed         the same rows in a random order
  atlas-ds info photos-atlas                  columns, sizes, codecs and why they were chosen
  atlas-ds head -n 3 photos-atlas             the first examples, in brief
  atlas-ds verify photos-atlas                every byte against its checksum
  atlas-ds COMMAND --help                     options and examples of one command

exit codes: 0 fine, 1 damage or failure, 2 wrong usage, 130 interrupted
ATLAS_DEBUG=1 in the environment shows the traceback of an error
"""


class _Parser(argparse.ArgumentParser):
    """argparse, with wrong usage told in one line like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"atlas-ds: error: {printable(message)}; see: {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; each command adds its own part."""
    parser = _Parser(
        prog="atlas-ds",
        description="Makes, shows, checks and mends Atlas datasets.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: that of the process) and returns its exit code."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # --help, --version and wrong usage
        return stop.code if isinstance(stop.code, int) else 2
    try:
        with on_screen():
            code = args.run(args)
            sys.stdout.flush()
        return int(code)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was published", 130)
    except BrokenPipeError:  # `atlas-ds head | head -1`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (AtlasError, OSError, ValueError, TypeError, LookupError) as error:
        if DEBUG in os.environ:
            raise
        lines = getattr(error, "lines", ())
        return _fail(str(error).split("\n")[0], 1, lines) if lines else _fail(one_line(error), 1)
    except MemoryError:
        return _fail("out of memory; use a smaller --shard-size or fewer rows", 1)
    except Exception as error:  # a fault of this package or of one it uses: told in one line too, with the way to see all of it
        if DEBUG in os.environ:
            raise
        return _fail(f"unexpected {type(error).__name__}: {one_line(error)}; this is a bug: run again with {DEBUG}=1 to see where, and report it", 1)


def _fail(message: str, code: int, lines: Sequence[str] = ()) -> int:
    complain(message, lines)
    return code
