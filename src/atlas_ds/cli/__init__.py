"""The command `atlas-ds`: parses the arguments, calls one command, and turns errors into one line and an exit code.

Exit codes: 0 success, 1 failure or damage found, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from atlas_ds import __version__
from atlas_ds.cli import bench, cache, convert, download, head, info, repair, shuffle, verify
from atlas_ds.cli.screen import complain, on_screen
from atlas_ds.cli.text import as_options, one_line
from atlas_ds.errors import AtlasError
from atlas_ds.text import printable

DEBUG = "ATLAS_DEBUG"  # environment variable: errors are shown with their traceback
COMMANDS = (convert, download, shuffle, info, head, verify, repair, cache, bench)

EPILOG = """\
examples:
  atlas-ds convert photos/ photos-atlas       convert a folder of images; also tables, arrays, tars
  atlas-ds info photos-atlas                  show columns, sizes and codecs
  atlas-ds head -n 3 photos-atlas             print the first three examples
  atlas-ds download s3://bucket/cars cars     copy a dataset from a bucket
  atlas-ds shuffle photos-atlas shuffled      write the same rows in random order
  atlas-ds verify photos-atlas                check every byte against its checksum
  atlas-ds COMMAND --help                     show options and examples of a command

exit codes: 0 success, 1 failure or damage found, 2 wrong usage, 130 interrupted
Set ATLAS_DEBUG=1 in the environment to see the traceback of an error.
"""


class _Parser(argparse.ArgumentParser):
    """An argparse parser that reports wrong usage in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"atlas-ds: error: {printable(message)}; see: {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; each command adds its own part."""
    parser = _Parser(
        prog="atlas-ds",
        description="Create, inspect, verify and repair Atlas datasets.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (by default that of the process) and returns the exit code."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # --help, --version and wrong usage
        return stop.code if isinstance(stop.code, int) else 2
    try:
        with on_screen():
            code = args.run(args)
            sys.stdout.flush()
        return int(code)
    except KeyboardInterrupt as stop:
        return _fail(f"interrupted; {str(stop) or 'nothing was published'}", 130)
    except BrokenPipeError:  # `atlas-ds head | head -1`: nobody reads the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (AtlasError, OSError, ValueError, TypeError, LookupError) as error:
        if DEBUG in os.environ:
            raise
        lines = getattr(error, "lines", ())
        return _fail(str(error).split("\n")[0], 1, lines) if lines else _fail(as_options(one_line(error)), 1)
    except MemoryError:
        return _fail("out of memory; use a smaller --shard-size or fewer rows", 1)
    except Exception as error:  # a bug of this package or of one it uses
        if DEBUG in os.environ:
            raise
        return _fail(
            f"unexpected {type(error).__name__}: {one_line(error)}; this is a bug; please report it with the "
            f"traceback, which {DEBUG}=1 in the environment shows",
            1,
        )


def _fail(message: str, code: int, lines: Sequence[str] = ()) -> int:
    complain(message, lines)
    return code
