"""publish_atomically: several names change at once, or none does."""

import os

import pytest

from atlas_ds.store.atomic import publish_atomically
from atlas_ds.store.files import NewFile


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def new(folder, **files):
    made = []
    for name, data in files.items():
        file = NewFile(folder, name)
        file.write(data)
        made.append((file, name))
    return made


def test_new_replaced_and_gone(tmp_path):
    for name in ("a", "b", "stranger"):
        (tmp_path / name).write_bytes(b"old")
    paths = publish_atomically(tmp_path, new(tmp_path, a=b"new a", c=b"new c"), [tmp_path / "a", tmp_path / "b"])
    assert paths == [tmp_path / "a", tmp_path / "c"]
    assert content(tmp_path) == {"a": b"new a", "c": b"new c", "stranger": b"old"}


@pytest.mark.parametrize("fails_at", range(3))
def test_a_failed_name_brings_back_all(tmp_path, monkeypatch, fails_at):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"old " + name.encode())
    before = content(tmp_path)
    files = new(tmp_path, a=b"new", c=b"new", d=b"new")
    replace, calls = os.replace, iter(range(100))

    def failing(*args):
        if next(calls) == fails_at:
            raise OSError("now")
        replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(OSError, match="now"):
            publish_atomically(tmp_path, files, [tmp_path / "a", tmp_path / "b"])
    assert content(tmp_path) == before


def test_finished_files_hold_no_descriptor(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    files = new(tmp_path, **{f"f{i}": b"x" for i in range(20)})
    for file, _ in files:
        file.finish()
        file.finish()
    assert len(os.listdir("/proc/self/fd")) == before
    publish_atomically(tmp_path, files, [])
    assert len(content(tmp_path)) == 20
