"""Regular files only: pipes, devices, folders and links are refused at once, and never removed."""

import os
import socket

import pytest

from atlas_ds.errors import CorruptError, LimitError
from atlas_ds.store.regular import READ, is_folder, is_regular, open_regular, read_regular, remove_regular

NO_LINKS = READ | os.O_NOFOLLOW


@pytest.fixture
def odd(tmp_path):
    """name -> path of what is no regular file."""
    (tmp_path / "mine").write_bytes(b"precious")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "to folder").symlink_to(tmp_path / "folder")
    (tmp_path / "to device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as open_socket:
        here = os.getcwd()
        os.chdir(tmp_path)  # the name of a socket is short
        open_socket.bind("socket")
        os.chdir(here)
        yield {name: tmp_path / name for name in ("pipe", "folder", "to folder", "to device", "socket")}


@pytest.mark.parametrize("flags", [READ, NO_LINKS, os.O_RDWR | os.O_NOFOLLOW, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW])
def test_what_is_no_file_is_refused_at_once(odd, flags):
    for name, path in odd.items():
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(CorruptError, match="must be a regular file") as caught:
            open_regular(path, flags)
        assert str(path) in str(caught.value) and len(os.listdir("/proc/self/fd")) == before, name


@pytest.mark.parametrize(("name", "said"), [("pipe", "a pipe"), ("folder", "a folder"), ("to device", "a device"), ("socket", "a socket")])
def test_it_is_said_what_is_there(odd, name, said):
    with pytest.raises(CorruptError, match=said):
        read_regular(odd[name], 100)


def test_links_are_followed_to_read_and_nowhere_else(odd, tmp_path):
    link = tmp_path / "link"
    assert read_regular(link, 8) == b"precious"
    with pytest.raises(CorruptError, match="a link"):
        read_regular(link, 8, follow=False)
    with pytest.raises(CorruptError, match="a link"):
        open_regular(link, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    (tmp_path / "new").symlink_to(tmp_path / "made")
    with pytest.raises(CorruptError, match="a link"):
        open_regular(tmp_path / "new", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    assert not (tmp_path / "made").exists()


def test_a_limit_on_what_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    os.truncate(tmp_path / "a", 1 << 40)
    with pytest.raises(LimitError, match=r"a: has 1,099,511,627,776 bytes, and at most 5 are read"):
        read_regular(tmp_path / "a", 5)
    os.truncate(tmp_path / "a", 5)
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 5)


def test_only_regular_files_are_removed(odd, tmp_path):
    for path in [*odd.values(), tmp_path / "link", tmp_path / "none"]:
        remove_regular(path)
        assert os.path.lexists(path) == (path.name != "none") and not is_regular(path)
    remove_regular(tmp_path / "mine", 7)
    assert is_regular(tmp_path / "mine", 8) and not is_regular(tmp_path / "mine", 7)
    remove_regular(tmp_path / "mine", 8)
    assert not (tmp_path / "mine").exists()
    assert is_folder(odd["folder"]) and not is_folder(odd["to folder"]) and not is_folder(tmp_path / "a\0b")


def test_a_new_file_has_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        os.close(open_regular(tmp_path / "new", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW))
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
