"""A folder of files as a source, by its path: what listing.py, classes.py and samples.py do, for those who have no listing yet."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from atlas_ds.bridge.files.classes import read_classes
from atlas_ds.bridge.files.listing import list_folder, require_files
from atlas_ds.bridge.files.samples import read_samples
from atlas_ds.bridge.files.splits import SPLIT_NAMES
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Source

__all__ = ["SPLIT_NAMES", "list_files", "read_folder"]


def read_folder(path: Path, options: ReadOptions = DEFAULTS, *, shape: str) -> Source:
    """The examples of a folder whose shape, "classes" or "samples", is known."""
    folder = list_folder(path, follow_links=options.follow_links)
    require_files(folder)
    return read_classes(folder, options) if shape == "classes" else read_samples(folder, options)


def list_files(root: Path) -> list[PurePosixPath]:
    """All files below `root`, relative and sorted; hidden ones and the litter of file managers left out."""
    return list(list_folder(root).files)
