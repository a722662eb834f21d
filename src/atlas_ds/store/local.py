"""Files of the local system: written under a temporary name, made durable, then given their name. Nothing half-written is ever visible."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from atlas_ds.errors import AtlasError

TEMPORARY = ".tmp-"


class Bytes(Protocol):
    """Anything with a buffer."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class NewFile:
    """A file on its way to a name: write, then publish or discard. After a failed fsync it can only be discarded."""

    __slots__ = ("_fd", "_folder", "path", "size")

    def __init__(self, folder: Path, label: str) -> None:
        self._folder = folder
        self._fd = -1
        for attempt in range(1000):
            path = folder / f"{TEMPORARY}{label}-{os.getpid()}-{attempt}"
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                break
            except FileExistsError:
                continue
            except KeyboardInterrupt:  # raised after the file was made: nobody else knows of it
                path.unlink(missing_ok=True)
                raise
        else:
            raise FileExistsError(f"{folder}: a thousand temporary files of this process are there")
        self.path = path
        self.size = 0

    def write(self, data: Bytes) -> None:
        """All of data, at the end."""
        write_all(self._fd, data, self.path)
        self.size += memoryview(data).nbytes

    def settle(self) -> None:
        """Makes the bytes durable and closes the file, which keeps its temporary name: publish may come much later."""
        if self._fd < 0:
            return
        try:
            os.fsync(self._fd)
        except BaseException:
            self.discard()
            raise
        self._close()

    def publish(self, name: str) -> Path:
        """Makes the bytes durable and gives them their name, at once even where another file has it."""
        target = self._folder / name
        self.settle()
        os.replace(self.path, target)
        sync_folder(self._folder)
        return target

    def discard(self) -> None:
        """Takes the file away; silent if it is gone."""
        self._close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def write_all(fd: int, data: Bytes, path: Path) -> None:
    view = memoryview(data)
    while len(view):
        done = os.write(fd, view)
        if done == 0:
            raise OSError(f"{path}: the system took none of {len(view)} bytes")
        view = view[done:]


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(folder: Path, name: str, data: Bytes) -> Path:
    """One file, whole or not at all."""
    file = NewFile(folder, name)
    try:
        file.write(data)
        return file.publish(name)
    except BaseException:
        file.discard()
        raise


def append_file(path: Path, data: Bytes) -> None:
    """Adds to the end of a file that is there, and makes it durable. A crash may leave a part of data."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        write_all(fd, data, path)
        os.fsync(fd)
    finally:
        os.close(fd)


def link_file(source: Path, target: Path) -> None:
    """A second name for a file, at once even where another file has it."""
    step = target.with_name(f"{TEMPORARY}{target.name}-{os.getpid()}-0")
    step.unlink(missing_ok=True)
    os.link(source, step)
    os.replace(step, target)
    step.unlink(missing_ok=True)  # where both names are of one file already, replace does nothing


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files of writers that are no longer alive."""
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        parts = path.name.rsplit("-", 2)
        if len(parts) == 3 and parts[1].isdigit() and not _alive(int(parts[1])):
            yield path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def refuse_overlap(src: Path, dst: Path) -> None:
    """AtlasError if what is made of src at dst would fall upon src."""
    source, target = src.resolve(), dst.resolve()
    if source == target:
        raise AtlasError(f"{dst}: source and destination are the same; write to another folder")
    if source.is_dir() and target.is_relative_to(source):
        raise AtlasError(f"{dst}: lies inside the source {src}, whose files it would join; write to another folder")
    if source.is_relative_to(target):
        raise AtlasError(f"{dst}: holds the source {src}, which overwriting could delete; write to another folder")
