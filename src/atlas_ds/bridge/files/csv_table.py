"""Reads CSV files as one table in two passes. The first infers types from all rows, so that a
decimal in the last row cannot break a column of integers; the second returns the examples. It uses
only the standard library: the result must not depend on whether pyarrow is installed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from atlas_ds.bridge.files.cell_types import PARSE, TYPES, Column, looks_like_number
from atlas_ds.bridge.files.csv_rows import BadRow, CsvFile, careful, csv_batches, open_csv
from atlas_ds.bridge.files.table import Table, check_width, one_lacks
from atlas_ds.bridge.files.text_files import places_of, text_file
from atlas_ds.bridge.source import Example, ReadOptions, Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.specs import nullable

INDEX = "index"  # the name of a first column without one, which is how pandas writes its index

_OTHER_DELIMITER = re.compile(r"::| +|[\^~:\x01]")  # separators that some programs write
MANY = 30  # columns; if there are more, the notes only count them


def read_csv_table(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The rows of files with a header line. An empty cell is None; types are bool, int, float or
    str."""
    if not paths:
        raise SchemaError("no CSV files; nothing to convert")
    files = {number: file for number, path in enumerate(paths) if (file := open_csv(text_file(path, options))) is not None}
    if not files:
        raise SchemaError(f"{paths[0]}: empty, without a header line; nothing to convert")
    headers = {number: _names(file) for number, file in files.items()}
    first, names = next(iter(headers.items()))
    orders = {number: _order(files[first].text.path, names, files[number].text.path, header) for number, header in headers.items()}
    columns = [Column() for _ in names]
    counts = [0] * len(paths)
    with Progress(None, "finding types", "rows", options.progress) as bar:
        for number in headers:
            files[number], counts[number] = _infer(files[number], columns, orders[number], bar)
    for column in columns:
        column.finish()

    def rows(number: int) -> Iterator[Example | Refused]:
        return _rows(files[number], names, columns, orders[number]) if number in files else iter(())

    kinds = {name: column.kind for name, column in zip(names, columns, strict=True)}
    schema = {name: _spec(column) for name, column in zip(names, columns, strict=True)}
    notes = _notes(kinds, columns, list(files.values()))
    return Table(tuple(counts), rows, _places(files), schema, notes=notes)


def _spec(column: Column) -> object:
    """The Atlas type of a column; a column without values is text."""
    spec = TYPES.get(column.kind, column.kind)
    return nullable(spec) if column.empty or column.kind == "null" else spec


def _names(file: CsvFile) -> list[str]:
    """The names of the columns, checked to be unique."""
    place = f"{file.text.path}: line {file.header_line}"
    names = list(file.names)
    first: dict[str, int] = {}
    hint = "; if the file has no header line, add one" if any(map(looks_like_number, names)) else ""
    if not names[0] and len(names) > 1 and INDEX not in names:
        names[0] = INDEX
    for number, name in enumerate(names, 1):
        if not name:
            end = ", or remove the delimiter at the end of every line" if number == len(names) else ""
            raise SchemaError(f"{place}: column {number} has no name; give it one in the header line{end}{hint}")
        if first.setdefault(name, number) < number:
            raise SchemaError(f"{place}: columns {first[name]} and {number} are both called {name!r}; rename one of them{hint}")
    check_width(file.text.path, len(names))
    return names


def _order(first: Path, wanted: list[str], path: Path, ours: list[str]) -> list[int] | None:
    """Where each column of the first file is in this one; None if the order is the same. Columns
    that only one of them has are an error."""
    if ours == wanted:
        return None
    places, known = {name: number for number, name in enumerate(ours)}, set(wanted)
    for name in (*wanted, *ours):
        if name not in places:
            raise one_lacks(path, first, name, "an empty column")
        if name not in known:
            raise one_lacks(first, path, name, "an empty column")
    return [places[name] for name in wanted]


def _infer(file: CsvFile, columns: Sequence[Column], order: list[int] | None, bar: Progress, seen: int = 0) -> tuple[CsvFile, int]:
    """Adds the cells after line `seen`. Returns the file, marked as careful if some bytes are
    not text, and the number of its rows."""
    total, line = 0, max(seen, file.header_line)
    try:
        for batch in csv_batches(file):
            if isinstance(batch, BadRow):
                total += 1
                continue
            total += len(batch.rows)
            if batch.lines[-1] <= seen:
                continue
            bar.advance(len(batch.rows))
            by_column = list(zip(*batch.rows, strict=True))
            for number, column in enumerate(columns):
                column.add(by_column[order[number] if order else number], batch.lines, file.text.path.name)
            line = batch.lines[-1]
    except UnicodeDecodeError as error:
        return _infer(careful(file, error, line), columns, order, bar, line)
    return file, total


def _rows(file: CsvFile, names: Sequence[str], columns: Sequence[Column], order: list[int] | None) -> Iterator[Example | Refused]:
    try:
        for batch in csv_batches(file):
            if isinstance(batch, BadRow):
                yield batch.refused
                continue
            by_column = list(zip(*batch.rows, strict=True))
            values = [_values(by_column[order[number] if order else number], column) for number, column in enumerate(columns)]
            for row in zip(*values, strict=True):
                yield dict(zip(names, row, strict=True))
    except AtlasError:
        raise
    except ValueError as error:
        raise CorruptError(f"{file.text.path}: {error}; was it changed while it was read? Convert again") from error


def _values(cells: Sequence[str], column: Column) -> Sequence[object]:
    parse = PARSE[column.kind]
    if column.empty or column.kind == "null":
        return [parse(cell) if cell else None for cell in cells]
    return cells if column.kind == "str" else list(map(parse, cells))


def _places(files: dict[int, CsvFile]) -> Callable[[int, int], str]:
    def lines(number: int) -> Iterator[int]:
        for batch in csv_batches(files[number]):
            yield from (batch.line,) if isinstance(batch, BadRow) else batch.lines

    return places_of({number: file.text.path for number, file in files.items()}, lines)


def _notes(kinds: dict[str, str], columns: Sequence[Column], files: Sequence[CsvFile]) -> tuple[str, ...]:
    notes = [f"types found in the text: {_types(kinds)}"]
    for name, column in zip(kinds, columns, strict=True):
        if column.missing:
            words = ", ".join(f"{word!r} ({count:,} cell{'s' * (count > 1)}, first in {place})" for word, (count, place) in column.missing.items())
            notes.append(f"{name}: text, because of {words}; only empty cells are missing values")
        elif column.reason is not None:
            notes.append(f"{name}: text, because of {column.reason}")
    first = files[0]
    if not first.names[0]:
        notes.append(f"the first column has no name and is called {INDEX!r}")
    number = next(filter(looks_like_number, first.names), None) if first.names[0] else None  # pandas numbers columns behind its index
    if number is not None:
        held = "only numbers" if all(map(looks_like_number, first.names)) else f"numbers such as {number!r}"
        notes.append(f"line {first.header_line} is used as the header, but holds {held}; if the file has no header line, add one")
    if len(first.names) == 1 and (found := _OTHER_DELIMITER.search(first.names[0])):
        notes.append(f"one column, {first.names[0][:40]!r}; if {found[0]!r} separates several, write a comma, tab, semicolon or bar instead")
    spaced = [name for name in first.names if name != name.strip()]
    if spaced:
        notes.append(f"names of columns keep their spaces: {', '.join(map(repr, spaced[:MANY]))}; cells also do")
    return tuple(notes)


def _types(kinds: dict[str, str]) -> str:
    """The columns and their types; for many columns, how many have each type."""
    found = ["int" if kind == "long" else kind for kind in kinds.values()]
    if len(found) <= MANY:
        return ", ".join(f"{name} {kind}" for name, kind in zip(kinds, found, strict=True))
    return ", ".join(f"{count:,} columns {kind}" for kind, count in Counter(found).items())
