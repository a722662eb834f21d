"""That locks really fail under noflock.c, and that nothing else does; and that without NO_LOCKS they work."""

import errno

import pytest

from no_locks import ERRORS
from support import child

TRY = """
import errno, fcntl, os, struct, sys
range_ = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
calls = {
    "flock": lambda: fcntl.flock(fd, fcntl.LOCK_EX),
    "flock, shared": lambda: fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB),
    "flock, unlock": lambda: fcntl.flock(fd, fcntl.LOCK_UN),
    "fcntl.lockf": lambda: fcntl.lockf(fd, fcntl.LOCK_EX),
    "os.lockf": lambda: os.lockf(fd, os.F_LOCK, 0),
    **{name: lambda name=name: fcntl.fcntl(fd, getattr(fcntl, name), range_)
       for name in ("F_GETLK", "F_SETLK", "F_SETLKW", "F_OFD_GETLK", "F_OFD_SETLK", "F_OFD_SETLKW")},
    "F_GETFD": lambda: fcntl.fcntl(fd, fcntl.F_GETFD),
    "F_SETFD": lambda: fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC),
    "F_DUPFD": lambda: os.close(fcntl.fcntl(fd, fcntl.F_DUPFD, 100)),
}
for name, call in calls.items():
    fd = os.open(sys.argv[1] + name, os.O_RDWR | os.O_CREAT)  # one file for each: POSIX and OFD locks exclude each other
    try:
        call()
        print(f"{name}=fine")
    except OSError as error:
        print(f"{name}={errno.errorcode[error.errno]}")
assert fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND) == 0 and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
"""
LOCKS = (
    "flock", "flock, shared", "flock, unlock", "fcntl.lockf", "os.lockf",
    "F_GETLK", "F_SETLK", "F_SETLKW", "F_OFD_GETLK", "F_OFD_SETLK", "F_OFD_SETLKW",
)  # fmt: skip
OTHERS = ("F_GETFD", "F_SETFD", "F_DUPFD")


def outcomes(text: str) -> dict[str, str]:
    return dict(line.split("=") for line in text.splitlines())


@pytest.mark.parametrize("error", ERRORS)
def test_locks_fail_and_nothing_else(no_locks, tmp_path, error):
    wanted = errno.errorcode[getattr(errno, error)]  # EOPNOTSUPP and ENOTSUP are one number
    got = outcomes(no_locks(TRY, tmp_path / "f", error=error).stdout)
    assert set(got) == {*LOCKS, *OTHERS}
    assert all(got[name] == wanted for name in LOCKS), got
    assert all(got[name] == "fine" for name in OTHERS), got


def test_locks_work_otherwise(tmp_path, noflock):
    for env in ({}, {"LD_PRELOAD": str(noflock)}):
        assert set(outcomes(child(TRY, tmp_path / "f", env=env, timeout=20).stdout).values()) == {"fine"}


def test_processes_of_the_child_have_no_locks_either(no_locks, tmp_path):
    code = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', *sys.argv[1:]], text=True, capture_output=True, check=True).stdout)"
    assert outcomes(no_locks(code, TRY, tmp_path / "f").stdout.strip())["flock"] == "ENOLCK"


def test_a_misspelt_error_is_refused(no_locks, noflock, tmp_path):
    with pytest.raises(AssertionError):
        no_locks("", error="ENOLOCK")
    done = child(TRY, tmp_path / "f", env={"LD_PRELOAD": str(noflock), "NO_LOCKS": "ENOLOCK"}, check=False)
    assert done.returncode < 0 and "expected ENOLCK" in done.stderr
