"""Broken sources of every kind: each conversion ends in a dataset, or in an error that names the file and leaves nothing. See source_fuzz.py.

A sample of it runs in every test run. The campaign runs ATLAS_CAMPAIGN_SOURCES cases (2,500) from the seed ATLAS_CAMPAIGN_SEED (random, and printed).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

for package in ("pyarrow", "zstandard", "lz4.frame", "cbor2", "msgpack"):
    pytest.importorskip(package)

from damage.source_fuzz import SECONDS, convert_one  # noqa: E402
from damage.sources import ONE_FILE, SOURCES  # noqa: E402

SCRIPT = Path(__file__).with_name("source_fuzz.py")
BATCH = 500  # cases of one process
ENDINGS = 20  # of processes, by crashes and hangs, until it is enough


def fuzz(seed: int, count: int, folder: Path, kinds: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What is wrong. A process that dies is one wrong case; the next one goes on behind it."""
    wrong: list[dict[str, Any]] = []
    first = ended = 0
    while first < count and ended < ENDINGS:
        last = min(first + BATCH, count)
        line = [sys.executable, str(SCRIPT), str(seed), str(first), str(last), str(folder / "case"), *kinds]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60 + BATCH * SECONDS, check=False)
        found = [json.loads(text) for text in done.stdout.splitlines()]
        wrong += [one for one in found if "wrong" in one]
        if found and "done" in found[-1] and done.returncode == 0:
            first = last
            continue
        at, kind = (folder / "case.now").read_text().split()
        wrong.append({"case": int(at), "kind": kind, "wrong": f"the process ended with {done.returncode}: {done.stderr[-3000:]}"})
        first, ended = int(at) + 1, ended + 1
    return wrong


def told(seed: int, wrong: list[dict[str, Any]]) -> str:
    return "\n".join(f"seed {seed}, case {one['case']}, {one['kind']}: {one['wrong']}" for one in wrong)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_sources_are_good(kind: str, tmp_path: Path) -> None:
    from random import Random

    src = tmp_path / ONE_FILE.get(kind, "src")
    for name, data in SOURCES[kind]().items():
        path = src / name if name else src
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert convert_one(kind, src, tmp_path / "out", Random(1)) == "made"


def test_broken_sources(tmp_path: Path) -> None:
    wrong = fuzz(2, 176, tmp_path)
    assert not wrong, told(2, wrong)


@pytest.mark.campaign
def test_many_broken_sources(tmp_path: Path) -> None:
    seed = int(os.environ.get("ATLAS_CAMPAIGN_SEED") or SystemRandom().randrange(1 << 32))
    count = int(os.environ.get("ATLAS_CAMPAIGN_SOURCES") or 2500)
    print(f"{count:,} broken sources from the seed {seed}")
    wrong = fuzz(seed, count, tmp_path)
    assert not wrong, told(seed, wrong)
