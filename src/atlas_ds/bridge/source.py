"""What a bridge hands to `convert`: the examples of somebody else's format, to be read as often as wanted.

Not a reader: each format has a file of its own. Not a writer either: `convert` gives the examples to Atlas.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from atlas_ds.errors import AtlasError, CorruptError

Example = dict[str, object]
Row = tuple[Example, str | None]  # an example and the split it belongs to


@dataclass(frozen=True, slots=True)
class Source:
    """Examples in a fixed order. `examples()` starts a new pass and may be called again.

    `total` is None where only reading tells. `schema` is given where the source knows its types better than
    inference would. `notes` are sentences for the person who converts: what was chosen, skipped or changed.
    `place` says where a row (from 0) comes from, for errors about its values; None where the row's number says it all.
    """

    format: str
    examples: Callable[[], Iterator[Row]]
    total: int | None
    schema: object | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    place: Callable[[int], str] | None = None


def unreadable(path: Path | str, error: OSError) -> AtlasError:
    """The error for a file that the system refuses to open or read."""
    if isinstance(error, FileNotFoundError):
        hints = {"*": "; for many write {000000..000099}, or name the folder", "~": "; ~ is not expanded"}
        hint = next((hint for mark, hint in hints.items() if mark in str(path)), "")
        return AtlasError(f"{path}: no such file; check the path{hint}")
    reason = error.strerror or type(error).__name__
    return AtlasError(f"{path}: cannot be read: {reason}; check its permissions, or move it away and convert again")


def read_head(path: Path, size: int = 64) -> bytes:
    """The first bytes of a file, for a look at its magic number."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise unreadable(path, error) from error


def inner_path(folder: Path, name: object, place: str) -> Path:
    """The path of a file that another names (an index, a list); never outside the folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise CorruptError(f"{place}: {name!r} is no file name; restore the file")
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise CorruptError(f"{place}: names {name!r}, which lies outside the folder; only files inside it are read")
    return folder / parts


def open_binary(path: Path) -> IO[bytes]:
    """The file, unzipped on the fly if it begins like gzip (the name does not matter)."""
    if read_head(path, 2) == b"\x1f\x8b":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def open_text(path: Path) -> IO[str]:
    """The file as UTF-8 text, with or without a byte order mark, line ends untouched."""
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="")


def not_utf8(path: Path | str, error: UnicodeDecodeError, place: str) -> CorruptError:
    """The error for text that is not UTF-8. `place` says where, since a stream's offset means little."""
    bad = error.object[error.start : error.start + 1].hex()
    return CorruptError(
        f"{path}: {place}: not UTF-8 (byte 0x{bad}); save the file as UTF-8, e.g. iconv -f latin1 -t utf-8"
    )
