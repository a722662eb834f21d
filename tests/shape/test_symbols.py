"""Names of the C core: whatever links it, or a part of it, meets no other names than atlas_*."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"


@pytest.mark.parametrize("source", sorted(CSRC.glob("*.c")), ids=lambda path: path.name)
def test_external_names_begin_with_atlas(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.o"
    subprocess.run([os.environ.get("CC", "gcc"), "-std=c11", "-c", f"-I{CSRC}", "-o", made, source], check=True)
    listed = subprocess.run(["nm", "--defined-only", "--extern-only", made], capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in listed.splitlines() if line.strip()]
    assert names and [name for name in names if not name.removeprefix("_").startswith("atlas_")] == []
