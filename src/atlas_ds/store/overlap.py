"""Whether two folders lie in each other, so that writing one would destroy the other."""

from __future__ import annotations

import os
from pathlib import Path

from atlas_ds.errors import AtlasError


def refuse_overlap(src: Path, dst: Path) -> None:
    """AtlasError if writing dst would overwrite src, or files in it."""
    source, target = Path(os.path.realpath(src)), Path(os.path.realpath(dst))  # Path.resolve() raises for a link to itself
    if source == target:
        raise AtlasError(f"{dst}: source and destination are the same; write to another folder")
    if source.is_dir() and target.is_relative_to(source):
        raise AtlasError(f"{dst}: is inside the source {src}; write to another folder")
    if source.is_relative_to(target):
        raise AtlasError(f"{dst}: contains the source {src}, which overwriting could delete; write to another folder")
