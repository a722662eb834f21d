"""Identifies this process and where it runs, and tells whether another one has certainly ended. It knows processes, not files."""

from __future__ import annotations

import datetime
import functools
import os
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from atlas_ds.text import printable

MAX_PID = 1 << 22  # of Linux
MAX_NAME = 256  # characters of a name that another machine gave


@dataclass(frozen=True, slots=True)
class Owner:
    """A process.

    started: its start in clock ticks since boot (0: unknown), to detect a reused process number. boot: id of the kernel's boot. space: PID
    namespace, which containers of one machine do not share. since: when it acquired what it owns, UTC.
    """

    pid: int
    started: int
    host: str
    boot: str
    space: str
    since: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return printable(f"process {self.pid} on {self.host}, since {self.since}")


def owner_from_json(data: Any) -> Owner:
    """ValueError if data is not what to_json gave."""
    kinds = {"pid": int, "started": int, "host": str, "boot": str, "space": str, "since": str}
    if not isinstance(data, dict) or data.keys() != kinds.keys() or not all(type(data[name]) is kind for name, kind in kinds.items()):
        raise ValueError("not the description of a process")
    if not (1 <= data["pid"] <= MAX_PID and 0 <= data["started"] < 1 << 63) or any(kind is str and len(data[name]) > MAX_NAME for name, kind in kinds.items()):
        raise ValueError("not a possible process")
    return Owner(**data)


def this_process() -> Owner:
    pid = os.getpid()
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Owner(pid, start_of(pid), os.uname().nodename, *_here(), now)


@functools.cache
def _here() -> tuple[str, str]:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux: only the host's name is known
        boot, space = "", ""
    return boot, space


def start_of(pid: int) -> int:
    """When a process of this machine started, in clock ticks since boot; 0 if unknown."""
    return _look_up(pid)[1]


def _look_up(pid: int) -> tuple[str, int]:
    """(state, start) of a process, from /proc; ("", 0) if they are unknown."""
    try:
        with open(f"/proc/{'self' if pid == os.getpid() else pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, ValueError, IndexError):
        return "", 0


def new_token() -> str:
    """16 random hex digits."""
    return os.urandom(8).hex()


def here_mark() -> str:
    """Eight hex digits that identify this machine since its boot, and its PID namespace."""
    return f"{zlib.crc32(repr((os.uname().nodename, *_here())).encode()):08x}"


def is_near(owner: Owner) -> bool:
    """Whether its process number is valid here: same machine, boot and PID namespace."""
    return (owner.host, owner.boot, owner.space) == (os.uname().nodename, *_here())


def has_ended(pid: int, started: int) -> bool:
    """Whether a process that is near has ended: its number is free, or a process that started at another time has it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    state, now = _look_up(pid)
    return state in ("Z", "X") or (started != 0 and now != 0 and now != started)
