"""Opens tars: local files and streams, compressed or not. archive.py iterates over their
members."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from atlas_ds._tar import MappedFile
from atlas_ds.bridge.compression.reading import MAGIC_BYTES, MAX_EXPANSION, unpacked
from atlas_ds.bridge.opening import open_regular, unreadable
from atlas_ds.bridge.tar.archive import PIECE, Tar

BUFFER = 1 << 14  # a larger one reads needless bytes when large members are skipped


@contextmanager
def open_tar_file(
    path: Path | str, *, encoding: str = "utf-8", sequential: bool = False, max_expansion: int = MAX_EXPANSION
) -> Iterator[Tar]:
    """A context manager: a local archive, compressed or not. sequential: it will be read from
    the first byte to the last."""
    with open_regular(Path(path), BUFFER) as file:
        try:
            tar = tar_of(file, str(path), encoding=encoding, seekable=True, sequential=sequential, max_expansion=max_expansion)
        except OSError as error:
            raise unreadable(path, error) from error
        yield tar


def tar_of(
    file: IO[bytes], where: str, *, encoding: str = "utf-8", seekable: bool = False, sequential: bool = False, max_expansion: int = MAX_EXPANSION
) -> Tar:
    """An archive that begins at the file's position; a stream unless it is seekable."""
    head = file.read(MAGIC_BYTES)
    inner = unpacked(file, head, where, max_expansion)
    if inner is not None:
        return Tar(inner, where, encoding=encoding, packed=True)
    if seekable:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return Tar(map_file(file, size) if sequential else file, where, size=size, encoding=encoding)
    return Tar(io.BufferedReader(Behind(head, file), PIECE), where, encoding=encoding)


def map_file(file: IO[bytes], size: int) -> IO[bytes] | MappedFile:
    """The file mapped into memory, to be read sequentially; the file itself if it cannot be
    mapped."""
    try:
        return MappedFile(file.fileno(), size)
    except OSError:
        return file


class Behind(io.RawIOBase):
    """A stream whose first bytes have already been read."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head or self._file.read(len(buffer)) or b""
        part, self._head = data[: len(buffer)], data[len(buffer) :] if self._head else b""
        buffer[: len(part)] = part
        return len(part)
