"""Moments at both ends of the calendar and in unknown time zones: what was written can be read."""

import datetime

import numpy as np
import pytest

from atlas_ds import AtlasDataset, errors, types, verify
from atlas_ds.schema.objects import pack, unpack
from support import write

UTC = datetime.UTC


@pytest.mark.parametrize("tz", ["+02:00", "Europe/Berlin", "-09:30", "America/New_York", "UTC"])
@pytest.mark.parametrize("moment", [datetime.datetime(9999, 12, 31, 23, 30, tzinfo=UTC), datetime.datetime(1, 1, 1, tzinfo=UTC)])
def test_the_ends_of_the_calendar_in_every_zone(tmp_path, tz, moment):
    """Where no datetime of the zone exists, the moment is read in UTC."""
    path = write(tmp_path / "d", [moment], schema=types.timestamp("us", tz))
    dataset = AtlasDataset(path)
    assert dataset[0] == moment and verify(path).damages == []
    assert dataset.batch([0])[0] == np.datetime64(moment.replace(tzinfo=None))


@pytest.mark.parametrize("tz", ["Nowhere/Else", "+2:00", "+24:00", "+-2:00", "+02:60", "", "/etc/passwd", "../UTC", "+0٢:00"])
def test_a_zone_that_is_none_cannot_be_written(tmp_path, tz):
    with pytest.raises(errors.SchemaError, match="zone"):
        write(tmp_path / "d", [datetime.datetime(2020, 1, 1, tzinfo=UTC)], schema=types.timestamp("us", tz))


def test_not_a_time_within_an_object_is_none():
    assert unpack(pack([np.datetime64("NaT"), {"a": np.datetime64("NaT", "us")}], "v")) == [None, {"a": None}]


@pytest.mark.parametrize("texts", [np.array(["a\0"], object), [np.array([["b", "a\0"]], object)]])
def test_a_text_that_numpy_would_cut_cannot_be_stored(texts):
    with pytest.raises(errors.SchemaError, match="NUL"):
        pack(texts, "v")
