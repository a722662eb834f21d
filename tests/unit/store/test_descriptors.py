"""Few descriptors for many files: what stays open, what is opened again, and what is said where the system has none left."""

import errno
import os
import resource
from pathlib import Path

import pytest

from atlas_ds.errors import DatasetChanged
from atlas_ds.store import descriptors, span
from atlas_ds.store.descriptors import ReadFile, open_to_read
from atlas_ds.store.local import LocalStore
from atlas_ds.store.span import open_mapped
from atlas_ds.store.store import Want
from support import child, fd_count


def content(k):
    return bytes([k % 251]) * (1000 + k)


@pytest.fixture
def files(tmp_path):
    for k in range(200):
        (tmp_path / f"{k:03d}").write_bytes(content(k))
    return sorted(tmp_path.iterdir())


def read(file, size=10, offset=0):
    view = memoryview(bytearray(size))
    return bytes(view[: file.read_into(view, offset)])


def test_few_stay_open_and_all_are_read(files):
    descriptors.close_all()
    before = fd_count()
    opened = [ReadFile(path) for path in files]
    for k in [*range(200), *range(199, -1, -1), *range(0, 200, 7)]:
        assert read(opened[k], 9, 990 + k) == content(k)[-10:-1]
        assert fd_count() - before <= descriptors.MAX_OPEN
    del opened
    assert fd_count() == before


def test_the_last_used_stay_open(files, monkeypatch):
    monkeypatch.setattr(descriptors, "MAX_OPEN", 4)
    opened = [ReadFile(path) for path in files[:6]]
    for k in (0, 1, 2, 3, 0, 4):
        read(opened[k])
    asked = []
    monkeypatch.setattr(os, "open", lambda path, flags, real=os.open: (asked.append(path), real(path, flags))[1])
    for k in (0, 2, 3, 4):
        read(opened[k])
    assert asked == [] and read(opened[1]) == content(1)[:10] and asked == [files[1]]


def test_a_part_of_what_the_process_may_have(monkeypatch):
    for soft, most in ((64, 8), (20, 4), (1024, 64), (resource.RLIM_INFINITY, 64)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, soft=soft: (soft, soft))
        assert descriptors.share(64, 8) == most


def put(path: Path, data: bytes) -> None:
    """Another file under the same name, at another time."""
    new = path.with_name("new")
    new.write_bytes(data)
    os.utime(new, ns=(1, 1))
    new.replace(path)


def test_a_file_that_is_opened_again_must_be_the_same(files):
    opened = [ReadFile(path) for path in files[:4]]
    put(files[0], content(0))
    put(files[1], content(1)[:-1] + b"?")
    put(files[2], content(3))
    files[3].unlink()
    assert [read(file) for file in opened] == [content(k)[:10] for k in range(4)]  # still open
    descriptors.close_all()
    assert read(opened[0]) == content(0)[:10]
    with pytest.raises(DatasetChanged, match=r"001: was replaced by another file after it was opened; open the dataset again"):
        read(opened[1])
    with pytest.raises(DatasetChanged, match=r"002: has 1,003 bytes, and had 1,002 when it was opened"):
        read(opened[2])
    with pytest.raises(FileNotFoundError, match="003"):
        read(opened[3])


def failing(monkeypatch, name, code, times):
    """os.<name> fails so many times, or for ever (-1)."""
    left = [times]
    real = getattr(os, name)

    def call(*args, **options):
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return real(*args, **options)

    monkeypatch.setattr(os, name, call)


def first_byte(path):
    [(_, answer)] = LocalStore(path.parent).read_ranges([Want(path.name, 0, 1)])
    if isinstance(answer, Exception):
        raise answer


@pytest.mark.parametrize("make", [open_mapped, first_byte, ReadFile, lambda path: os.close(open_to_read(path))])
@pytest.mark.parametrize("code, cure", [(errno.EMFILE, r"raise the limit \(ulimit -n\), or close other files"), (errno.ENFILE, "fs.file-max")])
def test_where_no_descriptor_is_left(files, monkeypatch, make, code, cure):
    kept = [ReadFile(path) for path in files[:3]]
    closed = []
    cache = type("Cache", (), {"close_all": lambda self: closed.append(1)})()
    descriptors.add_cache(cache)
    with monkeypatch.context() as patch:
        failing(patch, "open", code, 1)
        make(files[5])
        assert closed == [1]
        assert not [file for file in kept if file._number in descriptors._open]
        failing(patch, "open", code, -1)
        with pytest.raises(OSError, match=rf"{os.strerror(code)}; .*{cure}.*: '.*/006'") as caught:
            make(files[6])
    assert caught.value.errno == code
    assert [read(file) for file in kept] == [content(k)[:10] for k in range(3)]


def test_other_errors_are_not_tried_again(files, monkeypatch):
    failing(monkeypatch, "open", errno.EACCES, 1)
    with pytest.raises(PermissionError):
        open_to_read(files[0])


def test_errors_of_reading_name_the_file_and_the_byte(files, monkeypatch):
    file = ReadFile(files[0])
    failing(monkeypatch, "preadv", errno.EIO, 1)
    with pytest.raises(OSError, match=r"byte 7: cannot be read: Input/output error; check the disk or the network, then read again: '.*/000'") as caught:
        file.read(7, 20)
    assert caught.value.errno == errno.EIO
    assert file.read(7, 20) == content(0)[7:27]


def test_a_network_file_that_is_forgotten_is_opened_again(files, monkeypatch):
    file = ReadFile(files[0])
    failing(monkeypatch, "preadv", errno.ESTALE, 1)
    assert read(file) == content(0)[:10]
    failing(monkeypatch, "preadv", errno.ESTALE, 2)
    with pytest.raises(OSError, match=r"byte 0: cannot be read: .*/000") as caught:
        read(file)
    assert caught.value.errno == errno.ESTALE


def test_a_mapping_needs_no_descriptor_and_no_name(files):
    before = fd_count()
    mapped = [open_mapped(path) for path in files]
    assert fd_count() == before
    for path in files:
        path.unlink()
    assert all(memory[:] == content(k) and len(memory) == len(content(k)) for k, memory in enumerate(mapped))
    with pytest.raises((TypeError, ValueError)):
        memoryview(mapped[0])[0] = 1


CHILD = """
import resource, sys
from pathlib import Path
from atlas_ds.store.local import LocalStore
from atlas_ds.store.span import Span, open_mapped
def ram_span(path):
    store = LocalStore(path.parent)
    return Span(store, store.info(path.name), str(path))
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (64 << 20),) * 2)
for make in (open_mapped, ram_span):
    try:
        make(Path(sys.argv[1]))
    except OSError as error:
        print(error)
"""


def test_where_no_memory_is_left(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)
    told = child(CHILD, tmp_path / "large").stdout.splitlines()
    assert len(told) == 2
    for line in told:
        assert "cannot be mapped into memory: Cannot allocate memory" in line and "vm.max_map_count" in line and "ulimit -v" in line and "large'" in line


def test_a_file_system_that_cannot_map(files, monkeypatch):
    def refused(fd, size):
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(span, "Region", refused)
    with pytest.raises(OSError, match=r'cannot be mapped into memory: .*: open the dataset with io="pread": \'/'):
        open_mapped(files[0])


def test_after_a_fork_both_read(files):
    opened = [ReadFile(path) for path in files[:20]]
    pid = os.fork()
    if pid == 0:
        good = all(read(file) == content(k)[:10] for k, file in enumerate(opened))
        descriptors.close_all()
        os._exit(0 if good and all(read(file) == content(k)[:10] for k, file in enumerate(opened)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert all(read(file) == content(k)[:10] for k, file in enumerate(opened))
