"""Converts broken sources, in a process of its own: `python source_fuzz.py SEED FIRST LAST FOLDER [KIND ...]`. A line of JSON for each thing that is wrong.

What may come out: a dataset, or an AtlasError (or an OSError that names a path) whose text names the source, and then nothing at the destination; by
the command line exit code 1 and one line. Nothing may stay open. Who starts it sees a crash, and a hang or too much memory end the process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import os
import resource
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, import_webdataset
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError
from damage.mutations import break_source
from damage.sources import ONE_FILE, SOURCES, Files

SECONDS = 10
MEMORY = 3 << 30


def options_of(kind: str, random: Random) -> dict[str, Any]:
    out: dict[str, Any] = {"workers": 1}
    if random.random() < 0.4:
        out["on_error"] = "skip"
    if kind.startswith("atlas-v1"):
        out["trust_pickle"] = True
    if random.random() < 0.2 and not kind.startswith(("tar", "atlas")):
        out["follow_links"] = True
    if random.random() < 0.3 and not kind.startswith("tar"):
        out["source_format"] = format_of(kind)
    return out


def format_of(kind: str) -> str:
    named = {
        "json": "jsonl", "csvs": "csv", "hub": "parquet", "jsonls": "jsonl", "beside": "classes", "split_tars": "webdataset",
        "splits": "classes", "parquets": "parquet", "arrow-stream": "arrow", "arrow-stream.several": "arrow", "save_to_disk": "arrow", "npy-records": "npy", "mnist": "idx",
    }  # fmt: skip
    return named.get(kind) or kind.partition(".")[0]


def convert_one(kind: str, src: Path, dst: Path, random: Random) -> str:
    """"made", or the error's text."""
    options = options_of(kind, random)
    try:
        if kind.startswith("tar") and src.exists() and random.random() < 0.7:
            done: Any = import_webdataset(src, dst, decode=random.random() < 0.7, workers=1, on_error=options.get("on_error", "raise"))
        else:
            done = convert(src, dst, **options)
    except AtlasError as error:
        return str(error)
    except OSError as error:
        if error.filename is None and str(src.parent) not in str(error):
            raise
        return str(error)
    check(done.rows, dst)
    return "made"


def check(rows: int | None, dst: Path) -> None:
    """What was made is readable."""
    ds = AtlasDataset(dst)
    for _ in ds:
        pass
    assert rows == len(ds), f"{rows} rows were told, and there are {len(ds)}"


def command(kind: str, src: Path, dst: Path, random: Random) -> str:
    options = options_of(kind, random)
    line = ["convert", str(src), str(dst), "--quiet", "--workers", "1"]
    line += ["--skip-errors"] * ("on_error" in options) + ["--trust-pickle"] * ("trust_pickle" in options) + ["--dry-run"] * (random.random() < 0.1)
    line += ["--follow-links"] * ("follow_links" in options)
    line += ["--from", options["source_format"]] if "source_format" in options else []
    line += ["--decode"] * (kind.startswith("tar") and random.random() < 0.5)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line)
    told = err.getvalue()
    assert "Traceback" not in told and "Traceback" not in out.getvalue(), told
    assert "this is a bug" not in told, told
    if code == 0:
        if "--dry-run" not in line:
            check(len(AtlasDataset(dst)), dst)
        return "made"
    first, *more = told.splitlines()
    assert code == 1 and first.startswith("atlas-ds: error: ") and all(line.startswith("  ") for line in more), (code, told)
    return told


def case(kind: str, files: Files, number: int, seed: str, home: Path) -> str | None:
    """What is wrong, or None."""
    random = Random(f"{seed}:{number}")
    shutil.rmtree(home, ignore_errors=True)
    src, dst = home / ONE_FILE.get(kind, "src"), home / "out"
    names = {name: src / name if name else src for name in files}
    what = break_source(files, names, random, home / "outside")
    before = len(os.listdir("/proc/self/fd"))
    try:
        told = (command if random.random() < 0.3 else convert_one)(kind, src, dst, random)
    except BaseException as error:
        return f"{what}: {type(error).__name__}: {error}\n{''.join(traceback.format_tb(error.__traceback__)[-6:])}"
    if told != "made" and str(home) not in told:
        return f"{what}: the error does not name the file: {told}"
    if told != "made" and dst.exists():
        return f"{what}: the destination is there after an error: {told}"
    if len(os.listdir("/proc/self/fd")) > before:
        gc.collect()
        if len(os.listdir("/proc/self/fd")) > before:
            return f"{what}: a descriptor stays open after: {told}"
    return None


def run(seed: int, first: int, last: int, home: Path, kinds: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    good = {kind: SOURCES[kind]() for kind in kinds}
    for number in range(first, last):
        kind = kinds[number % len(kinds)]
        (home.parent / f"{home.name}.now").write_text(f"{number} {kind}")
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        wrong = case(kind, good[kind], number, f"{seed}:{kind}", home)
        faulthandler.cancel_dump_traceback_later()
        if wrong is not None:
            print(json.dumps({"case": number, "kind": kind, "wrong": wrong}), flush=True)
    print(json.dumps({"done": last - first, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:] or list(SOURCES))
