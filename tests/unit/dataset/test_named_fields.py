"""Dataclasses and named tuples in a column of structs: stored as dicts, however and whenever they are given."""

import dataclasses
import typing

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter
from atlas_ds.types import struct


@dataclasses.dataclass
class Box:
    x: int
    y: int


class Point(typing.NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize("kind", [Box, Point])
@pytest.mark.parametrize("schema", [None, {"at": struct({"x": "int64", "y": "int64"})}], ids=["inferred", "declared"])
@pytest.mark.parametrize("how", ["add_example", "extend", "add_batch"])
def test_named_fields_in_a_struct_come_back_as_dicts(tmp_path, kind, schema, how):
    values = [kind(i, -i) for i in range(1500)]  # more than a schema is inferred from
    with AtlasDatasetWriter(tmp_path / "d", schema=schema, workers=0) as writer:
        if how == "add_batch":
            writer.add_batch({"at": values})
        elif how == "extend":
            writer.extend({"at": value} for value in values)
        else:
            for value in values:
                writer.add_example({"at": value})
    assert [row["at"] for row in AtlasDataset(tmp_path / "d")] == [{"x": i, "y": -i} for i in range(1500)]
