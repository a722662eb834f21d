"""Attacks on the files of a folder that are not shards: manifests, journals, locks, parts, notes in footers, tar indexes, and what else can stand there.

Each runs in a process with little memory, in a folder beside files of the user's: nothing but the errors that are documented, nothing outside is
touched, nothing waits. ATLAS_ATTACKS and ATLAS_ATTACK_SEED: how many of each kind the campaign runs, and from which seed on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attacks.folders.attack import KINDS

FEW = 12
AT_A_TIME = 500  # in one process


def run(kind: str, seed: int, count: int, folder: Path) -> dict[str, int]:
    """What the attacks ended in; an AssertionError shows those that were not met."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [sys.executable, str(Path(__file__).parent / "attack.py"), kind, str(seed), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=3000)
    assert done.returncode == 0, f"{kind} from {seed} on: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    *wrong, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert not wrong, f"{len(wrong)} of {count} were not met; the first ones:\n" + "\n".join(f"{line['end']}\n{line['wrong']}" for line in wrong[:3])
    ends: dict[str, int] = last["ends"]
    assert sum(ends.values()) == count
    return ends


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_attacks(kind: str, tmp_path: Path) -> None:
    ends = run(kind, 0, FEW, tmp_path / "a")
    assert not any(end.startswith("prepare") for end in ends), f"an attack that was none: {ends}"


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
def test_many_attacks(kind: str, tmp_path: Path) -> None:
    count, seed = int(os.environ.get("ATLAS_ATTACKS", "2000")), int(os.environ.get("ATLAS_ATTACK_SEED", "1000"))
    for start in range(0, count, AT_A_TIME):
        ends = run(kind, seed + start, min(AT_A_TIME, count - start), tmp_path / str(start))
        print(f"\n{kind}: seeds {seed + start} to {seed + min(start + AT_A_TIME, count) - 1}: {ends}")
