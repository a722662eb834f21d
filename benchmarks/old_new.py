"""Two versions of Atlas against each other: what each call costs in NEW, as a ratio to OLD.

    python -m benchmarks.old_new OLD/src [NEW/src] --rounds 9 [--noise] [--questions add_example get]

OLD and NEW are `src` folders of checkouts that have been built; NEW is this one unless it is given. Each figure comes from a process of
its own, two new ones in each round, which do short pieces of the same work in turns (old new, new old, ...), `--seconds` each. A round's
ratio is the median of those of its pairs; printed are the medians of the rounds: of the time on the clock with their quartiles, of the CPU
time of the calling thread, and of that of all threads; `least` is the least of new's pieces over the least of old's. `--noise` adds OLD a
second time: its ratio to itself says how much of the others is chance.

Each side reads datasets that it wrote itself: the format may have changed. Files are in memory
(/dev/shm) where there is room. Writing is timed without `close`, which is a question of its own and includes fsync.
Only what both versions understand can be asked.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.old_new_questions import KINDS, QUESTIONS, Clock, prepare

ROOT = Path(__file__).resolve().parents[1]
LEAST_PIECES = 5
Figures = list[dict[str, float]]  # seconds of each kind, a piece of work each


def start(source: Path, name: str, data: Path) -> subprocess.Popen[str]:
    """A new process that imports the Atlas of `source` and measures one piece of work for each line it is sent; see `answer`."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env = kept | {"PYTHONPATH": str(source), "PYTHONPYCACHEPREFIX": str(data / "compiled")}  # both sides compiled, or imports differ
    command = [sys.executable, "-m", "benchmarks.old_new", str(source), "--data", str(data), "--ask", name]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(source: Path, name: str, data: Path) -> None:
    """What the new process does: a line when it is ready, and one with figures for each line that comes in."""
    import atlas_ds

    if not Path(atlas_ds.__file__).is_relative_to(source):
        sys.exit(f"atlas_ds comes from {atlas_ds.__file__}, not from {source}")
    if name == "prepare":
        prepare(data)
        return
    once = QUESTIONS[name](data)
    once(Clock())
    print("ready", flush=True)
    for _ in sys.stdin:
        clock = Clock()
        gc.collect()
        once(clock)
        print(json.dumps(clock.seconds), flush=True)


def told(process: subprocess.Popen[str]) -> str:
    """The next line of a process that `start` made."""
    assert process.stdin is not None and process.stdout is not None
    said = process.stdout.readline()
    if not said:
        sys.exit(f"{process.args} ended with {process.wait()}")
    return said


def one_round(sides: dict[str, Path], name: str, data: Path, seconds: float) -> dict[str, Figures]:
    """A new process for each side; then a piece of work in each of them, in turns, until `seconds` for each are over."""
    found: dict[str, Figures] = {side: [] for side in sides}
    with ExitStack() as stack:
        processes = {side: stack.enter_context(start(source, name, data / side)) for side, source in sides.items()}
        for process in processes.values():
            told(process)
        end = time.perf_counter() + seconds * len(sides)
        while len(found["old"]) < LEAST_PIECES or time.perf_counter() < end:
            for side in list(sides)[:: 1 if len(found["old"]) % 2 else -1]:
                processes[side].stdin.write("go\n")  # type: ignore[union-attr]
                processes[side].stdin.flush()  # type: ignore[union-attr]
                found[side].append(json.loads(told(processes[side])))
        for process in processes.values():
            process.stdin.close()  # type: ignore[union-attr]
    return found


def ratios(rounds: list[dict[str, Figures]], side: str, kind: str) -> tuple[float, float, float]:
    """Of a side to old: the median of the rounds, each of which is the median of its pairs of pieces; and their quartiles."""
    each = [statistics.median(new[kind] / old[kind] for old, new in zip(one["old"], one[side])) for one in rounds]
    low, middle, high = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
    return middle, low, high


def line(name: str, rounds: list[dict[str, Figures]]) -> str:
    """One line of the table."""
    times = {side: [piece["wall"] for one in rounds for piece in one[side]] for side in rounds[0]}
    cells = [f"{statistics.median(times[side]) * 1e3:,.1f}" for side in ("old", "new")]
    for side in list(times)[1:]:
        cells.append("{:.3f} ({:.3f} to {:.3f})".format(*ratios(rounds, side, "wall")))
        cells += [f"{ratios(rounds, side, kind)[0]:.3f}" for kind in KINDS[1:]]
        cells.append(f"{min(times[side]) / min(times['old']):.3f}")
    return f"| {' | '.join([name, *cells])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the src folder of the old checkout")
    parser.add_argument("new", type=Path, nargs="?", default=ROOT / "src", help="that of the new one; default: this checkout's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring in each process")
    parser.add_argument("--questions", nargs="+", default=[""], help="only those that begin with one of these words")
    parser.add_argument("--noise", action="store_true", help="ask old twice in each round")
    parser.add_argument("--data", type=Path, help="a folder for scratch files")
    parser.add_argument("--json", type=Path, help="a file for all rounds")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        answer(options.old, options.ask, options.data)
        return
    names = [name for name in QUESTIONS if name.startswith(tuple(options.questions))]
    if not names:
        parser.error(f"--questions {' '.join(options.questions)}: none begins so; there are: {'; '.join(QUESTIONS)}")
    sides = {"old": options.old.resolve(), "new": options.new.resolve()} | ({"old again": options.old.resolve()} if options.noise else {})
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="atlas-old-new-", dir=options.data or (memory if roomy else None)) as folder:
        for side, source in sides.items():
            (Path(folder) / side).mkdir()
            if start(source, "prepare", Path(folder) / side).wait():
                sys.exit(f"{source}: cannot write the datasets to be read")
        one_round(sides, "import atlas_ds", Path(folder), 0)  # not kept: Python compiles the modules
        heads = [f"{side}/old, clock (quartiles) | caller's CPU | all CPU | least" for side in list(sides)[1:]]
        print(f"| question | old, ms | new, ms | {' | '.join(heads)} |\n|---|{'---:|' * (2 + 4 * len(heads))}")
        for name in names:
            found[name] = [one_round(sides, name, Path(folder), options.seconds) for _ in range(options.rounds)]
            print(line(name, found[name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rounds": found, "seconds": options.seconds, "machine": os.uname().machine}, indent=1) + "\n")


if __name__ == "__main__":
    main()
