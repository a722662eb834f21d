"""The shape of sources: each file is short enough to read in one sitting, and no block exists twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = (".py", ".pyx", ".pxi", ".pxd", ".c", ".h")
LONG = 500  # lines; a file that has more says why near its top, in a line with "Longer than"
LONGEST = 800
TOP = 30  # lines in which that line is
BLOCK = 12  # lines of code; a longer block may not exist twice
IMPORT = re.compile(r"\s*(from\s+[\w.]+\s+c?import|c?import)\s|\s*#\s*include\b|\s*include\s+\"")
COMMENT = ("#", "//", "/*", "*/", "* ")


class Line(NamedTuple):
    number: int
    text: str


def is_source(path: Path) -> bool:
    """Whether a person wrote it: C beside a Cython file of its name is made from that."""
    return path.suffix in KINDS and not (path.suffix == ".c" and path.with_suffix(".pyx").exists())


SOURCES = {
    path.relative_to(ROOT).as_posix(): path
    for room in ("src", "csrc")
    for path in sorted((ROOT / room).rglob("*"))
    if is_source(path)
}


def code_of(text: str) -> Iterator[Line]:
    """The lines of code, stripped: no blank ones, no comments, no imports."""
    closing = ""  # of an import over several lines
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if closing:
            closing = "" if closing in stripped else closing
        elif IMPORT.match(line):
            closing = ")" if stripped.endswith("(") else ""
        elif stripped and stripped != "*" and (not stripped.startswith(COMMENT) or stripped.startswith("#define")):
            yield Line(number, stripped)


def repeated(sources: dict[str, str]) -> list[str]:
    """ "a.py:3 and b.py:7" for each block of more than BLOCK lines of code that exists twice, where it begins."""
    seen: dict[tuple[str, ...], tuple[str, int]] = {}
    found = []
    for name, text in sources.items():
        lines = list(code_of(text))
        inside = False
        for at in range(len(lines) - BLOCK):
            block = tuple(line.text for line in lines[at : at + BLOCK + 1])
            other = seen.setdefault(block, (name, lines[at].number))
            twice = other != (name, lines[at].number)
            if twice and not inside:
                found.append(f"{other[0]}:{other[1]} and {name}:{lines[at].number}")
            inside = twice
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_length(name: str) -> None:
    lines = SOURCES[name].read_text().splitlines()
    assert len(lines) <= LONGEST
    assert len(lines) <= LONG or any("Longer than" in line for line in lines[:TOP]), "part it, or say why not"


def test_nothing_exists_twice() -> None:
    found = repeated({name: path.read_text() for name, path in SOURCES.items()})
    assert not found, "\n".join(found)


def test_repetition_is_found() -> None:
    body = [f"    x{i} = {i}" for i in range(BLOCK + 1)]
    plain = "import a\n" + "\n".join(["def f():", *body])
    other = "\n\n".join(["from b import (", "    c,", ")", "# a comment", *[f"    {line}" for line in body]])
    assert repeated({"a.py": plain, "b.py": other}) == ["a.py:3 and b.py:9"]
    assert repeated({"a.py": plain + "\n" + "\n".join(body)}) == [f"a.py:3 and a.py:{4 + BLOCK}"]
    assert repeated({"a.py": plain, "b.py": "\n".join(body[1:])}) == []
