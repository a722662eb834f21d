"""Moments and days in add_batch: masks, NaT and what is in a column of another type."""

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, types, verify

DAYS = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]")


def added(path, columns, schema=None):
    with AtlasDatasetWriter(path, schema=schema, workers=0) as writer:
        writer.add_batch(columns)
    assert not verify(path).damages
    return list(AtlasDataset(path))


@pytest.mark.parametrize("dtype, kind", [("M8[us]", types.timestamp()), ("M8[ms]", types.timestamp("us")), ("M8[D]", "date")])
def test_a_masked_moment_is_none(tmp_path, dtype, kind):
    column = np.ma.masked_array(DAYS.astype(dtype), [False, True, False])
    rows = added(tmp_path / "d", {"t": column}, {"t": types.nullable(kind)})
    assert [row["t"] is None for row in rows] == [False, True, False]
    assert [str(rows[i]["t"])[:10] for i in (0, 2)] == ["2020-01-01", "2022-01-01"]
    with pytest.raises(errors.SchemaError, match=r"row 1 of the batch.*nullable"):
        added(tmp_path / "e", {"t": column}, {"t": kind})


def test_what_a_mask_or_nat_hides_need_not_fit(tmp_path):
    data = np.array([0, 2**62, -(2**63)], "M8[s]")
    rows = added(tmp_path / "d", {"t": np.ma.masked_array(data, [False, True, False])}, {"t": types.nullable(types.timestamp())})
    assert [row["t"] is None for row in rows] == [False, True, True]


def test_masked_moments_in_a_struct(tmp_path):
    moments = DAYS.astype("M8[us]").copy()
    moments[1] = "NaT"
    column = {"t": np.ma.masked_array(moments, [True, False, False])}
    rows = added(tmp_path / "d", {"s": column}, {"s": types.nullable({"t": types.nullable(types.timestamp())})})
    assert [row["s"] is None for row in rows] == [True, True, False]


@pytest.mark.parametrize("kind, value", [("int64", 1), ("str", "a"), (types.class_label(["a", "b"]), 1), ({"x": "int64"}, {"x": 1})])
def test_nat_is_no_value_of_another_column(tmp_path, kind, value):
    with pytest.raises(errors.SchemaError, match=r"row 0 of the batch.*NaT"):
        added(tmp_path / "d", {"a": [np.datetime64("NaT"), value]}, {"a": types.nullable(kind)})
