"""Datasets whose manifest has other classes than its shards: more at the end are read, anything else is refused by both readers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rfc8785

import atlas_ds as atlas
from atlas_ds import errors
from atlas_ds.dataset.manifest import digest
from reference import reader, wire
from support import write


def with_names(path: Path, names: list[str], struct: bool) -> None:
    """Puts names into the schema of a manifest, with the hash that it then has."""
    body = json.loads((path / "atlas.json").read_bytes())
    del body["hash"]
    (field,) = body["schema"]["fields"]
    (field,) = field["type"]["struct"] if struct else [field]
    field["type"]["class_label"]["names"] = names
    (path / "atlas.json").write_bytes(rfc8785.dumps(body | {"hash": digest(rfc8785.dumps(body))}))


@pytest.fixture(params=[False, True], ids=["plain", "struct"])
def animals(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bool]:
    kind = atlas.types.class_label(["cat", "dog"])
    rows = [{"v": {"k": i % 2} if request.param else i % 2} for i in range(5)]
    return write(tmp_path / "d", rows, schema={"v": {"k": kind} if request.param else kind}), request.param


@pytest.mark.parametrize("names", [["cat", "dog"], ["cat", "dog", "emu"]])
def test_the_first_names_are_enough(animals: tuple[Path, bool], names: list[str]) -> None:
    path, struct = animals
    with_names(path, names, struct)
    rows = [{"v": {"k": i % 2} if struct else i % 2} for i in range(5)]
    assert list(atlas.AtlasDataset(path)) == rows == list(reader.Dataset(path).examples()) and atlas.verify(path).damages == []


@pytest.mark.parametrize("names", [["cat"], ["dog", "cat"], ["cat", "emu"], ["emu", "cat", "dog"], ["cat", "Dog", "emu"]])
def test_other_names_are_refused(animals: tuple[Path, bool], names: list[str]) -> None:
    path, struct = animals
    with_names(path, names, struct)
    with pytest.raises((errors.UnsupportedError, errors.CorruptError)):
        atlas.AtlasDataset(path)[1]
    with pytest.raises((errors.UnsupportedError, errors.CorruptError)):
        atlas.AtlasDataset(path).batch([0, 1])
    assert atlas.verify(path).damages != []
    with pytest.raises(wire.Corrupt):
        list(reader.Dataset(path).examples())


@pytest.mark.parametrize("names", [[], ["cat", "cat"], ["cat", 7], "cat"])
def test_names_that_are_none_are_refused(animals: tuple[Path, bool], names: list[str]) -> None:
    path, struct = animals
    with_names(path, names, struct)
    with pytest.raises(errors.CorruptError):
        atlas.AtlasDataset(path)
    assert atlas.verify(path).damages != []
    with pytest.raises(wire.Corrupt):
        reader.Dataset(path)
