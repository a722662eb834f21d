"""Moments and days as counts since 1970, and back: exact, or refused. Arrays of them: datetime64, NaT where there is None."""

from __future__ import annotations

import datetime
from functools import cache
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from atlas_ds.errors import CorruptError, SchemaError, UnsupportedError
from atlas_ds.schema.fits import refusal
from atlas_ds.schema.types import Date, Timestamp

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DTYPES = {unit: np.dtype(f"M8[{unit}]") for unit in ("D", *PER_SECOND)}
NOT_A_TIME = -(1 << 63)  # the count of NaT, which no value has
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
FIRST, LAST = datetime.date.min.toordinal() - EPOCH.toordinal(), datetime.date.max.toordinal() - EPOCH.toordinal()  # days of years 1 and 9999
DAY = 86_400


def unit_of(kind: Timestamp | Date) -> str:
    """The unit of datetime64 that a column counts in."""
    return "D" if isinstance(kind, Date) else kind.unit


def bounds(kind: Timestamp | Date) -> tuple[int, int]:
    """The least and the greatest count that a value may have: those of years 1 to 9999; in nanoseconds, all but that of NaT."""
    if isinstance(kind, Date):
        return FIRST, LAST
    if kind.unit == "ns":
        return NOT_A_TIME + 1, -NOT_A_TIME - 1
    return FIRST * DAY * PER_SECOND[kind.unit], (LAST + 1) * DAY * PER_SECOND[kind.unit] - 1


def is_nat(value: Any) -> bool:
    """Whether a value is NaT (of NumPy or pandas), which stands for None."""
    return isinstance(value, np.datetime64 | datetime.date) and bool(value != value)


def count_of(value: Any, kind: Timestamp | Date, path: str) -> int:
    """The count of a moment or a day, which is not NaT. SchemaError where the column does not hold it exactly."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.datetime64):
        count = _of_numpy(value, kind, path)
    elif isinstance(kind, Date):
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise refusal(path, kind, value, "a datetime is not a day: store value.date()" if isinstance(value, datetime.datetime) else "")
        return value.toordinal() - EPOCH.toordinal()
    else:
        count = _of_datetime(value, kind, path)
    least, greatest = bounds(kind)
    if not least <= count <= greatest:
        raise refusal(path, kind, value, _range_of(kind))
    return count


def in_nanoseconds(value: Any, path: str) -> bool:
    """Whether a count of nanoseconds can be that of a datetime or a datetime64."""
    if isinstance(value, np.datetime64):
        return bool(value.astype(DTYPES["ns"]).astype(value.dtype) == value)
    if value.year - 1 > 1677 and value.year + 1 < 2262:
        return True
    tz = None if value.utcoffset() is None else "UTC"
    return abs(_of_datetime(value, Timestamp("ns", tz), path)) < 1 << 63


def _range_of(kind: Timestamp | Date) -> str:
    if isinstance(kind, Timestamp) and kind.unit == "ns":
        return "ns holds the years 1677 to 2262: declare the column as atlas.types.timestamp('us')"
    return "years 1 to 9999 can be stored"


def _of_numpy(value: np.datetime64, kind: Timestamp | Date, path: str) -> int:
    unit = unit_of(kind)
    if value.dtype == DTYPES[unit]:
        return int(value.astype(np.int64))
    count = value.astype(DTYPES[unit])
    if count.astype(value.dtype) != value:
        if unit == "ns" and not 1677 < int(value.astype("M8[Y]").astype(np.int64)) + 1970 < 2262:
            raise refusal(path, kind, value, _range_of(kind))
        raise refusal(path, kind, value, f"{unit} does not hold it exactly: give it in this unit, or declare a finer one")
    return int(count.astype(np.int64))


def _of_datetime(value: Any, kind: Timestamp, path: str) -> int:
    if not isinstance(value, datetime.datetime):
        raise refusal(path, kind, value, "a day is not a moment: give a datetime, or declare the column as 'date'" if isinstance(value, datetime.date) else "")
    aware = value.utcoffset() is not None
    if aware != (kind.tz is not None):
        naive_in_utc = "store it in UTC, with value.astimezone(UTC).replace(tzinfo=None), or declare the column as atlas.types.timestamp(unit, tz)"
        cure = naive_in_utc if aware else "say which, with value.replace(tzinfo=...), or declare the column as atlas.types.timestamp(unit) without one"
        raise refusal(path, kind, value, f"a datetime {'with' if aware else 'without'} a time zone: {cure}")
    # of the class itself: derived ones (pandas) may have methods of their own
    plain = datetime.datetime(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    since = plain - EPOCH - (value.utcoffset() or datetime.timedelta(0))
    nanoseconds = (since // MICROSECOND) * 1000 + int(getattr(value, "nanosecond", 0))
    count, rest = divmod(nanoseconds, 1_000_000_000 // PER_SECOND[kind.unit])
    if rest:
        raise refusal(path, kind, value, "it has a finer part than the unit: round it, or declare a finer unit")
    return count


# --- back ---


@cache
def zone(tz: str) -> datetime.tzinfo:
    """The time zone of a name. UnsupportedError if this machine does not know it."""
    if tz == "UTC":
        return datetime.UTC
    if tz[0] in "+-":
        offset = datetime.timedelta(hours=int(tz[1:3]), minutes=int(tz[4:6]))
        return datetime.timezone(-offset if tz[0] == "-" else offset)
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as cause:
        cure = "pip install tzdata, or read the column with batch(), which is in UTC"
        raise UnsupportedError(f"time zone {tz!r} is not known on this machine: {cure}") from cause


def moment_of(count: int, kind: Timestamp, *, numpy: bool) -> Any:
    """The datetime of a count, or the datetime64 (numpy, or of unit "ns")."""
    if numpy or kind.unit == "ns":
        return np.datetime64(count, cast(Any, kind.unit))
    try:
        naive = EPOCH + datetime.timedelta(microseconds=count * (1_000_000 // PER_SECOND[kind.unit]))
    except OverflowError as cause:
        raise CorruptError(f"a timestamp of {count} {kind.unit} is outside of the years 1 to 9999") from cause
    if kind.tz is None:
        return naive
    moment = naive.replace(tzinfo=datetime.UTC)
    try:
        return moment.astimezone(zone(kind.tz))
    except OverflowError:  # in the zone it would be of year 0 or 10000, which no datetime is
        return moment


def day_of(count: int, *, numpy: bool) -> Any:
    """The day of a count."""
    if numpy:
        return np.datetime64(count, "D")
    try:
        return datetime.date.fromordinal(count + EPOCH.toordinal())
    except (ValueError, OverflowError) as cause:
        raise CorruptError(f"a date of {count} days is outside of the years 1 to 9999") from cause


def times_of(counts: np.ndarray, kind: Timestamp | Date, nulls: np.ndarray | None) -> np.ndarray:
    """A column of counts as datetime64; NaT where nulls (uint8 or bool) says so."""
    wide = counts.astype(np.int64) if counts.dtype != np.int64 else counts
    out = wide.view(DTYPES[unit_of(kind)])
    if nulls is not None:
        out[nulls.astype(np.bool_)] = np.datetime64("NaT")
    return out


def counts_of(column: np.ndarray, kind: Timestamp | Date, path: str, there: np.ndarray) -> np.ndarray:
    """The counts of an array of datetime64, as the column stores them; 0 where nothing is there, as at NaT. SchemaError as count_of."""
    out = column.astype(DTYPES[unit_of(kind)])
    counts = out.astype(np.int64)
    least, greatest = bounds(kind)
    good = (out.astype(column.dtype) == column) & (counts >= least) & (counts <= greatest)
    if not good[there].all():
        row = int(np.argmax(there & ~good))
        try:
            count_of(column[row], kind, path)
        except SchemaError as error:
            raise SchemaError(f"row {row} of the batch: {error}") from None
    counts[~there] = 0
    return counts.astype(np.int32) if isinstance(kind, Date) else counts
