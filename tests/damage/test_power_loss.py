"""The power goes: every call of a writer is recorded, and the disk is made anew as it may stand after each of them.

What a disk keeps: the bytes of a file up to its last fsync, and of the rest any beginning, or zeros; the names of a folder up to
its last fsync, and of later changes any first few. Files keep their bytes when their name is changed.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter
from support import rich_rows, same, write

OLD, NEW = rich_rows(10), rich_rows(40)[10:]


class Disk:
    """A folder whose changes are recorded while it is entered."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.durable: list[tuple[bytes, bool]] = []  # of each file: bytes at its last fsync
        self.now: list[bytearray] = []
        self.names: dict[str, int] = {}  # durable names
        self.pending: list[tuple[str, str, int]] = []  # changes of names since
        self.fds: dict[int, int] = {}
        self.states: list[dict[str, bytes]] = []
        self.draw = random.Random(5)
        for path in folder.iterdir():
            self.names[path.name] = self.add(path.read_bytes(), durable=True)
        for call in ("open", "writev", "fsync", "replace", "unlink", "link"):
            monkeypatch.setattr(os, call, self.wrap(getattr(self, call), getattr(os, call)))

    def wrap(self, note, original):
        def call(*args, **kwargs):
            result = original(*args, **kwargs)
            note(result, *args)
            self.crash()
            return result

        return call

    def add(self, data: bytes, durable: bool) -> int:
        self.now.append(bytearray(data))
        self.durable.append(data if durable else b"")
        return len(self.now) - 1

    def names_now(self) -> dict[str, int]:
        return self.after(len(self.pending))

    def after(self, count: int) -> dict[str, int]:
        names = dict(self.names)
        for kind, name, file in self.pending[:count]:
            if kind == "add":
                names[name] = file
            else:
                names.pop(name, None)
        return names

    def inside(self, path) -> bool:
        return Path(os.fspath(path)).parent == self.folder

    def open(self, fd, path, flags, *_):
        self.fds.pop(fd, None)
        if not isinstance(path, int) and self.inside(path):
            name = Path(path).name
            if flags & os.O_CREAT and name not in self.names_now():
                self.pending.append(("add", name, self.add(b"", durable=False)))
            self.fds[fd] = self.names_now()[name]
        elif not isinstance(path, int) and Path(path) == self.folder:
            self.fds[fd] = -1

    def writev(self, count, fd, pieces):
        if self.fds.get(fd, -1) >= 0:
            self.now[self.fds[fd]] += b"".join(pieces)[:count]

    def fsync(self, _, fd):
        file = self.fds.get(fd)
        if file == -1:
            self.names, self.pending = self.names_now(), []
        elif file is not None:
            self.durable[file] = bytes(self.now[file])

    def replace(self, _, source, target):
        names = self.names_now()
        self.pending += [("add", Path(target).name, names[Path(source).name]), ("drop", Path(source).name, 0)]

    def link(self, _, source, target, **__):
        if self.inside(target):
            self.pending.append(("add", Path(target).name, self.names_now()[Path(source).name] if self.inside(source) else self.add(Path(source).read_bytes(), True)))

    def unlink(self, _, path, *__, **___):
        if self.inside(path):
            self.pending.append(("drop", Path(path).name, 0))

    def crash(self) -> None:
        """Some of the states in which the disk may be now."""
        for count in {0, len(self.pending), self.draw.randint(0, len(self.pending))}:
            for kept in ("none", "all", "some", "zeros"):
                self.states.append({name: self.content(file, kept) for name, file in self.after(count).items()})

    def content(self, file: int, kept: str) -> bytes:
        sure, all = self.durable[file], bytes(self.now[file])
        if kept == "none":
            return sure
        if kept == "all":
            return all
        if kept == "zeros":
            return sure + bytes(len(all) - len(sure))
        return sure + all[len(sure) : self.draw.randint(len(sure), len(all))]


def rebuilt(state: dict[str, bytes], folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in state.items():
        (folder / name).write_bytes(data)
    return folder


def rows_of(path: Path) -> list:
    assert atlas.verify(path).damages == []
    return list(AtlasDataset(path))


@pytest.mark.parametrize("options", [{"append": True}, {"overwrite": True}], ids=["append", "overwrite"])
def test_after_a_power_cut_the_old_or_the_new_dataset_stands(tmp_path, monkeypatch, options):
    path = write(tmp_path / "d", OLD, shard_size=6)
    wanted = OLD + NEW if "append" in options else NEW
    with monkeypatch.context() as patch:
        disk = Disk(path, patch)
        write(path, NEW, shard_size=13, block_size=4, workers=0, **options)
        end = len(disk.states)
        disk.crash()
    assert end > 200 and same(rows_of(path), wanted)
    seen = {"old": 0, "new": 0}
    different = {tuple(sorted(state.items())): number for number, state in enumerate(disk.states)}
    for content, number in different.items():
        rows = rows_of(rebuilt(dict(content), tmp_path / "cut"))
        assert same(rows, OLD) or same(rows, wanted), f"state {number} of {end}: {len(rows)} rows"
        seen["new" if same(rows, wanted) else "old"] += 1
        if number >= end:
            assert same(rows, wanted), "the writer was closed: nothing may be lost"
    assert seen["old"] > 20 and seen["new"] >= 1


def test_after_a_power_cut_a_new_dataset_can_be_resumed(tmp_path, monkeypatch):
    path = tmp_path / "d"
    path.mkdir()
    with monkeypatch.context() as patch:
        disk = Disk(path, patch)
        write(path, NEW, shard_size=7, block_size=4, workers=0)
    whole = {name: data for name, data in disk.states[-1].items() if name.endswith((".atlas", ".json"))}
    different = {tuple(sorted(state.items())) for state in disk.states}
    resumed = 0
    for content in sorted(different, key=repr):
        cut = rebuilt(dict(content), tmp_path / "cut")
        try:
            assert same(rows_of(cut), NEW)
            continue
        except FileNotFoundError:
            pass
        with AtlasDatasetWriter(cut, resume=True, shard_size=7, block_size=4, workers=0) as writer:
            resumed += writer.position > 0
            writer.extend(NEW[writer.position :])
        assert same(rows_of(cut), NEW)
        assert {p.name: p.read_bytes() for p in cut.iterdir() if p.name.endswith((".atlas", ".json")) and not p.name.startswith(".")} == whole
    assert resumed > 20
