"""Splits the rows of a CSV file (also with tabs, semicolons or bars) into cells. cell_types.py
infers what the cells mean.

A malformed line is refused and reading continues, as long as it is certain where the next row
begins.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import IO

from atlas_ds.bridge.files.text_files import TextFile, bad_bytes, lines_of, named_errors, with_care
from atlas_ds.bridge.source import Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError
from atlas_ds.schema.types import MAX_VALUE as MAX_CELL
from atlas_ds.sizes import format_binary

DELIMITERS = (",", "\t", ";", "|")
BATCH = 1024
MAX_RESTARTS = 8  # after a quote that is never closed
_SEP = re.compile(r"\ufeff?sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own first line
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file, its delimiter, its header, and the number of the header's last line."""

    text: TextFile
    delimiter: str
    names: tuple[str, ...]
    header_line: int


@dataclass(frozen=True, slots=True)
class Cells:
    """Some rows, each as long as the header, and the number of each row's last line."""

    lines: list[int]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is refused, and its line."""

    line: int
    refused: Refused


def open_csv(text: TextFile) -> CsvFile | None:
    """The file with its header; None if it is empty."""
    # The limit is global to the process, so it is only raised. Its default of 128 KiB is too small for texts.
    csv.field_size_limit(max(csv.field_size_limit(), min(MAX_CELL, sys.maxsize)))
    line = [0]
    try:
        with named_errors(text.path, line), text.open_lines() as file:
            return _read_header(text, file)
    except UnicodeDecodeError as error:
        return open_csv(with_care(text, error, line[0]))


def _read_header(text: TextFile, file: IO[str]) -> CsvFile | None:
    first = file.readline()
    before, delimiter = 0, ""
    if found := _SEP.fullmatch(first):
        before, delimiter, first = 1, found[1], file.readline()
    while first and not first.strip("\ufeff\r\n"):
        before, first = before + 1, file.readline()
    if not first:
        return None
    plain = _QUOTED.sub("", first)
    delimiter = delimiter or max(DELIMITERS, key=plain.count)  # the first of the tuple wins a tie
    reader = csv.reader(chain((first.removeprefix("\ufeff"),), file), delimiter=delimiter, strict=True)
    place = f"line {before + 1}"
    try:
        names = next(reader)
    except csv.Error as error:
        raise CorruptError(f"{text.path}: {place}: the header: {_quote_rule(error)}; correct the line") from error
    wrong = bad_bytes(text, "".join(names), place)
    if wrong is not None:
        raise wrong
    return CsvFile(text, delimiter, tuple(names), before + reader.line_num)


def careful(file: CsvFile, error: UnicodeDecodeError, line: int) -> CsvFile:
    return replace(file, text=with_care(file.text, error, line))


def csv_batches(file: CsvFile) -> Iterator[Cells | BadRow]:
    """The rows after the header, in order, many at a time. Empty lines are skipped.
    UnicodeDecodeError if the file must be read as careful."""
    start = file.header_line
    for _ in range(MAX_RESTARTS):
        opened_at = yield from _read_from(file, start)
        if opened_at is None:
            return
        start = opened_at
    raise CorruptError(f"{file.text.path}: line {start}: {MAX_RESTARTS} quotes are never closed; correct the file")


def _read_from(file: CsvFile, start: int) -> Generator[Cells | BadRow, None, int | None]:
    """Rows after line `start`. Returns the line of a quote that is never closed, or None."""
    width, last = len(file.names), start
    line = [start]
    with named_errors(file.text.path, line), file.text.open_lines() as lines:
        for _ in islice(lines, start):
            pass
        reader = csv.reader(lines, delimiter=file.delimiter, strict=True)
        cells = Cells([], [])
        while True:
            wrong: AtlasError | None = None
            open_quote = False
            try:
                for row in reader:
                    if len(row) != width or file.text.careful:
                        wrong = _wrong(file, row, width, lines_of(last + 1, start + reader.line_num))
                        if wrong is not None:
                            break
                        if not row:
                            last = start + reader.line_num
                            continue
                    last = start + reader.line_num
                    cells.rows.append(row)
                    cells.lines.append(last)
                    if len(cells.rows) == BATCH:
                        line[0] = last
                        yield cells
                        cells = Cells([], [])
                else:
                    if cells.rows:
                        yield cells
                    return None
            except csv.Error as error:
                wrong = _unreadable(file, error, last + 1, start + reader.line_num)
                open_quote = "unexpected end" in str(error)
            if cells.rows:
                yield cells
                cells = Cells([], [])
            assert wrong is not None
            yield BadRow(last + 1, Refused(wrong))
            if open_quote:
                return last + 1
            last = start + reader.line_num


def _wrong(file: CsvFile, row: list[str], width: int, place: str) -> AtlasError | None:
    if row and len(row) != width:
        cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
        hint = f"write cells that hold {file.delimiter!r} in quotes, or correct the line" if len(row) > width else "correct the line"
        return SchemaError(f"{file.text.path}: {place}: {cells}, but the header has {width} (line {file.header_line}); {hint}")
    return bad_bytes(file.text, "".join(row), place)


def _unreadable(file: CsvFile, error: csv.Error, first: int, last: int) -> CorruptError:
    if "unexpected end" in str(error):
        return CorruptError(f'{file.text.path}: line {first}: a quote (") opens here and is never closed; close it, or write it twice')
    return CorruptError(f"{file.text.path}: {lines_of(first, last)}: {_quote_rule(error)}; correct the line")


def _quote_rule(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return 'a quote (") is never closed'
    if "expected after" in text:
        return 'text follows a closing quote ("); quotes inside a cell are written twice'
    return f"a cell larger than {format_binary(MAX_CELL)}; is a quote never closed?" if "limit" in text else text
