"""Runs Python in a child where flock() and fcntl() locks fail, as on file systems that have no locks. No tests here.

The fixtures `no_locks` and `noflock` of conftest.py are made of what is here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from support import child

ERRORS = ("ENOLCK", "ENOSYS", "EOPNOTSUPP")


def build(folder: Path) -> Path:
    """Compiles noflock.c into `folder`."""
    library = folder / "noflock.so"
    source = Path(__file__).with_name("noflock.c")
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return library


def environment(library: Path, error: str) -> dict[str, str]:
    """What a process needs in its environment to find no locks; for those that a test starts in another way than `child`."""
    assert error in ERRORS, error
    before = os.environ.get("LD_PRELOAD", "")  # a sanitizer's library has to stay the first
    return {"LD_PRELOAD": f"{before} {library}".strip(), "NO_LOCKS": error}


def child_without(library: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`support.child`, with one more keyword: `error`, the name of the errno that locks fail with."""

    def run(code: str, *args: object, error: str = "ENOLCK", check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return child(code, *args, check=check, timeout=timeout, env=environment(library, error))

    return run
