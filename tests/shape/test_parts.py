"""`make test-...`: the parts of the tests together are all of them, and none is in two parts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def parts() -> dict[str, list[str]]:
    text = (ROOT / "Makefile").read_text()
    found = {name: folders.split() for name, folders in re.findall(r"^PART_(\w+) := (.*)$", text, re.MULTILINE)}
    listed = re.search(r"^PARTS := (.*)$", text, re.MULTILINE)
    assert listed is not None and set(listed[1].split()) == set(found)
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None and {f"test-{name}" for name in found} <= set(phony[1].split())
    return found


def test_every_test_is_in_one_part() -> None:
    paths = [ROOT / path for names in parts().values() for path in names]
    assert all(path.exists() for path in paths)
    files = Counter(file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py")))
    assert set(files) == set((ROOT / "tests").rglob("test_*.py"))
    assert set(files.values()) == {1}


def test_every_part_is_in_one_half() -> None:
    text = (ROOT / "Makefile").read_text()
    halves = re.findall(r"^HALF_(\d) := (.*)$", text, re.MULTILINE)
    assert [number for number, _ in halves] == ["1", "2"]
    assert sorted(name for _, names in halves for name in names.split()) == sorted(parts())
