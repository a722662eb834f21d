"""Publishes several files atomically: an error or Ctrl-C on the way leaves the folder as it was. Single files are published in files.py."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from atlas_ds.store.files import NewFile, sync_folder
from atlas_ds.store.temporary import temporary_name


def publish_atomically(folder: Path, files: Sequence[tuple[NewFile, str]], existing: Sequence[Path]) -> list[Path]:
    """Renames each new file into place and removes the existing files that no new one replaces. Returns the paths of the new files.

    If the process is killed during these renames, complete files remain, old and new, with hidden links to the old ones.
    """
    kept = [(folder / temporary_name(f"old-{path.name}"), path) for path in existing]
    targets = [folder / name for _, name in files]
    try:
        for hidden, path in kept:
            hidden.unlink(missing_ok=True)
            os.link(path, hidden)
        for file, name in files:
            file.publish(name)
        for path in existing:
            if path not in targets:
                path.unlink()
        sync_folder(folder)
    except BaseException:
        _undo(files, targets, kept)
        raise
    for hidden, _ in kept:
        hidden.unlink(missing_ok=True)
    return targets


def _undo(files: Sequence[tuple[NewFile, str]], targets: Sequence[Path], kept: Sequence[tuple[Path, Path]]) -> None:
    for file, _ in files:
        file.discard()
    old = {path for _, path in kept}
    for path in targets:
        if path not in old:
            path.unlink(missing_ok=True)
    for hidden, path in kept:
        if hidden.exists():
            os.replace(hidden, path)
            hidden.unlink(missing_ok=True)  # where both are names of one file, replace does nothing
