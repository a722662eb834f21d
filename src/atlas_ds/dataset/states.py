"""The states of a writer: open, or why nothing more can be written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from atlas_ds.dataset.output import RESUME
from atlas_ds.errors import AtlasError

State = Literal["open", "closed", "aborted", "failed", "finished", "forked"]
"""finished: resume=True found a complete dataset. forked: the writer belongs to the parent process."""


def error_of(state: State, path: Path | str, rows: int) -> Exception:
    """Returns the error of a writer that is not open. rows: in its finished shards."""
    match state:
        case "finished":
            return FileExistsError(f"{path}: nothing to resume, the dataset is finished: pass append=True to add to it")
        case "forked":
            why = "the writer belongs to the process that this one was forked from"
            return RuntimeError(f"{path}: {why}: open one here (part= for several processes)")
        case "failed":
            cure = f"finished shards are kept: {RESUME}" if rows else "write the dataset again"
            return AtlasError(f"{path}: writing a shard was interrupted and its rows were lost; {cure}")
        case _:
            cure = "open another with append=True to add to the dataset" if state == "closed" else "open another"
            return ValueError(f"{path}: the writer is {state}; {cure}")
