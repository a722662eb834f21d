"""How the bytes of one column of a sample are decoded, and which Atlas type they become. MDS and
LitData each have a table of encodings."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atlas_ds.bridge.source import Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError
from atlas_ds.schema.specs import tensor


@dataclass(frozen=True, slots=True)
class Encoding:
    """spec: the Atlas type, None if only a sample shows it. size: bytes of every value, None if
    they differ.

    decode raises ValueError, with a text that fits after "column 'x': ", if the bytes are invalid.
    """

    spec: object | None
    decode: Callable[[bytes], object]
    size: int | None = None
    note: str = ""


Column = tuple[str, Encoding]


def decode_parts(data: bytes, start: int, sizes: Sequence[int], columns: Sequence[Column], place: str) -> list[object]:
    """The values of a sample whose parts follow each other from `start` to its end."""
    if start + sum(sizes) != len(data):
        kind = TruncatedError if start + sum(sizes) > len(data) else CorruptError
        raise kind(f"{place}: its columns add up to {start + sum(sizes):,} bytes, but it has {len(data):,}; fetch the file again")
    values = []
    for (name, encoding), size in zip(columns, sizes, strict=True):
        try:
            values.append(encoding.decode(data[start : start + size]))
        except SchemaError as error:
            raise SchemaError(f"{place}: column {name!r}: {error}") from error
        except (ValueError, IndexError, OverflowError, struct.error, RecursionError) as error:
            raise CorruptError(f"{place}: column {name!r}: {error}; fetch the file again, or write it again") from error
        start += size
    return values


def infer_dtypes(columns: Sequence[Column], samples: Iterator[list[object] | Refused]) -> tuple[Column, ...]:
    """The columns. If only samples show a dtype, it is that of the first readable sample, and
    all other samples must have the same."""
    if all(encoding.spec is not None for _, encoding in columns):
        return tuple(columns)
    values = first_good(samples)
    return tuple(
        (name, encoding if encoding.spec is not None else _of_dtype(encoding, value)) for (name, encoding), value in zip(columns, values, strict=True)
    )


def first_good(samples: Iterator[list[object] | Refused]) -> list[object]:
    """The first sample that can be read. If there is none, the error of the first."""
    error: AtlasError | None = None
    for sample in samples:
        if not isinstance(sample, Refused):
            return sample
        error = error or sample.error
    assert error is not None
    raise error


def _of_dtype(encoding: Encoding, first: Any) -> Encoding:
    dtype = first.dtype

    def decode(data: bytes) -> object:
        value: Any = encoding.decode(data)
        if value.dtype != dtype:
            raise SchemaError(f"an array of {value.dtype.name}, but the first sample has {dtype.name}; write the column with one dtype")
        return value

    return replace(encoding, spec=tensor(dtype.name), decode=decode)


def notes_of(columns: Sequence[Column]) -> tuple[str, ...]:
    """Notes for the user, one sentence per column."""
    return tuple(f"{name}: {encoding.note}" for name, encoding in columns if encoding.note)
