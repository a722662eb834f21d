"""How the bytes of one column of somebody else's sample are read, and what Atlas type they become. The formats' tables are their own."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atlas_ds.bridge.source import Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError
from atlas_ds.schema.types import tensor


@dataclass(frozen=True, slots=True)
class Encoding:
    """spec: the Atlas type, None where only a sample tells. size: bytes of every value, None where they differ.

    decode raises ValueError, in words that fit after "column 'x': ", where the bytes break a rule.
    """

    spec: object | None
    decode: Callable[[bytes], object]
    size: int | None = None
    note: str = ""


Column = tuple[str, Encoding]


def decode_parts(data: bytes, start: int, sizes: Sequence[int], columns: Sequence[Column], place: str) -> list[object]:
    """The values of a sample whose parts follow one another from `start` to its end."""
    if start + sum(sizes) != len(data):
        kind = TruncatedError if start + sum(sizes) > len(data) else CorruptError
        raise kind(f"{place}: its columns add up to {start + sum(sizes):,} bytes, it has {len(data):,}; fetch the file again")
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


def settle(columns: Sequence[Column], samples: Iterator[list[object] | Refused]) -> tuple[Column, ...]:
    """The columns; where only a sample tells the dtype, that of the first one that can be read, which the others must have, too."""
    if all(encoding.spec is not None for _, encoding in columns):
        return tuple(columns)
    values = first_good(samples)
    return tuple(
        (name, encoding if encoding.spec is not None else _of_dtype(encoding, value)) for (name, encoding), value in zip(columns, values, strict=True)
    )


def first_good(samples: Iterator[list[object] | Refused]) -> list[object]:
    """The first sample that can be read; if none can, the error of the first."""
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
    """What to tell the person who converts, a sentence a column."""
    return tuple(f"{name}: {encoding.note}" for name, encoding in columns if encoding.note)
