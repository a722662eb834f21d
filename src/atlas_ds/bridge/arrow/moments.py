"""Arrow's timestamps and dates: which Atlas type they are, and their values, exact for every unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError, UnsupportedError
from atlas_ds.schema.schema import ZONE
from atlas_ds.schema.times import bounds, times_of, zone
from atlas_ds.schema.types import Date, Timestamp

DAY_MS = 86_400_000


def moment_type(kind: Any) -> Timestamp | Date | None:
    """The Atlas type of a timestamp or a date; None for any other type."""
    import pyarrow.types as t

    if t.is_date(kind):
        return Date()
    if not t.is_timestamp(kind):
        return None
    return Timestamp(kind.unit, kind.tz if kind.tz and is_zone(kind.tz) else "UTC" if kind.tz else None)


def is_zone(tz: str) -> bool:
    """Whether a time zone can be stored, and is known on this machine."""
    try:
        return ZONE.fullmatch(tz) is not None and zone(tz) is not None
    except UnsupportedError:
        return False


def moments(array: Any) -> list[Any]:
    """The values as datetime64, in UTC if there is a time zone; a null is None."""
    import pyarrow as pa
    import pyarrow.types as t

    kind = moment_type(array.type)
    assert kind is not None
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    counts = array.cast(pa.int32() if t.is_date32(array.type) else pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    if t.is_date64(array.type):
        counts, rest = np.divmod(counts, DAY_MS)
        if rest.any():
            raise SchemaError("a date64 that is not at midnight, so it is a moment; cast it to timestamp('ms')")
    least, greatest = bounds(kind)
    if ((counts < least) | (counts > greatest)).any():
        raise SchemaError(f"a {array.type} that is NaT, or outside of the years 1 to 9999; cast it to int64")
    values: list[Any] = list(times_of(counts, kind, None))
    return values if valid.all() else [value if there else None for value, there in zip(values, valid, strict=True)]
