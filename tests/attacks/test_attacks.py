"""Runs every hostile file through both readers: each must refuse it, with the class of error that the script names.

What is not tested: that the message is good, and that little memory is used on the way.
"""

from __future__ import annotations

import importlib
import inspect
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from atlas_ds import errors
from atlas_ds.shard import verify_shard
from reference import sample, wire
from reference.builder import build
from reference.reader import Shard

CLASSES = {"CorruptError": wire.Corrupt, "TruncatedError": wire.Truncated, "UnsupportedError": wire.Unsupported,
           "LimitError": wire.Limit}
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("attack_*.py"))


@cache
def good() -> bytes:
    return build(sample.rich())


@cache
def attack(name: str) -> tuple[ModuleType, bytes]:
    module = importlib.import_module(f"attacks.{name}")
    return module, module.make(good()) if inspect.signature(module.make).parameters else module.make()


def test_the_shard_that_attacks_start_from_is_good() -> None:
    Shard(good()).verify()


def test_the_c_reader_takes_the_shard_that_attacks_start_from(tmp_path: Path) -> None:
    path = tmp_path / "good.atlas"
    path.write_bytes(good())
    assert verify_shard(path) == sample.ROWS


def test_there_are_many() -> None:
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_a_script_tells_its_lesson(name: str) -> None:
    module, _ = attack(name)
    assert len(module.__doc__ or "") > 40 and module.EXPECT in CLASSES


@pytest.mark.parametrize("name", NAMES)
def test_reference_reader_refuses(name: str) -> None:
    module, data = attack(name)
    with pytest.raises(CLASSES[module.EXPECT]):
        Shard(data).verify()


@pytest.mark.parametrize("name", NAMES)
def test_c_reader_refuses(name: str, tmp_path: Path) -> None:
    module, data = attack(name)
    path = tmp_path / "hostile.atlas"
    path.write_bytes(data)
    with pytest.raises((getattr(errors, module.EXPECT), getattr(errors, getattr(module, "OR", module.EXPECT)))):
        verify_shard(path)
