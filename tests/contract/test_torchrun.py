"""A training job that is torn apart: torchrun and its ranks are killed at random moments, and another number of ranks goes on from the last
state. What was trained on, up to each state and from there on, is every row once, in the order of a run that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from atlas_ds import AtlasDataset, Loader
from support import write

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the ranks ask Linux to die with torchrun")

ROWS, EPOCHS = 2001, 2
ORDERS: list[dict[str, Any]] = [{"shuffle": "exact"}, {"shuffle": "window", "lanes": 12, "window": 3}, {"shuffle": False}]
Place = tuple[int, int]
"""(epoch, step)"""


class Run:
    """One start of the job: what its ranks wrote down."""

    def __init__(self, folder: Path, name: str, ranks: int, options: dict[str, Any]) -> None:
        self.folder, self.name, self.ranks = folder, name, ranks
        script = Path(__file__).with_name("torchrun_rank.py")
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        self.out = folder / f"{name}.out"
        with self.out.open("wb") as out:
            arguments = [*torchrun, str(script), str(folder), name, str(EPOCHS), json.dumps(options)]
            self.job = subprocess.Popen(arguments, env=environment, stdout=out, stderr=out, start_new_session=True)

    def said(self, rank: int) -> list[dict[str, Any]]:
        file = self.folder / f"{self.name}-{rank}.log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def over(self) -> bool:
        return self.job.poll() is not None

    def wait_until_it_trains(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not any("rows" in line for line in self.said(0)):
            assert time.monotonic() < deadline and not self.over(), self.out.read_text()
            time.sleep(0.01)

    def kill(self) -> bool:
        """SIGKILL to all of it; whether it was still at work. Returns when no process is left."""
        if not self.over():
            os.killpg(self.job.pid, signal.SIGKILL)
        assert self.job.wait() in (0, -signal.SIGKILL), self.out.read_text()
        pids = [line["pid"] for rank in range(self.ranks) for line in self.said(rank) if "pid" in line]
        deadline = time.monotonic() + 60
        while any(map(alive, pids)):
            assert time.monotonic() < deadline, f"ranks {pids} outlive torchrun"
            time.sleep(0.01)
        return not all(any("end" in line for line in self.said(rank)) for rank in range(self.ranks))

    def steps(self) -> dict[Place, list[list[int]]]:
        """Of each step the rows of each rank that got to it."""
        found: dict[Place, list[list[int]]] = {}
        for rank in range(self.ranks):
            for line in self.said(rank):
                if "rows" in line:
                    found.setdefault((line["epoch"], line["step"]), []).append(line["rows"])
        return found

    def states(self) -> list[dict[str, Any]]:
        return [line["saved"] for line in self.said(0) if "saved" in line]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read(loader: Loader, batch: int) -> dict[Place, list[int]]:
    """What the loader gives until the last epoch is over."""
    found = {}
    for epoch in range(loader.epoch, EPOCHS):
        begun = -(-loader.state_dict()["position"] // batch)
        found |= {(epoch, begun + step): columns["id"].tolist() for step, columns in enumerate(loader)}
    return found


def torn(folder: Path, sizes: list[int], moments: list[float], order: dict[str, Any], batch: int = 24) -> tuple[int, int]:
    """Runs the job with so many ranks each time, kills each but the last so many seconds after it began to train, checks everything. How
    often it was killed at work, and how many states were saved."""
    write(folder / "data", [{"id": i, "twice": 2 * i} for i in range(ROWS)], shard_size=200, block_size=16)
    options = {"global_batch_size": batch, "seed": 3, "last_batch": "short", "num_threads": 2, "prefetch": "16KB", **order}
    whole = read(Loader(AtlasDataset(folder / "data"), **options), batch)
    for epoch in range(EPOCHS):
        assert sorted(row for (e, _), rows in whole.items() if e == epoch for row in rows) == list(range(ROWS))

    runs, kills, begins = [], 0, [(0, 0)]
    for number, size in enumerate(sizes):
        run = Run(folder, f"run{number}", size, options)
        try:
            if number + 1 < len(sizes):
                run.wait_until_it_trains()
                time.sleep(moments[number])
            else:
                run.job.wait(120)
        finally:
            kills += run.kill()
        runs.append(run)
        saved = folder / "state.json"
        begins.append(place(json.loads(saved.read_text()), batch) if saved.exists() else (0, 0))

    trained: list[tuple[Place, list[int]]] = []
    for run, begin, end in zip(runs, begins, begins[1:]):
        check_states(run, begin, sorted(whole), batch)
        for at, shares in run.steps().items():  # also those after the last state, which another run repeats
            together = [row for rows in shares for row in rows]
            assert set(together) <= set(whole[at]), f"{run.name} at {at} is not what an undisturbed run has"
            if at < end:
                assert len(shares) == run.ranks, f"{run.name} at {at}: a state was saved that not all ranks had come to"
                assert sorted(together) == sorted(whole[at])
                assert order["shuffle"] == "window" or together == whole[at]  # there ranks have lanes, not slices
                trained.append((at, together))
    assert [at for at, _ in sorted(trained)] == sorted(whole), "a step is missing, or was trained twice"

    states = [state for run in runs for state in run.states()]
    for state in states:  # each would have done, by any number of ranks
        rest: dict[Place, list[int]] = {}
        for rank in range(3):
            loader = Loader(AtlasDataset(folder / "data"), rank=rank, world_size=3, **options)
            loader.load_state_dict(state)
            for at, rows in read(loader, batch).items():
                rest.setdefault(at, []).extend(rows)
        done = {at: rows for at, rows in trained if at < place(state, batch)}
        assert {at: sorted(rows) for at, rows in (done | rest).items()} == {at: sorted(rows) for at, rows in whole.items()}
        assert not done.keys() & rest.keys()
    return kills, len(states)


def place(state: dict[str, Any], batch: int) -> Place:
    """The step that follows a state."""
    epoch, position = state["epoch"], state["position"]
    return (epoch + 1, 0) if position == ROWS else (epoch, position // batch)


def check_states(run: Run, begin: Place, places: list[Place], batch: int) -> None:
    """Each rank went on step by step from where the run began, and a state says what its rank had got when it was saved, no more."""
    following = dict(zip(places, [*places[1:], (EPOCHS, 0)]))
    for rank in range(run.ranks):
        now = begin
        for line in run.said(rank):
            if "rows" in line:
                assert (line["epoch"], line["step"]) == now, f"{run.name}, rank {rank}"
                now = following[now]
            elif "saved" in line:
                assert place(line["saved"], batch) == now, f"{run.name}: the state {line['saved']} was saved before {now}"


def test_killed_twice(tmp_path: Path) -> None:
    rng = random.Random()
    kills, states = torn(tmp_path, [4, 2, 3], [rng.uniform(0, 0.6), rng.uniform(0, 0.5)], rng.choice(ORDERS))
    assert kills == 2 and states


@pytest.mark.campaign
def test_killed_often(tmp_path: Path) -> None:
    seed = int(os.environ.get("ATLAS_CAMPAIGN_SEED", random.randrange(1 << 30)))
    rng, kills, states, chains = random.Random(seed), 0, 0, 0
    while kills < int(os.environ.get("ATLAS_CAMPAIGN_KILLS", "50")):
        sizes = [4, 2, 3] if chains % 2 == 0 else [rng.choice([1, 2, 3, 4]) for _ in range(3)]
        (folder := tmp_path / str(chains)).mkdir()
        try:
            killed, saved = torn(folder, sizes, [rng.uniform(0, 1.0), rng.uniform(0, 0.8)], ORDERS[chains % 3])
        except BaseException as error:
            error.add_note(f"seed {seed}, chain {chains}: {sizes} ranks, {folder}")
            raise
        kills, states, chains = kills + killed, states + saved, chains + 1
    print(f"seed {seed}: {kills} kills in {chains} jobs, {states} states")
