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

from atlas_ds import AtlasDataset, errors
from atlas_ds.shard import verify_shard
from reference import sample, wire
from reference.builder import build
from reference.reader import Shard

CLASSES = {"CorruptError": wire.Corrupt, "TruncatedError": wire.Truncated, "UnsupportedError": wire.Unsupported,
           "LimitError": wire.Limit}
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("attack_*.py"))

# Lies that only verify sees: in bytes that are no value's, in sums and copies, or in a value's own form where each form reads as one value.
UNSEEN = {
    "bool_of_two", "bytes_under_a_null", "cells_raw_lies", "chunk_body_huge", "chunk_padding_not_zero",
    "code_under_a_null", "data_under_a_null", "digest_wrong", "fixed_cells_left_over", "fixed_cells_of_a_null",
    "gap_between_chunks", "header_differs_from_copy", "narrow_cells_of_a_null", "narrow_list_cells_raw_lies",
    "narrow_list_under_a_null", "narrow_number_under_a_null", "nulls_do_not_match", "object_key_twice",
    "object_timestamp_bare", "object_timestamp_of_nanoseconds", "page_padding_not_zero", "schema_not_canonical",
    "schm_differs_from_footer", "second_data_chunk", "second_leaf_not_null", "several_ends_padding",
    "several_fixed_null_with_bytes", "several_narrow_null_with_bytes", "several_null_with_bytes",
    "several_raw_lies", "short_cells_too_big", "timestamp_that_is_nat", "unknown_chunk_kind",
    "validity_spare_bits", "value_in_absent_struct", "var_data_left_over", "var_first_offset_not_zero",
    "var_padding_not_zero",
}


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


@pytest.mark.parametrize("name", NAMES)
def test_reading_refuses_or_sees_nothing(name: str, tmp_path: Path) -> None:
    """Rows and batches of a hostile shard: an error of Atlas, unless the lie lies where no value is read."""
    path = tmp_path / "hostile.atlas"
    path.write_bytes(attack(name)[1])
    refused = 0
    for read in (list, lambda dataset: [dataset[i] for i in range(len(dataset))], lambda dataset: dataset.batch(range(len(dataset)))):
        try:
            read(AtlasDataset(path))
        except errors.AtlasError:
            refused += 1
    assert refused or name.removeprefix("attack_") in UNSEEN
