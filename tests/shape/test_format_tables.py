"""FORMAT.md's tables against `csrc/layout.h`: the document is the truth, and the C constants must say the same.

A field `foo` at offset N of table NAME is `ATLAS_NAME_FOO = N` in an enum; a limit `foo` of table MAX is `ATLAS_MAX_FOO`,
in an enum or a `#define`. Only names and numbers are compared: types are for the readers' own tests.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STRUCTURES = ("HEADER", "CHUNK", "LAYOUT", "LEAF", "GROUP", "BLOCK", "PAGE", "FOOT", "DICTIONARY", "INDEX", "TRAILER")


def document_tables() -> dict[str, list[list[str]]]:
    """Table name to its rows, as lists of cells, without the two head rows."""
    text = (ROOT / "FORMAT.md").read_text(encoding="utf-8")
    tables = {}
    for name, body in re.findall(r"<!-- table: (\w+) -->\n((?:\|.*\n)+)", text):
        assert name not in tables, f"two tables {name}"
        tables[name] = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()[2:]]
    return tables


def c_constants() -> dict[str, int]:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", (ROOT / "csrc" / "layout.h").read_text(encoding="utf-8"), flags=re.S)
    pairs = re.findall(r"\b(ATLAS_\w+)\s*=\s*([^,}\n]+)", text)
    pairs += re.findall(r"^\s*#define\s+(ATLAS_\w+)[ \t]+([^\n]+)", text, flags=re.M)
    return {name: value for name, literal in pairs if (value := c_number(literal)) is not None}


def c_number(literal: str) -> int | None:
    """The value of `64`, `0x40u`, `(1u << 20)`, `(1 << 20) - 1`; None for anything else (a string)."""
    bare = re.sub(r"(?<=[0-9a-fA-F])[uUlL]+\b", "", literal).strip()
    if not re.fullmatch(r"(?:0[xX][0-9a-fA-F]+|\d+|<<|[-+*() ])+", bare):
        return None
    return eval(bare, {"__builtins__": {}})  # noqa: S307 - only digits and operators are left


def document_number(text: str) -> int:
    match = re.fullmatch(r"(\d+)(?:\^(\d+))?(?: - (\d+))?", text)
    assert match, f"not a number: {text}"
    base, power, less = match.groups()
    return int(base) ** int(power or 1) - int(less or 0)


def fields(name: str) -> list[tuple[str, int]]:
    return [(row[2].strip("`"), int(row[0])) for row in document_tables()[name]]


def test_the_document_has_the_tables() -> None:
    assert set(document_tables()) == {*STRUCTURES, "MAX"}


@pytest.mark.parametrize("name", STRUCTURES)
def test_offsets(name: str) -> None:
    constants = c_constants()
    wanted = {f"ATLAS_{name}_{field.upper()}": offset for field, offset in fields(name)}
    found = {constant: constants.get(constant) for constant in wanted}
    assert found == wanted


@pytest.mark.parametrize("name", STRUCTURES)
def test_sizes(name: str) -> None:
    """`ATLAS_NAME_SIZE` is where the last field ends. A table with a part of any length ends in a field without type: there
    that field's offset is the size, and `test_offsets` has it."""
    widths = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
    offset, kind = document_tables()[name][-1][:2]
    if kind:
        size = int(offset) + (widths[kind] if kind in widths else int(kind.split()[0]))
        assert c_constants().get(f"ATLAS_{name}_SIZE") == size


def test_limits() -> None:
    constants = c_constants()
    wanted = {f"ATLAS_MAX_{row[1].strip('`').upper()}": document_number(row[0]) for row in document_tables()["MAX"]}
    assert {name: constants.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("name", STRUCTURES)
def test_fields_follow_each_other(name: str) -> None:
    """The document itself: every field starts where the one before it ends."""
    widths = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
    rows = document_tables()[name]
    for (offset, kind, field, _), after in zip(rows, rows[1:]):
        size = widths[kind] if kind in widths else int(kind.split()[0])
        assert int(offset) + size == int(after[0]), f"{name}.{field}"
