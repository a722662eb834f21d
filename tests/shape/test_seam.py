"""The seam between bytes and their place: the rooms of datasets, shards and rewriting name, list, lock, publish and remove files through a store."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "atlas_ds"
ROOMS = ("dataset", "shard", "rewrite")
# Of os, pathlib, shutil, fcntl and glob: what makes, names, lists, locks or removes files.
CALLS = {
    "flock", "lockf", "fsync", "fdatasync", "link", "symlink", "symlink_to", "hardlink_to", "unlink", "glob", "iglob", "rglob", "iterdir", "scandir",
    "listdir", "walk", "rmdir", "rmtree", "removedirs", "mkdir", "makedirs", "rename", "renames", "touch", "utime", "write_bytes", "write_text",
}  # fmt: skip
OF_OS = {"replace", "remove", "open", "truncate"}  # names that others have, too
MODULES = {"fcntl", "shutil", "glob"}
INSIDE = {"NewFile", "link_file", "write_file", "sync_folder", "locked", "is_flocked", "try_flock", "read_regular", "remove_regular", "temporary_of"}  # of the store
ALLOWED = {("dataset/foreign.py", "scandir")}  # what a folder is that holds no dataset: no store is asked


def crossings(file: str, text: str) -> Iterator[str]:
    """Where a source does itself what a store is for."""
    for node in ast.walk(ast.parse(text)):
        found = set()
        if isinstance(node, ast.Attribute):
            of_os = isinstance(node.value, ast.Name) and node.value.id == "os"
            found = {node.attr} & (CALLS | OF_OS if of_os else CALLS)
        elif isinstance(node, ast.Import):
            found = {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            own = (node.module or "").startswith("atlas_ds.store")
            found = {alias.name for alias in node.names} & (INSIDE if own else CALLS | OF_OS if node.module == "os" else set())
            found |= {node.module or ""} & MODULES
        for name in sorted(found):
            if (file, name) not in ALLOWED:
                yield f"{file}:{node.lineno}: {name}"


def test_files_are_reached_through_a_store() -> None:
    sources = [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
    assert len(sources) > 50
    wrong = [line for path in sources for line in crossings(path.relative_to(PACKAGE).as_posix(), path.read_text())]
    assert not wrong, "give it to the store room, and call it by store/store.py:\n" + "\n".join(wrong)


def test_crossings_are_seen() -> None:
    text = (
        "import os, fcntl\nfrom shutil import rmtree\nfrom os import rename as move\nfrom dataclasses import replace\nos.replace(a, b)\nfolder.glob('*')\n"
        "'a'.replace('a', 'b')\nfcntl.flock(fd, 2)\nfrom atlas_ds.store.lock import locked\n"
    )
    assert list(crossings("dataset/x.py", text)) == [
        "dataset/x.py:1: fcntl", "dataset/x.py:2: shutil", "dataset/x.py:3: rename", "dataset/x.py:9: locked", "dataset/x.py:5: replace",
        "dataset/x.py:6: glob", "dataset/x.py:8: flock",
    ]  # fmt: skip
    assert list(crossings("dataset/foreign.py", "os.scandir('.')")) == []
