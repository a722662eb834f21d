"""Which cells of CSV are numbers: those of a column that all come back as they are written."""

import random
import struct

import pytest

from atlas_ds.bridge.files.cell_types import PARSE, Column, is_integer

KINDS = [
    ("int", ["0", "12", "-7"]),
    ("int", ["3", "", "5"]),
    ("long", ["1234567890123456789", "-9223372036854775808"]),
    ("str", ["9223372036854775808"]),
    ("str", ["-9223372036854775809", "1"]),
    ("str", ["7" * 20]),
    ("str", ["10000000000000000000"]),
    ("str", ["0042", "17"]),
    ("str", ["+3"]),
    ("str", [" 3"]),
    ("str", ["3\n", "4"]),
    ("str", ["2_000"]),
    ("str", ["0x1f"]),
    ("str", ["-0", "3"]),
    ("str", ["\u0663"]),  # a digit three that is not ASCII's
    ("str", ["88e4411", "1234567"]),
    ("str", ["3e7", "22"]),
    ("str", ["9e999", "0.5"]),
    ("str", ["-9e999"]),
    ("str", ["4e-500"]),
    ("str", ["Infinity", "1.5"]),
    ("str", ["1.10", "1.9"]),
    ("str", ["2.7", "2.8", "2.9", "2.71", "2.72", "2.70"]),
    ("str", ["1", "1.0"]),
    ("str", ["5", "5.", "6"]),
    ("str", [".5", "0.5"]),
    ("str", ["2.718281828459045235360287"]),
    ("str", ["123456789.1234567891"]),
    ("str", ["NaN", "nan", "1.5"]),
    ("str", ["1.2.3"]),
    ("str", ["-"]),
    ("str", ["1", "2", "NA"]),
    ("str", ["true", "null"]),
    ("str", ["True", "false"]),
    ("str", ["true", "yes"]),
    ("str", ["true", "1"]),
    ("bool", ["True", "False", "True"]),
    ("bool", ["TRUE"]),
    ("float", ["0.5", "3.14159", "1e-05", "-2.5E+3"]),
    ("float", ["1.0", "2.5", "3.75", "100000.0", "1e+16"]),
    ("float", ["1.50", "2.00", "10.25", "-0.05"]),
    ("float", ["0.25", "0.75", "0.35", "0.45", "0.15", "0.5"]),
    ("float", ["1", "2.5"]),
    ("float", ["1", "2", "3", "4.25"]),
    ("float", ["1.000000000000000056e-01", "2.500000000000000000e-01"]),  # as NumPy's savetxt writes
    ("float", ["0.30000000000000004", "0.1", "0.25", "1e-300", "5e-324"]),
    ("float", ["1.0E-5", "0.5", "2.25"]),  # as Java writes
    ("float", ["nan", "-inf", "0.5"]),
    ("float", ["1", "nan"]),
    ("float", ["-0.0", "1.5"]),
    ("float", [".5", ".25"]),
    ("null", ["", ""]),
]


def column_of(cells, batch):
    column = Column()
    for start in range(0, len(cells), batch):
        some = cells[start : start + batch]
        column.add(some, range(start, start + len(some)), "t.csv")
    column.finish()
    return column


@pytest.mark.parametrize("batch", [1, 3, 1000])
@pytest.mark.parametrize(("kind", "cells"), KINDS)
def test_kinds(kind, cells, batch):
    assert column_of(cells, batch).kind == kind


@pytest.mark.parametrize("odd", ["x", "7.50", "007", "1e5", "+1", "7 ", "1\x002"])
def test_one_odd_cell_after_many(odd):
    assert column_of([*map(str, range(3000)), odd], 1000).kind == "str"
    assert column_of([*(f"{i}.{i % 9 + 1}" for i in range(3000)), odd], 1000).kind == "str"


def test_a_float_column_gives_back_every_bit():
    rng = random.Random(5)
    values = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(3000)]
    cells = [repr(value) for value in values if value == value]
    assert column_of(cells, 100).kind == "float"
    assert [repr(PARSE["float"](cell)) for cell in cells] == cells


def test_what_is_accepted_comes_back():
    """Random cells of few characters: of a column that became numbers, every cell is what one of the usual ways of writing gives."""
    rng = random.Random(6)
    for _ in range(3000):
        cells = ["".join(rng.choices("0123.e-+", k=rng.randrange(1, 7))) for _ in range(rng.randrange(1, 4))]
        kind = column_of(cells, 1000).kind
        if kind in ("int", "long"):
            assert [str(int(cell)) for cell in cells] == cells
        elif kind == "float":
            for cell in cells:
                digits = cell.lower().partition("e")[0].replace(".", "").replace("-", "").lstrip("0")
                back = f"{float(cell):.{max(len(digits), 1) - 1}e}".partition("e")[0].replace(".", "").replace("-", "")
                assert (back == digits or not digits) and not cell.lstrip("-").startswith("00")
            assert len({float(cell) for cell in cells if "e" not in cell}) == len({cell for cell in cells if "e" not in cell}), cells


def test_reasons_name_cell_and_line():
    assert "'12a' (t.csv, line 2)" in column_of(["1", "2", "12a", "x"], 2).reason
    assert "point" in column_of(["1,5", "2,5"], 2).reason
    assert "spelling" in column_of(["1.10", "1.9"], 2).reason
    assert column_of(["NA", "2", "NA"], 2).missing == {"NA": (2, "t.csv, line 0")}
    assert column_of(["a", "b"], 2).reason is None


def test_is_whole():
    assert is_integer("0") and is_integer("-5") and is_integer(str(2**63 - 1)) and not is_integer(str(2**63)) and not is_integer("")
