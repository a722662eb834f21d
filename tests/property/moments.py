"""Moments, days and classes for hypothesis: what goes into schema=, and a strategy of values; and what is read back of a row."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from atlas_ds import types
from atlas_ds.schema.types import ClassLabel, Date, Field, Struct, Timestamp, Word

UTC = datetime.UTC
EPOCH = datetime.datetime(1970, 1, 1)
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "+02:00", "-09:30", "+00:00", "-23:59"]
NAT = np.datetime64("NaT")
FIRST, LAST = datetime.datetime.min, datetime.datetime.max
whole = st.one_of(st.datetimes(FIRST, LAST), st.sampled_from([FIRST, LAST, EPOCH, datetime.datetime(2021, 10, 31, 0, 30), datetime.datetime(2021, 3, 28, 1)]))
close = st.integers(0, 9999).map(lambda n: datetime.datetime(2024, 2, 29) + datetime.timedelta(seconds=n))
given_zones = st.sampled_from([UTC, datetime.timezone(datetime.timedelta(hours=5, minutes=45)), ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")])


def cut(value: datetime.datetime, unit: str) -> datetime.datetime:
    return value.replace(microsecond={"s": 0, "ms": value.microsecond // 1000 * 1000}.get(unit, value.microsecond))


@st.composite
def times(draw: Any, inferred: bool) -> tuple[Any, Any]:
    """Timestamps of every unit and zone, given as datetimes or as datetime64."""
    unit = draw(st.sampled_from(list(PER_SECOND)))
    tz = None if inferred else draw(st.sampled_from(ZONES))
    count = st.integers(-(2**63) + 1, 2**63 - 1) if unit == "ns" else st.integers(-62135596800, 253402300800 - 1).map(lambda n: n * PER_SECOND[unit] + n % PER_SECOND[unit])
    numpy = st.one_of(count, st.integers(10**9, 10**9 + 99)).map(lambda n: np.datetime64(n, unit))
    python = st.one_of(whole, close).map(lambda value: cut(value, unit))
    if unit == "ns":
        python = python.filter(lambda value: 1700 < value.year < 2200)
    if inferred:
        kind = draw(st.sampled_from(["numpy", "naive", "aware"]))
        if kind == "numpy":
            return None, st.one_of(numpy, numpy, st.just(NAT.astype(f"M8[{unit}]")))
        return None, whole if kind == "naive" else st.builds(aware, whole, given_zones)
    values = [numpy, st.builds(aware, python, given_zones) if tz is not None else python]
    return types.timestamp(unit, tz), draw(st.sampled_from([*values, st.one_of(values)]))


def aware(value: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    return in_zone(value.replace(tzinfo=UTC), zone)


def in_zone(value: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """In another zone; as it is where it would be of year 0 or 10000 there."""
    try:
        return value.astimezone(zone)
    except OverflowError:
        return value


def dates() -> Any:
    days = st.one_of(st.dates(), st.dates(datetime.date(2024, 1, 1), datetime.date(2024, 2, 1)), st.sampled_from([datetime.date.min, datetime.date.max]))
    return st.just(("date", days))


@st.composite
def classes(draw: Any) -> tuple[Any, Any]:
    """Class labels whose names are any text, given by number or by name."""
    names = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), min_size=1, max_size=300 if draw(st.booleans()) else 4, unique=True))
    numbers = st.integers(0, len(names) - 1)
    return types.class_label(names), st.one_of(numbers, numbers.map(np.int16), st.sampled_from(names))


# What is read of a value


def as_read(value: Any, field: Field) -> Any:
    """The value that a row given with this one has when it is read from a column."""
    kind = field.type
    if value is None or (isinstance(value, np.datetime64) and np.isnat(value)):
        return None
    if isinstance(kind, Struct):
        value = fields_of(value)
        return {inner.name: as_read(value[inner.name], inner) for inner in kind.fields}
    if isinstance(kind, Word) and kind.kind == "object":
        return unpacked(value)
    if isinstance(kind, ClassLabel):
        return kind.names.index(value) if isinstance(value, str) else int(value)
    if isinstance(kind, Date):
        return np.datetime64(value, "D") if field.numpy else value
    if not isinstance(kind, Timestamp):
        return value
    if field.numpy or kind.unit == "ns":
        if isinstance(value, datetime.datetime):
            return np.datetime64(value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)).astype(f"M8[{kind.unit}]")
        return value.astype(f"M8[{kind.unit}]")
    if isinstance(value, np.datetime64):
        value = EPOCH + datetime.timedelta(microseconds=int(value.astype("M8[us]").astype(np.int64)))
        value = value if kind.tz is None else value.replace(tzinfo=UTC)
    return value if kind.tz is None else in_zone(value.astimezone(UTC), zone_of(kind.tz))


def zone_of(tz: str) -> datetime.tzinfo:
    if tz[0] not in "+-":
        return ZoneInfo(tz)
    offset = datetime.timedelta(hours=int(tz[1:3]), minutes=int(tz[4:]))
    return datetime.timezone(offset if tz[0] == "+" else -offset)


def fields_of(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    return value._asdict() if isinstance(value, tuple) else value


def unpacked(value: Any) -> Any:
    if dataclasses.is_dataclass(value) or hasattr(value, "_asdict"):
        value = fields_of(value)
    if isinstance(value, dict):
        return {name: unpacked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [unpacked(inner) for inner in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return np.array(value.ravel().tolist(), np.str_).reshape(value.shape)
    return value


def row_as_read(row: Any, schema: Any) -> Any:
    """The example that is read of a row."""
    if schema.container == "value":
        return as_read(row, schema.fields[0])
    if schema.container in ("tuple", "list"):
        return type(row)(as_read(value, field) for value, field in zip(row, schema.fields, strict=True))
    return {field.name: as_read(row[field.name], field) for field in schema.fields}
