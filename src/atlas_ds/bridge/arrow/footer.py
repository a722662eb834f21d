"""The counts of nulls that a Parquet file's footer has, read without pyarrow: where a footer is damaged, pyarrow ends the process when it is asked.

The footer is a struct of Thrift's compact protocol (parquet.thrift: FileMetaData), 4 bytes with its length and the magic. Only what leads to
Statistics.null_count is kept; all else is skipped. Every other rule of the format is pyarrow's to check, when it reads the columns.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from atlas_ds.bridge.opening import open_regular
from atlas_ds.errors import CorruptError, LimitError

MAX_FOOTER = 1 << 30
MAX_DEPTH = 32
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
FIXED = {BYTE: 1, DOUBLE: 8, UUID: 16}
Wanted = dict[int, Any]
GROUPS, COLUMNS, META, STATISTICS, NULLS = 4, 1, 3, 12, 3  # numbers of fields: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, Statistics
WANTED: Wanted = {GROUPS: {COLUMNS: {META: {STATISTICS: {NULLS: {}}}}}}


def null_counts(path: Path) -> list[list[int | None]]:
    """For each row group the nulls of each leaf; None where the file does not say."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 8))
        tail = file.read(8)
        if len(tail) < 8 or tail[4:] != b"PAR1":
            raise CorruptError(f"{path}: byte {size}: does not end as a Parquet file does; fetch or write it again")
        (length,) = struct.unpack("<I", tail[:4])
        if length > size - 12:
            raise CorruptError(f"{path}: byte {size - 8}: a footer of {length:,} bytes, more than there are; fetch or write it again")
        if length > MAX_FOOTER:
            raise LimitError(f"{path}: byte {size - 8}: a footer of {length:,} bytes; {MAX_FOOTER:,} at most are read: write fewer columns or row groups")
        file.seek(size - 8 - length)
        data = file.read(length)
    try:
        found = Compact(data).struct(WANTED, 0)
        return [[_nulls(column) for column in group.get(COLUMNS, ())] for group in found.get(GROUPS, ())]
    except (IndexError, ValueError, AttributeError, TypeError) as error:
        raise CorruptError(f"{path}: byte {size - 8 - length}: not a readable Parquet file: its footer is damaged; fetch or write it again") from error


def _nulls(column: Any) -> int | None:
    count = column.get(META, {}).get(STATISTICS, {}).get(NULLS)
    return count if isinstance(count, int) and count >= 0 else None


class Compact:
    """Values one after another. IndexError or ValueError where the bytes break a rule."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, wanted: Wanted, depth: int) -> dict[int, Any]:
        """The fields that are wanted, by number."""
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            value = self._value(head & 15, wanted.get(number), depth)
            if number in wanted:
                found[number] = value
        return found

    def _value(self, kind: int, wanted: Wanted | None, depth: int) -> Any:
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind in (I16, I32, I64):
            return self._whole()
        if kind == STRUCT:
            return self.struct(wanted or {}, depth + 1)
        if kind in (LIST, SET):
            return self._list(wanted, depth + 1)
        if kind == MAP:
            return self._map(depth + 1)
        self._skip(self._number() if kind == BINARY else FIXED.get(kind, -1))
        return None

    def _list(self, wanted: Wanted | None, depth: int) -> list[Any] | None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._number()
        kind = BYTE if head & 15 in (TRUE, FALSE) else head & 15  # a bool in a list is a byte
        self._check(count)
        values = (self._value(kind, wanted, depth) for _ in range(count))
        if wanted is not None:
            return list(values)
        for _ in values:
            pass
        return None

    def _map(self, depth: int) -> None:
        count = self._number()
        self._check(count)
        kinds = self._byte() if count else 0
        for _ in range(count):
            for kind in (kinds >> 4, kinds & 15):
                self._value(BYTE if kind in (TRUE, FALSE) else kind, None, depth)

    def _check(self, count: int) -> None:
        if count > len(self._data) - self._at:  # each has a byte at least
            raise ValueError("more values than bytes")

    def _skip(self, size: int) -> None:
        if not 0 <= size <= len(self._data) - self._at:
            raise ValueError("a value that ends behind the footer, or is of no known type")
        self._at += size

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _number(self) -> int:
        """Seven bits a byte."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _whole(self) -> int:
        value = self._number()
        return value >> 1 ^ -(value & 1)
