"""The Log of a local disk: a file that grows, whose flock says that its process is active."""

from __future__ import annotations

import os
from pathlib import Path

from atlas_ds.store.local_file import write_all
from atlas_ds.store.lock import try_flock
from atlas_ds.store.system_errors import explained
from atlas_ds.store.temporary import temporary_name

LABEL = "journal"  # of the temporary name


class LocalLog:
    """See store.Log. Its flock, if the file system has one, is held until it is closed."""

    __slots__ = ("_fd", "can_be_held", "path")

    def __init__(self, path: Path, data: bytes, mark: str) -> None:
        self.path = path
        step = path.with_name(temporary_name(LABEL, mark=mark))
        step.unlink(missing_ok=True)  # of a writer that was stopped here, or a link
        with explained(path):
            self._fd = os.open(step, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            self.can_be_held = try_flock(self._fd) is not None
            with explained(path):
                write_all(self._fd, [memoryview(data)], step)
                if os.path.lexists(path):
                    os.fsync(self._fd)  # what it replaces is safe, too
                os.replace(step, path)
        except BaseException:
            self.close()
            step.unlink(missing_ok=True)
            raise

    def append(self, data: bytes) -> None:
        with explained(self.path):
            write_all(self._fd, [memoryview(data)], self.path)

    def sync(self) -> None:
        with explained(self.path):
            os.fsync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:  # of a writer whose constructor was interrupted
        if getattr(self, "_fd", -1) >= 0:
            self.close()
