"""Turns errors of pyarrow into errors that name file and place, and says what to install if it
is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas_ds.bridge.opening import unreadable
from atlas_ds.errors import AtlasError, CorruptError


def pyarrow(place: Path | str, format: str) -> Any:
    """pyarrow with its readers of Arrow and Parquet."""
    try:
        import pyarrow as pa
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise AtlasError(f"{place}: reading {format} needs pyarrow; install it: pip install 'atlas-ds[tables]'") from error
    return pa


@contextmanager
def arrow_errors(path: Path | str, what: str) -> Iterator[None]:
    """Turns any error of reading the file `path` into an AtlasError. what: the message, such as
    "not a readable Parquet file"."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise CorruptError(f"{path}: {what}: {_first_line(error)}; fetch or write the file again") from error
    except OSError as error:
        if error.errno is None:  # an error of Arrow about the bytes, not of the system about the file
            raise CorruptError(f"{path}: {what}: {_first_line(error)}; fetch or write the file again") from error
        raise unreadable(path, error) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
