"""Many processes that write to one path, are killed at any time, and find no locks: nothing published is lost or damaged, nothing appears twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import no_locks as without
from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, verify
from support import child, write

TESTS = Path(__file__).resolve().parents[1]
SHARD = 10
APPENDER = """
import json, os, random, signal, sys, time
from atlas_ds import AtlasDatasetWriter
from atlas_ds.store import files

def append(path, number, rows, seed, kill, pause):
    chance = random.Random(seed)
    time.sleep(chance.random() * pause)
    if kill == "commit":
        real, before = os.replace, chance.random() < 0.5
        def replace(source, target):
            commit = str(target).endswith("atlas.json")
            if commit and before: os.kill(os.getpid(), 9)
            real(source, target)
            if commit: os.kill(os.getpid(), 9)
        files.os.replace = replace
    last = chance.randrange(rows)
    with AtlasDatasetWriter(path, append=True, schema={"who": "int64", "i": "int64"}, shard_size=10, workers=0) as writer:
        for i in range(rows):
            if kill == "writing" and i == last: os.kill(os.getpid(), 9)
            if kill == "own" and i == last: raise SystemExit(3)
            writer.add_example({"who": number, "i": i})
            if chance.random() < 0.1: time.sleep(chance.random() * pause / 10)
"""
TOGETHER = APPENDER + """
children = []
for args in json.loads(sys.argv[2]):
    pid = os.fork()
    if pid == 0:
        try:
            append(sys.argv[1], *args)
        except SystemExit as end:
            os._exit(end.code)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    children.append(pid)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]))
"""
ALONE = """
import sys, time
from atlas_ds import AtlasDatasetWriter, errors
path, number, mode, pause = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
options = {"create": {}, "append": {"append": True}, "overwrite": {"overwrite": True}, "resume": {"resume": True}}[mode]
time.sleep(pause)
try:
    with AtlasDatasetWriter(path, schema={"who": "int64", "i": "int64"}, shard_size=10, workers=0, **options) as writer:
        for i in range(35):
            writer.add_example({"who": number, "i": i})
            time.sleep(0.0005)
except errors.WriterBusy:
    sys.exit(4)
except FileExistsError:
    sys.exit(5)
"""


def start(code: str, *args: object, env: dict[str, str]) -> subprocess.Popen[bytes]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])} | env
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], env=env, stderr=subprocess.PIPE)


def by_writer(path: Path) -> list[tuple[int, list[int]]]:
    """(who, its rows) in the order in which they stand."""
    runs: list[tuple[int, list[int]]] = []
    for row in AtlasDataset(path):
        if not runs or runs[-1][0] != row["who"]:
            runs.append((row["who"], []))
        runs[-1][1].append(row["i"])
    return runs


def append_at_once(path: Path, count: int, seed: int, env: dict[str, str]) -> None:
    """Appenders that begin, pause and are killed at random; at the end all that was said to be published is there, once, in order, and verifies."""
    chance = random.Random(seed)
    write(path, [{"who": -1, "i": 0}], schema={"who": "int64", "i": "int64"})
    rows = [chance.randrange(1, 45) for _ in range(count)]
    kills = [chance.choice(["no"] * 6 + ["writing", "commit", "own"]) for _ in range(count)]
    done = child(TOGETHER, path, json.dumps([[k, rows[k], seed * 1000 + k, kills[k], 0.05] for k in range(count)]), env=env)
    codes = json.loads(done.stdout)
    for k, code in enumerate(codes):
        wanted = {"no": 0, "own": 3}.get(kills[k], -signal.SIGKILL)
        assert code == wanted, (seed, k, kills[k], code, done.stderr)
    report = verify(path)
    assert report.damages == [], (seed, report.damages)
    runs = by_writer(path)
    assert len({who for who, _ in runs}) == len(runs), (seed, "rows of one writer are apart, or twice")
    for who, got in runs[1:]:
        assert got == list(range(rows[who])) and kills[who] in ("no", "commit"), (seed, who, got)
    missing = {k for k in range(count) if codes[k] == 0} - {who for who, _ in runs}
    assert not missing, (seed, "published and lost", missing)
    last = start(ALONE, path, 0, "overwrite", 0, env=env)  # nobody is thought to be at work, and everything the dead left goes
    assert (last.communicate()[1], last.returncode) == (b"", 0), seed
    left = {file.name for file in path.iterdir()} - {"atlas.json", ".atlas.lock", *(shard.path for shard in AtlasDataset(path).shards)}
    assert not left, (seed, left)


@pytest.mark.parametrize("error", ["", "ENOLCK", "EOPNOTSUPP"])
def test_appenders(tmp_path, noflock, error):
    for seed in range(2):
        append_at_once(tmp_path / str(seed), 6, seed, without.environment(noflock, error) if error else {})


@pytest.mark.campaign
def test_sixteen_appenders(tmp_path, noflock):
    for seed in range(int(os.environ.get("ATLAS_CAMPAIGN_APPENDERS", "200"))):
        error = ("", "", "ENOLCK", "ENOSYS", "EOPNOTSUPP")[seed % 5]
        append_at_once(tmp_path / str(seed), 16, 10_000 + seed, without.environment(noflock, error) if error else {})


def two_at_once(path: Path, modes: tuple[str, str], exists: bool, pauses: tuple[float, float], env: dict[str, str]) -> tuple[int, int]:
    if exists:
        write(path, [{"who": -1, "i": 0}], schema={"who": "int64", "i": "int64"})
    running = [start(ALONE, path, k, modes[k], pauses[k], env=env) for k in range(2)]
    ends = [(process.communicate(timeout=60)[1].decode(), process.returncode) for process in running]
    codes = ends[0][1], ends[1][1]
    where = f"{modes} exists={exists}: {ends}"
    assert set(codes) <= {0, 4, 5}, where
    assert 0 in codes or (exists and set(modes) <= {"create", "resume"}), where
    assert verify(path).damages == [], where
    for who, got in by_writer(path):
        assert got == ([0] if who == -1 else list(range(35))), where
    there = {who for who, _ in by_writer(path)}
    both = codes == (0, 0)
    for k in range(2):
        gone = both and "overwrite" in modes  # the later one replaced what the earlier one published
        assert (codes[k] == 0) <= (k in there or gone) and (k in there) <= (codes[k] == 0), where
    assert not list(path.glob(".writing*")) and not list(path.glob(".tmp-*")), where
    return codes


PAIRS = [(a, b) for a in ("create", "append", "overwrite", "resume") for b in ("create", "append", "overwrite", "resume") if (a, b) != ("append", "append")]


def every_pair(folder: Path, rounds: int, noflock: Path) -> None:
    chance = random.Random(rounds)
    for number in range(rounds):
        for pair in PAIRS:
            exists = bool((number + PAIRS.index(pair)) % 2)
            env = without.environment(noflock, chance.choice(without.ERRORS)) if number % 2 else {}
            two_at_once(folder / f"{number}-{pair[0]}-{pair[1]}", pair, exists, (chance.random() * 0.03, chance.random() * 0.03), env)


def test_some_pairs(tmp_path, noflock):
    for number, pair in enumerate((("create", "create"), ("overwrite", "append"), ("resume", "overwrite"))):
        two_at_once(tmp_path / str(number), pair, bool(number), (0.01, 0.01), without.environment(noflock, "ENOSYS") if number else {})


@pytest.mark.campaign
def test_every_pair(tmp_path, noflock):
    every_pair(tmp_path, int(os.environ.get("ATLAS_CAMPAIGN_PAIRS", "30")), noflock)


def killed_in_commit(path: Path, chance: random.Random) -> bool:
    """SIGKILL from outside around the moment of close; then a writer of any mode goes on. Whether the commit was seen."""
    write(path, [{"who": -1, "i": 0}], schema={"who": "int64", "i": "int64"})
    read, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        writer = AtlasDatasetWriter(path, append=True, shard_size=SHARD, workers=0)
        for i in range(35):
            writer.add_example({"who": 1, "i": i})
        os.write(ready, b"x")
        writer.close()
        time.sleep(60)
        os._exit(0)
    os.read(read, 1)
    time.sleep(chance.random() * 0.004)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(ready)
    assert verify(path).damages == []
    before = by_writer(path)
    assert before in ([(-1, [0])], [(-1, [0]), (1, list(range(35)))])
    mode = chance.choice(["append", "resume"])
    try:
        with AtlasDatasetWriter(path, shard_size=SHARD, workers=0, **{mode: True}) as writer:
            if mode == "resume":
                for i in range(writer.position, 35):
                    writer.add_example({"who": 1, "i": i})
            else:
                writer.add_example({"who": 2, "i": 0})
    except FileExistsError as error:
        assert not isinstance(error, errors.WriterBusy) and mode == "resume" and len(before) == 2, "nothing to resume: it was published"
    assert verify(path).damages == []
    done = by_writer(path)
    assert done == ([*before, (2, [0])] if mode == "append" else [(-1, [0]), (1, list(range(35)))])
    return len(before) == 2


def test_killed_in_commit(tmp_path):
    chance = random.Random(7)
    for run in range(8):
        killed_in_commit(tmp_path / str(run), chance)


@pytest.mark.campaign
def test_killed_in_commit_at_length(tmp_path):
    chance = random.Random(8)
    seen = [killed_in_commit(tmp_path / str(run), chance) for run in range(int(os.environ.get("ATLAS_CAMPAIGN_KILLS", "1000")))]
    assert 0 < sum(seen) < len(seen), "kills before and after the moment of the commit"
