"""Runs the questions over workloads and peers: python -m benchmarks.run --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import peers, questions, report, workloads  # noqa: E402
from benchmarks.check import is_random, verify  # noqa: E402
from benchmarks.measure import Measure, Outcome, interleave  # noqa: E402
from benchmarks.questions.write import remove  # noqa: E402

DEFAULT_OUT = Path(__file__).resolve().parent / "results"


def say(message: str) -> None:
    """Progress, to stderr."""
    print(message, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)

    def names(text: str) -> list[str]:
        return [part for part in text.split(",") if part]

    parser.add_argument("--workloads", type=names, default=list(workloads.WORKLOADS))
    parser.add_argument("--peers", type=names, default=list(peers.PEERS))
    parser.add_argument("--questions", type=names, default=list(questions.NAMES))
    parser.add_argument("--scale", type=float, default=1.0, help="part of each workload")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--seconds", type=float, default=0.4, help="time per peer and round")
    parser.add_argument("--reference", default="atlas", help="peer that ratios are against")
    parser.add_argument("--data", type=Path, default=workloads.DEFAULT_CACHE)
    parser.add_argument("--json", type=Path, default=DEFAULT_OUT / "latest.json")
    parser.add_argument("--table", action="store_true", help="print Markdown tables")
    parser.add_argument("--plot", type=Path, help="write a plot of the first question")
    parser.add_argument("--rewrite", action="store_true", help="write the peers' copies anew")
    return parser.parse_args()


def load_peers(names: list[str]) -> list[peers.BasePeer]:
    """The peers whose packages are installed."""
    found = []
    for name in names:
        try:
            found.append(peers.get(name))
        except ImportError as error:
            say(f"peer {name} left out: {error}")
    return found


def ensure(subject: questions.Subject, *, rewrite: bool) -> str | None:
    """Write and check the peer's copy unless it is there; an error message if it is wrong."""
    marker = subject.path.with_name(subject.path.name + ".checked")
    if marker.exists() and not rewrite:
        return None
    name, workload = subject.peer.name, subject.workload
    say(f"  writing {workload.key} with {name}")
    remove(subject.path)
    subject.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        subject.peer.write(subject.path, workload, workload.schema)
        peers.sync(subject.path)
        reader = subject.peer.open(subject.path, workload.schema)
        failed = verify(reader, workload, random=is_random(subject.peer.skipped))
        reader.close()
    except Exception as error:  # noqa: BLE001 - one peer must not stop the others
        return f"{type(error).__name__}: {error}"
    if failed:
        return f"values differ in {', '.join(failed)}"
    marker.touch()
    return None


def subjects_of(
    workload: workloads.Workload, chosen: list[peers.BasePeer], options: argparse.Namespace
) -> list[questions.Subject]:
    """One subject per peer that can hold the workload and gives back the right values."""
    out = []
    folder = options.data / "peers" / workload.key
    for peer in chosen:
        if not peer.supports(workload.schema):
            continue
        scratch = options.data / "scratch"
        subject = questions.Subject(peer, workload, folder / peer.name, scratch, options.seconds)
        error = ensure(subject, rewrite=options.rewrite)
        if error:
            say(f"  WRONG: {peer.name} on {workload.name}: {error}")
        else:
            out.append(subject)
    return out


def ask(question: str, subjects: list[questions.Subject], repeat: int) -> Outcome | None:
    """Put one question to all subjects of one workload."""
    module = questions.load(question)
    workload = subjects[0].workload
    if workload.name not in getattr(module, "WORKLOADS", (workload.name,)):
        return None
    only = getattr(module, "PEERS", None)
    cases: dict[str, Measure] = {}
    errors: dict[str, str] = {}
    for subject in subjects:
        if subject.peer.answers(question, workload.schema) and (only is None or subject.peer.name in only):
            try:
                if question not in questions.WITHOUT_READING:
                    peers.warm(subject.path)
                prepared = module.prepare(subject)
                cases |= prepared if isinstance(prepared, dict) else {subject.peer.name: prepared}
            except Exception as error:  # noqa: BLE001 - one peer must not stop the others
                errors[subject.peer.name] = f"{type(error).__name__}: {error}"
                say(f"  {subject.peer.name} failed: {errors[subject.peer.name]}")
    if not cases:
        return None
    say(f"{workload.name}: {question}: {', '.join(cases)}")
    rounds, failed = interleave(
        cases, repeat=1 if hasattr(module, "ONCE") else repeat, warm=hasattr(module, "WARM")
    )
    better = module.HIGHER_IS_BETTER
    size, raw = len(workload), workload.raw_bytes
    return Outcome(
        question, workload.name, module.UNIT, better, rounds, size, raw, {**errors, **failed}
    )


def main() -> None:
    """Run, print, save."""
    options = parse()
    chosen = load_peers(options.peers)
    outcomes: list[Outcome] = []
    for name in options.workloads:
        workload = workloads.load(name, scale=options.scale, cache=options.data)
        say(f"{name}: {len(workload)} examples, {workload.raw_bytes / 1e6:.1f} MB")
        subjects = subjects_of(workload, chosen, options)
        for question in options.questions if subjects else ():
            outcome = ask(question, subjects, options.repeat)
            if outcome is not None:
                outcomes.append(outcome)
    settings = {key: getattr(options, key) for key in ("scale", "repeat", "seconds", "questions")}
    report.write_json(options.json, outcomes, reference=options.reference, options=settings)
    say(f"wrote {options.json}")
    if options.table:
        print(report.tables(outcomes, reference=options.reference))
    if options.plot:
        report.plot(options.json, options.plot, question=options.questions[0])


if __name__ == "__main__":
    main()
