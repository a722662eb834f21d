"""The names of temporary files, which say whose they are, so that those of processes that have ended are found. It opens no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from atlas_ds.store.owner import has_ended, here_mark, start_of
from atlas_ds.store.regular import is_regular

TEMPORARY = ".tmp-"
_PROCESS_FILE = re.compile(r"\.tmp-(?P<label>.+)-(?P<pid>[0-9]{1,7})\.(?P<started>[0-9]{1,19})\.(?P<here>[0-9a-f]{8})-[0-9]+")


def temporary_name(label: str, attempt: int = 0, mark: str | None = None) -> str:
    """A hidden name. mark: of its owner; None: of this process (number, start, and where it runs, so that others can tell whether it has ended)."""
    return f"{TEMPORARY}{label}-{mark or process_mark()}-{attempt}"


def process_mark() -> str:
    pid = os.getpid()
    return f"{pid}.{start_of(pid)}.{here_mark()}"


def is_temporary(name: str) -> bool:
    return len(name) > len(TEMPORARY) and name.startswith(TEMPORARY)


def temporary_of(folder: Path, mark: str) -> Iterator[Path]:
    """The temporary files in a folder that have a mark."""
    return folder.glob(f"{TEMPORARY}*-{mark}-*")


def label_of(path: Path) -> str:
    """The label of a process's temporary file; empty for another name."""
    found = _PROCESS_FILE.fullmatch(path.name)
    return found["label"] if found is not None else ""


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files of processes that have certainly ended: that ran on this machine, and no longer exist."""
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        found = _PROCESS_FILE.fullmatch(path.name)
        if found is not None and found["here"] == here_mark() and has_ended(int(found["pid"]), int(found["started"])) and is_regular(path):
            yield path
