"""What a column of moments is inferred to be: the same in whatever order its values come."""

import datetime
import itertools

import numpy as np
import pytest

from atlas_ds import AtlasDataset, errors, types
from atlas_ds.schema.infer import infer_schema
from support import write

UTC = datetime.UTC
NAIVE = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
AWARE = NAIVE.replace(tzinfo=UTC)
OLD = datetime.datetime(1600, 1, 1)


class Fine(datetime.datetime):
    """As pandas' Timestamp: a datetime with nanoseconds."""

    nanosecond = 7


FINE = Fine(2020, 1, 2, 3, 4, 5, 6)
FINE_AWARE = Fine(2020, 1, 2, 3, 4, 5, 6, UTC)
MILLI, NANO, DAY = np.datetime64("2020-01-02", "ms"), np.datetime64("2020-01-02", "ns"), np.datetime64("2020-01-02", "D")


@pytest.mark.parametrize(
    "values, kind",
    [
        ((FINE, NAIVE), types.timestamp("ns")), ((FINE_AWARE, AWARE), types.timestamp("ns", "UTC")), ((FINE_AWARE,), types.timestamp("ns", "UTC")),
        ((NAIVE, MILLI), types.timestamp("us")), ((NAIVE, DAY, MILLI), types.timestamp("us")), ((NAIVE, NANO, DAY), types.timestamp("ns")),
        ((AWARE, MILLI), types.timestamp("us", "UTC")), ((AWARE, NANO), types.timestamp("ns", "UTC")), ((MILLI, OLD), types.timestamp("us")),
        ((datetime.date(2020, 1, 2), DAY), types.date()),
    ],
)  # fmt: skip
def test_every_order_gives_one_type(tmp_path, values, kind):
    for number, order in enumerate(itertools.permutations(values)):
        assert infer_schema([{"a": value} for value in order])["a"].type == kind
        path = write(tmp_path / str(number), [{"a": value} for value in order])
        given = [np.datetime64(value) if isinstance(value, datetime.date) and getattr(value, "tzinfo", None) is None else value for value in order]
        for row, value in zip(AtlasDataset(path).batch(range(len(order)))["a"], given, strict=True):
            moment = np.datetime64(value.replace(tzinfo=None)) if isinstance(value, datetime.datetime) else value
            assert row.astype("M8[us]") == np.datetime64(moment, "us")


@pytest.mark.parametrize("values", [(FINE, AWARE), (FINE_AWARE, NAIVE), (OLD, FINE), (OLD, NANO), (datetime.date(2020, 1, 2), MILLI), (MILLI, AWARE, NAIVE)])
def test_what_is_not_one_column_is_refused_in_every_order(tmp_path, values):
    for number, order in enumerate(itertools.permutations(values)):
        with pytest.raises(errors.SchemaError, match="column 'a'"):
            write(tmp_path / str(number), [{"a": value} for value in order])


def test_a_unit_that_is_none_is_named():
    with pytest.raises(errors.SchemaError, match=r"of unit M: the units are D, h.*astype\('datetime64\[D\]'\)"):
        infer_schema([{"a": np.datetime64("2020-01", "M")}])


@pytest.mark.parametrize("value", [OLD, np.datetime64("1600-01-01"), np.datetime64("2300-01-01", "s")])
def test_years_that_nanoseconds_lack(tmp_path, value):
    with pytest.raises(errors.SchemaError, match=r"1677 to 2262.*'us'"):
        write(tmp_path / "d", [{"a": value}], schema={"a": types.timestamp("ns")})


def test_a_zone_too_many_is_converted_not_cut(tmp_path):
    with pytest.raises(errors.SchemaError, match=r"astimezone\(UTC\)\.replace\(tzinfo=None\), or declare.*timestamp\(unit, tz\)"):
        write(tmp_path / "d", [{"a": AWARE}], schema={"a": types.timestamp()})
