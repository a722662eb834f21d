"""Writers that are never closed: collected, still open when the program ends, or copied into a forked process."""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

from atlas_ds.dataset.output import RESUME, Output
from atlas_ds.shard.encoders import Encoders
from atlas_ds.shard.writer import ShardWriter


def release_unclosed(output: Output, streams: Mapping[str | None, ShardWriter], encoders: Encoders) -> None:
    """Releases the folder of a writer on which neither close() nor abort() was called, and warns."""
    if output.pid != os.getpid():
        return  # a copy in a forked process
    encoders.close()
    for stream in streams.values():
        stream.abort()
    rows = output.rows
    output.journal.leave()
    kept = f"; {rows:,} rows in finished shards are kept: {RESUME}" if rows else ""
    warnings.warn(f"{output.place}: a writer was never closed, so nothing was published{kept}. Use `with`, or call close()", ResourceWarning, stacklevel=2)


def track(writer: Any) -> None:
    """Calls writer._forked() in a child process that is forked while the writer exists."""
    _writers.add(writer)


_writers: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer._forked()


os.register_at_fork(after_in_child=_after_fork)
