"""Hostile indexes beside a tar, and tars that change while they are open: made anew, or an error; never bytes that are not the tar's."""

from __future__ import annotations

import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds.bridge.webdataset.index import columns, index_of, write
from atlas_ds.bridge.webdataset.tars import Rules
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged
from atlas_ds.schema.specs import array
from attacks.tars.craft import by_tarfile
from attacks.tars.hostile import Evil

ROWS = [{"__key__": name, "txt": name.encode()} for name in ("a", "b", "c")]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    path = tmp_path / "t.tar"
    path.write_bytes(by_tarfile([(f"{row['__key__']}.txt", row["txt"]) for row in ROWS]))
    return path


def index(tar: Path) -> Path:
    return Path(f"{tar}.atlas")


def forge(tar: Path, change: Callable[[np.ndarray], Any] = lambda members: None, **about: Any) -> None:
    """The index that belongs beside a tar, with other numbers or another description."""
    index_of(str(tar), Rules(), None)
    values = atlas.AtlasDataset(index(tar)).batch(slice(None))
    members = np.array(values["members"])
    change(members)
    told = json.loads(values["about"][0]) | about
    write(index(tar), {"key": list(values["key"]), "members": members, "about": [json.dumps(told)] * len(members)})


def opened(tar: Path) -> list[dict[str, Any]]:
    return list(atlas.open_tar(tar, progress=False))


def set_to(place: tuple[Any, ...], value: int) -> Callable[[np.ndarray], None]:
    def change(members: np.ndarray) -> None:
        members[place] = value

    return change


NUMBERS = {
    "start beyond the end": set_to((1, 0, 0), 1 << 40),
    "start of 2^63 - 1": set_to((1, 0, 0), (1 << 63) - 1),
    "start before the file": set_to((1, 0, 0), 3),
    "start not of a header": set_to((1, 0, 0), 1500),
    "size of an exabyte": set_to((1, 0, 1), 1 << 60),
    "size of 2^63 - 1": set_to((1, 0, 1), (1 << 63) - 1),
    "size negative": set_to((1, 0, 1), -1),
    "size very negative": set_to((1, 0, 1), -(1 << 63)),
    "sum of another header": set_to((1, 0, 2), 12345),
    "sum negative": set_to((1, 0, 2), -1),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_numbers_that_lie(tar: Path, what: str) -> None:
    forge(tar, NUMBERS[what])
    ds = atlas.open_tar(tar, progress=False)
    assert ds[0] == ROWS[0] and ds[2] == ROWS[2]
    with pytest.raises(CorruptError, match=r"t\.tar: .*delete (its|the) index"):
        ds[1]


@pytest.mark.parametrize("about", [{"fields": None}, {"fields": 3}, {"fields": []}, {"fields": ["txt", "bin"]}, {"of": "another"}, {"fields": [["txt"] * 9] * 9}], ids=str)
def test_a_description_that_lies(tar: Path, about: dict[str, Any]) -> None:
    forge(tar, **about)
    assert opened(tar) == ROWS and opened(tar) == ROWS


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", "[" * 100_000, '{"of": 1}'], ids=lambda text: text[:5])
def test_a_description_that_is_none(tar: Path, text: str) -> None:
    write(index(tar), {"key": ["a"], "members": np.zeros((1, 1, 3), np.int64), "about": [text]})
    assert opened(tar) == ROWS


@pytest.mark.parametrize("schema", [{"about": "str"}, columns(1) | {"key": "bytes"}, columns(1) | {"members": array("int64", (1, 2))}, columns(1) | {"more": "str"}], ids=str)
def test_other_columns(tar: Path, tmp_path: Path, schema: dict[str, Any]) -> None:
    opened(tar)
    about = atlas.AtlasDataset(index(tar))[0]["about"]
    row = {"key": b"a" if schema.get("key") == "bytes" else "a", "members": np.zeros((1, 2) if "1x2" in str(schema.get("members")) else (1, 3), np.int64), "about": about, "more": ""}
    with atlas.AtlasDatasetWriter(tmp_path / "other", schema=schema, workers=0) as writer:
        writer.add_example({name: row[name] for name in schema})
    next((tmp_path / "other").glob("*.atlas")).replace(index(tar))
    assert opened(tar) == ROWS


@pytest.mark.parametrize("data", [b"", b"not an index", pickle.dumps(Evil()), bytes(100_000)], ids=lambda data: str(data[:12]))
def test_other_files(tar: Path, data: bytes) -> None:
    index(tar).write_bytes(data)
    assert opened(tar) == ROWS and index(tar).read_bytes() != data


def test_every_cut_of_an_index(tar: Path) -> None:
    opened(tar)
    data = index(tar).read_bytes()
    for size in range(0, len(data), max(1, len(data) // 60)):
        index(tar).write_bytes(data[:size])
        assert opened(tar) == ROWS


def test_changed_bytes_of_an_index(tar: Path) -> None:
    """Made anew, or refused where it is read; never other rows."""
    opened(tar)
    data = index(tar).read_bytes()
    right = 0
    for at in range(0, len(data), max(1, len(data) // 150)):
        index(tar).write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        try:
            assert opened(tar) == ROWS
            right += 1
        except AtlasError:
            pass
    assert right


def test_the_index_of_another_tar(tar: Path, tmp_path: Path) -> None:
    """Of the same size and time: the headers tell."""
    other = tmp_path / "other.tar"
    other.write_bytes(by_tarfile([(f"{name}.txt", b"zz") for name in "xyz"]))
    state = tar.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert other.stat().st_size == state.st_size
    atlas.open_tar(other, progress=False)
    index(other).replace(index(tar))
    with pytest.raises(CorruptError, match=r"header is not the one that was indexed.*delete its index"):
        opened(tar)
    index(tar).unlink()
    assert opened(tar) == ROWS


def test_a_link_in_its_place_is_not_followed(tar: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    index(tar).symlink_to(victim)
    assert opened(tar) == ROWS and victim.read_bytes() == b"mine" and not index(tar).is_symlink()


def test_a_folder_in_its_place(tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    index(tar).mkdir()
    (index(tar) / "mine").write_bytes(b"mine")
    assert opened(tar) == ROWS and (index(tar) / "mine").read_bytes() == b"mine"


# --- tars that change while they are open ---


def test_a_tar_that_grows(tar: Path) -> None:
    """What was there stays; what came is there when it is opened again."""
    ds = atlas.open_tar(tar, progress=False)
    assert ds[0] == ROWS[0]
    with tarfile.open(tar, "a") as archive:
        archive.addfile(tarfile.TarInfo("d.txt"))
    assert list(ds) == ROWS
    assert opened(tar) == [*ROWS, {"__key__": "d", "txt": b""}]


def test_a_tar_that_is_rewritten(tar: Path) -> None:
    ds = atlas.open_tar(tar, progress=False)
    assert ds[0] == ROWS[0]
    tar.write_bytes(by_tarfile([(f"{name}.txt", b"zz") for name in "xyz"]))
    for row in range(3):
        with pytest.raises(CorruptError, match=r"t\.tar: byte [0-9]+: the header is not the one that was indexed"):
            ds[row]
    tar.write_bytes(b"")
    with pytest.raises(CorruptError, match=r"t\.tar: byte [0-9]+: the file ends"):
        ds[0]


def test_rows_are_not_those_of_another_tar_in_another_process(tar: Path) -> None:
    sent = pickle.dumps(atlas.open_tar(tar, progress=False)[[2, 0]])
    assert list(pickle.loads(sent)) == [ROWS[2], ROWS[0]]
    tar.write_bytes(by_tarfile([(f"{name}.txt", b"zz") for name in "wxyz"]))
    with pytest.raises(DatasetChanged, match=r"t\.tar: the tar was changed"):
        pickle.loads(sent)
