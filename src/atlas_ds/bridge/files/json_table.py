"""Reads JSON files as one table in two passes. The first finds keys and types over all rows and
looks for what a dict would lose (a key that occurs twice, a number that becomes infinite); the
second returns the examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from atlas_ds.bridge.files.json_rows import CAREFUL, FAST, ArrayItems, JsonFile, json_lines, not_an_object, open_json, refused_line, rows_of_key
from atlas_ds.bridge.files.table import Table, check_width
from atlas_ds.bridge.files.text_files import TextFile, bad_bytes, places_of, text_file, with_care
from atlas_ds.bridge.source import Example, ReadOptions, Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError
from atlas_ds.progress import Progress
from atlas_ds.schema.seen_values import dtype_of_list
from atlas_ds.schema.specs import list_of, nullable

NONE = type(None)
EMPTY = list[Any]
LISTS: dict[str | None, type] = {"int64": list[int], "float64": list[float], "bool": list[bool], None: list}  # by their dtype; None: of anything else
NUMBERS: dict[type, str] = {list[int]: "int64", list[float]: "float64", list[bool]: "bool"}
PLAIN = frozenset((str, int, float, bool, NONE))
MAX_SHAPES = 1 << 12
INFINITE = (float("inf"), float("-inf"))
STEP = 1024  # rows between two updates of the progress bar


@dataclass(slots=True)
class Keys:
    """The keys of some rows, the types of their values, and how many rows have each. Rows with
    equal keys and types share one count."""

    types: dict[str, set[type]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], list[int]] = field(default_factory=dict)

    def shape_of(self, example: Example) -> list[int]:
        """The count of rows with these keys and types, which the caller increments, and what
        they hold: 0 for only strings, integers, true, false and null; 1 if there are floats; 2
        if there are lists or objects."""
        kinds = tuple(map(type, example.values()))
        shape = tuple(example), kinds if list not in kinds else tuple(map(kind_of, example.values()))
        known = self.shapes.get(shape)
        if known is None:
            if len(self.shapes) > MAX_SHAPES:
                self.fold()
            types = set(kinds)
            known = self.shapes[shape] = [0, 2 if types - PLAIN else 1 if float in types else 0]
        return known

    def fold(self) -> None:
        """Adds the counts of the shapes to their keys."""
        for (keys, kinds), (count, _) in self.shapes.items():
            self.rows += count
            for key, kind in zip(keys, kinds, strict=True) if count else ():  # 0: its rows were refused
                self.types.setdefault(key, set()).add(kind)
                self.seen[key] = self.seen.get(key, 0) + count
        self.shapes.clear()


def kind_of(value: object) -> type:
    """The type of a value; of a list also that of its numbers."""
    if type(value) is not list:
        return type(value)
    return LISTS[dtype_of_list(value)] if value else EMPTY


def bare_kinds(types: set[type]) -> set[type]:
    """The types without None and without what is in lists."""
    return {get_origin(kind) or kind for kind in types} - {NONE}


@dataclass(frozen=True, slots=True)
class FirstPass:
    """A file with the result of the first pass. careful: some of its rows need the slow decoder,
    which refuses what the fast one would lose."""

    file: JsonFile | None
    count: int
    careful: bool
    keys: Keys


def read_json_table(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The rows of files with one JSON object per line, or with one array of objects. A key that
    a row lacks is None there."""
    with Progress(None, "finding types", "rows", options.progress) as bar:
        opened = [_first_pass(open_json(text_file(path, options)), bar) for path in paths]
    rows_of = {number: one for number, one in enumerate(opened) if one.count}
    if not rows_of:
        raise SchemaError(f"{paths[0]}: no rows; nothing to convert")
    kinds: dict[str, set[type]] = {}
    for one in rows_of.values():
        for key, types in one.keys.types.items():
            kinds.setdefault(key, set()).update(types)
    check_width(paths[0], len(kinds))
    good = sum(one.keys.rows for one in opened)
    if good and not kinds:
        raise SchemaError(f"{paths[0]}: every object is empty; nothing to convert")
    for key, types in kinds.items():
        if sum(one.keys.seen.get(key, 0) for one in opened) < good:
            types.add(NONE)
    decimal = tuple(key for key, types in kinds.items() if types - {NONE} == {int, float})

    def rows(number: int) -> Iterator[Example | Refused]:
        return _rows(rows_of[number], tuple(kinds), decimal) if number in rows_of else iter(())

    files = {number: one.file for number, one in rows_of.items() if one.file is not None}
    place = places_of({number: file.text.path for number, file in files.items()}, lambda number: _lines(files[number]))
    schema = {key: _spec(types) for key, types in kinds.items()}
    return Table(tuple(one.count for one in opened), rows, place, schema, notes=_notes(paths, opened, decimal, kinds))


def _spec(types: set[type]) -> object:
    """The Atlas type of a key, given the types of its values; "object", which holds any JSON, if
    they are mixed or nested."""
    values = types - {NONE}
    names = {bool: "bool", int: "int64", float: "float64", str: "str"}
    lists = values - {EMPTY}
    if values == {int, float}:
        spec: object = "float64"
    elif len(lists) == 1 and lists <= NUMBERS.keys():
        spec = list_of(NUMBERS[next(iter(lists))])
    else:
        spec = names.get(next(iter(values)), "object") if len(values) == 1 else "object"
    return nullable(spec) if NONE in types else spec


def _first_pass(file: JsonFile | None, bar: Progress) -> FirstPass:
    if file is None:
        return FirstPass(None, 0, False, Keys())
    keys, total, refused, line = Keys(), 0, False, [0]
    try:
        found = ArrayItems(file.text, CAREFUL) if file.array else _checked_lines(file.text, keys, line)
        for example in found:
            total += 1
            if total % STEP == 0:
                bar.advance(STEP)
            if isinstance(example, Refused):
                refused = True
            elif file.array:
                keys.shape_of(example)[0] += 1
    except UnicodeDecodeError as error:
        return _first_pass(JsonFile(with_care(file.text, error, line[0]), file.array), bar)
    keys.fold()
    return FirstPass(file, total, refused, keys)


def _checked_lines(file: TextFile, keys: Keys, line: list[int]) -> Iterator[Example | Refused]:
    """The objects of JSON lines, which are counted in `keys`. Rows of plain values with no more
    colons than keys cannot have a key twice. From the first other row on, the slow decoder is
    used."""
    careful = False
    for text in json_lines(file, line):
        try:
            example = (CAREFUL if careful else FAST).decode(text)
            if type(example) is not dict or (file.careful and bad_bytes(file, text, "")):
                yield _not_a_row(file, text, example, line[0])
                continue
            shape = keys.shape_of(example)
            if not careful and (text.count(":") != len(example) or _may_lose(shape[1], example)):
                careful = True
                CAREFUL.decode(text)
            shape[0] += 1
            yield example
        except (AtlasError, ValueError, RecursionError) as error:
            yield refused_line(file, text, error, f"line {line[0]}")


def _may_lose(kind: int, example: Example) -> bool:
    return kind == 2 or (kind == 1 and any(number in example.values() for number in INFINITE))


def _not_a_row(file: TextFile, text: str, value: object, line: int) -> Refused:
    return refused_line(file, text, not_an_object(value), f"line {line}")


def _rows(opened: FirstPass, keys: tuple[str, ...], decimal: tuple[str, ...]) -> Iterator[Example | Refused]:
    file = opened.file
    assert file is not None
    line = [0]
    try:
        for example in objects(file, opened.careful, line):
            if isinstance(example, Refused):
                yield example
                continue
            row = example if len(example) == len(keys) else {key: example.get(key) for key in keys}
            yield _with_decimals(row, decimal, f"{file.text.path}: line {line[0]}") if decimal else row
    except UnicodeDecodeError as error:
        raise CorruptError(f"{file.text.path}: {error}; did it change while it was read? Convert again") from error


def objects(file: JsonFile, careful: bool = False, line: list[int] | None = None) -> Iterator[Example | Refused]:
    """The rows of a file. careful: by the slow decoder, which refuses what the fast one loses.
    line: gets the number of the row's line."""
    line = [0] if line is None else line
    decoder = CAREFUL if careful else FAST
    if file.array:
        items = ArrayItems(file.text, decoder)
        for item in items:
            line[0] = items.line[0]
            yield item
        return
    decode, text_careful = decoder.decode, file.text.careful
    for text in json_lines(file.text, line):
        try:
            example = decode(text)
        except (AtlasError, ValueError, RecursionError) as error:
            yield refused_line(file.text, text, error, f"line {line[0]}")
            continue
        if type(example) is not dict or (text_careful and bad_bytes(file.text, text, "")):
            yield _not_a_row(file.text, text, example, line[0])
        else:
            yield example


def _with_decimals(row: Example, decimal: tuple[str, ...], place: str) -> Example | Refused:
    for key in decimal:
        value = row[key]
        if isinstance(value, int):
            if abs(value) > 1 << 53 and (value.bit_length() > 1024 or float(value) != value):
                return Refused(SchemaError(f"{place}: key {key!r} has decimals, and {str(value)[:40]} is too long to be one; write it as text"))
            row[key] = float(value)
    return row


def _lines(file: JsonFile) -> Iterator[int]:
    line = [0]
    for _ in objects(file, True, line):
        yield line[0]


def _notes(paths: Sequence[Path], opened: Sequence[FirstPass], decimal: Sequence[str], kinds: dict[str, set[type]]) -> tuple[str, ...]:
    notes = [f"{key}: integers and decimals, all stored as decimals" for key in sorted(decimal)]
    for key in kinds:
        lacking = [path.name for path, one in zip(paths, opened, strict=True) if one.keys.rows and key not in one.keys.types]
        if lacking:
            notes.append(f"{key}: no row of {', '.join(lacking[:3])}{' and others' if len(lacking) > 3 else ''} has it: null there")
    notes += _one_row(paths[0], opened[0]) if len(paths) == 1 else ()
    mixed = [key for key, types in kinds.items() if len(bare_kinds(types)) > 1 and key not in decimal]
    notes += [f"{key}: values of several types ({', '.join(sorted(kind.__name__ for kind in bare_kinds(kinds[key])))}), stored as objects" for key in mixed]
    return tuple(notes)


def _one_row(path: Path, one: FirstPass) -> tuple[str, ...]:
    """A note about a .json file that is one object on one line, which may be a row, or hold all
    rows."""
    if one.count > 1 or ".json" not in path.suffixes[-2:] or one.file is None or one.file.array:
        return ()
    lists = [key for key, types in one.keys.types.items() if bare_kinds(types) == {list}]
    cure = rows_of_key(path, lists[0]) if len(lists) == 1 else "write one object per line (pandas: orient='records', lines=True)"
    return (f"{path.name}: one object, so one row; if the rows are inside it, {cure}",)
