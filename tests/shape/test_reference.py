"""docs/reference.md is up to date, and docs/guide/command-line.md has the options of the commands.

That every parameter has a text is checked by tools/reference.py itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import atlas_ds
from atlas_ds.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_tool", ROOT / "tools" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(tool: ModuleType) -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == tool.page(), "run `make reference`"


def test_every_public_name_has_a_heading(tool: ModuleType) -> None:
    headings = set(re.findall(r"^#+ ([\w.]+)$", tool.page(), re.MULTILINE))
    names = {name for name in atlas_ds.__all__ if name not in ("errors", "types")}
    names |= {"atlas.errors", "atlas.types", *(f"types.{name}" for name in atlas_ds.types.__all__ if name != "Schema")}
    assert names <= headings, names - headings


def test_every_error_has_a_row(tool: ModuleType) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", tool.errors_text(), re.MULTILINE))
    assert rows == set(atlas_ds.errors.__all__)


def test_the_tool_finds_what_is_missing(tool: ModuleType) -> None:
    source = 'def f(a, b):\n    """Does it.\n\n    Parameters\n    ----------\n    a\n        The first.\n    """\n'
    node = tool.ast.parse(source).body[0]
    with pytest.raises(SystemExit, match="signature"):
        tool.function_text("f", tool.Method([node], "atlas_ds"), 2)


def test_the_tool_is_only_standard_library(tool: ModuleType) -> None:
    text = (ROOT / "tools" / "reference.py").read_text()
    modules = {name.split(".")[0] for name in re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE)}
    assert modules <= sys.stdlib_module_names


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The long names of a command's options; the short one where there is no other."""
    every = [action.option_strings for action in parser._actions if action.option_strings and action.dest != "help"]
    return {name for names in every for name in ([name for name in names if name.startswith("--")] or names)}


def test_the_command_line_page_has_every_option() -> None:
    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    page = (ROOT / "docs" / "guide" / "command-line.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (`-.*) \|$", page, re.MULTILINE)
    said = {command: set(re.findall(r"`(--?[\w-]+)`", options)) for command, options in rows}
    assert said == {name: options_of(parser) for name, parser in commands.choices.items()}
