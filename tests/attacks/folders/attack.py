"""Attacks on the files of a dataset's folder, many in one process that has little memory: python attack.py KIND SEED COUNT FOLDER.

A line of JSON for each attack that was not met as it must be: an error of another kind, text that steers a terminal, a file outside that was touched, or
more than PATIENCE seconds. The last line says how many attacks there were, and what they ended in.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tarfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import atlas_ds as atlas
from atlas_ds.bridge import parallel_parts
from atlas_ds.bridge.webdataset.index import write as write_index
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError
from atlas_ds.shard import build
from attacks.folders import hostile

MEMORY = 3 << 30
PATIENCE = 30
OPTIONS: dict[str, Any] = {"shard_size": 4, "workers": 0}
SCHEMA = {"x": int, "name": str}
DOCUMENTED = (AtlasError, FileNotFoundError, FileExistsError, KeyError, IndexError)
Step = Callable[[Path], object]


class Late(BaseException):
    """An attack took too long."""


# --- what a user does with such a folder ---


def row(k: int) -> dict[str, Any]:
    return {"x": k, "name": f"row {k}"}


def command(*argv: object) -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(arg) for arg in argv])
    need_plain(out.getvalue() + err.getvalue())
    if code not in (0, 1) or "this is a bug" in err.getvalue():
        raise AssertionError(f"{argv[0]}: exit code {code}: {err.getvalue()[-2000:]}")


def need_plain(text: str) -> None:
    if not text.replace("\n", "").isprintable():
        raise AssertionError(f"steers a terminal: {text[:500]!r}")


def read(path: Path) -> None:
    ds = atlas.AtlasDataset(path)
    for what in (repr(ds.splits.keys() and sorted(ds.splits)[:3]), str(ds.schema)):
        need_plain(what)
    ds[0], ds[-1]
    next(iter(atlas.Loader(ds, batch_size=2, num_threads=1)))


def read_pread(path: Path) -> None:
    ds = atlas.AtlasDataset(path, io="pread")
    ds[0], ds[len(ds) - 1]


def read_splits(path: Path) -> None:
    for name in list(atlas.AtlasDataset(path).splits)[:3]:
        ds = atlas.AtlasDataset(path, split=name)
        if len(ds):
            ds[0], ds[len(ds) - 1]


def write(path: Path, **mode: Any) -> None:
    with atlas.AtlasDatasetWriter(path, **OPTIONS, **mode) as writer:
        writer.extend(map(row, range(5)))


def give_up(path: Path, **mode: Any) -> None:
    writer = atlas.AtlasDatasetWriter(path, **OPTIONS, **mode)
    writer.extend(map(row, range(9)))
    writer.abort()


READING: dict[str, Step] = {
    "read": read,
    "pread": read_pread,
    "splits": read_splits,
    "column": lambda path: atlas.AtlasDataset(path).column("x"),
    "shares": lambda path: atlas.AtlasDataset(path).split([0.5, 0.5], seed=1),
    "stats": lambda path: (atlas.AtlasDataset(path).stats(), atlas.AtlasDataset(path).chunk_rows()),
    "info": lambda path: command("info", path),
    "json": lambda path: command("info", path, "--json"),
    "head": lambda path: command("head", path),
    "verify": lambda path: command("verify", path),
    "repair": lambda path: atlas.repair(path, output=path.parent / "mine" / "repaired"),
    "shuffle": lambda path: atlas.shuffle(path, path.parent / "mine" / "shuffled", workers=0),
}
WRITING: dict[str, Step] = {
    "append": lambda path: write(path, append=True),
    "overwrite": lambda path: write(path, overwrite=True),
    "resume": lambda path: write(path, resume=True),
    "create": write,
    "abort": lambda path: give_up(path, append=True),
    "abort resumed": lambda path: give_up(path, resume=True),
    "part": lambda path: write(path, part=0, schema=SCHEMA),
    "merge": lambda path: atlas.merge_parts(path, overwrite=True),
}


TAKING: dict[str, Step] = {"import": lambda path: import_tars(path), "open tar": lambda path: open_tar(path)}


# --- folders to begin from ---


def good(path: Path) -> None:
    with atlas.AtlasDatasetWriter(path, **OPTIONS, icc=["x"], metadata={"a": [1, {"b": "c"}], "d": None}) as writer:
        for k in range(11):
            writer.add_example(row(k), split="test" if k % 3 == 0 else "train")
    write(path, append=True)


def stopped(path: Path, **mode: Any) -> None:
    """Left by a writer that was stopped with two finished shards."""
    writer = atlas.AtlasDatasetWriter(path, **OPTIONS, schema=SCHEMA, **mode)
    writer.extend(map(row, range(9)))
    writer._stop()
    writer._output.leave()
    writer._end("failed")


def with_parts(path: Path) -> None:
    for k in range(2):
        with atlas.AtlasDatasetWriter(path, **OPTIONS, part=k, schema=SCHEMA) as writer:
            writer.extend(map(row, range(5)))


# --- the attacks ---


def on_manifest(path: Path, rng: random.Random, victim: str) -> str:
    file = path / "atlas.json"
    data, way = file.read_bytes(), rng.random()
    body = json.loads(data)
    if way < 0.8:
        data = hostile.to_json(hostile.changed(body, rng, victim))
    else:
        data = hostile.changed_bytes(data, rng)
    if rng.random() < 0.95:
        data = hostile.sealed(data)
    file.write_bytes(data)
    return rng.choice([*READING, *list(WRITING)[:5]])


def on_journal(path: Path, rng: random.Random, victim: str) -> str:
    file = rng.choice(sorted(path.glob(".writing*.json")))
    lines, way = file.read_bytes().splitlines(), rng.random()
    at = rng.randrange(len(lines))
    if way < 0.7:
        lines[at] = hostile.to_json(hostile.changed(json.loads(lines[at]), rng, victim))
    elif way < 0.8:
        lines.insert(rng.randrange(len(lines) + 1), hostile.to_json(rng.choice(hostile.values(victim))))
    elif way < 0.9:
        lines[at : at + 1] = [lines[at]] * rng.choice([0, 2])
    else:
        lines = hostile.changed_bytes(b"\n".join(lines), rng).split(b"\n")
    file.write_bytes(b"\n".join(lines) + b"\n")
    plant(path, lines[0], victim)
    return rng.choice([*list(WRITING)[:6], *list(WRITING)[:6], "read", "info"])


def plant(path: Path, head: bytes, victim: str) -> None:
    """Links to a file of the user's under the names that a writer with this token takes."""
    with contextlib.suppress(ValueError, TypeError, KeyError, OSError, RecursionError):
        token = json.loads(head)["token"]
        for name in (f".tmp-journal-{token}-0", f".tmp-00002-{token}-0", f".tmp-x-{token}-1"):
            (path / name).symlink_to(victim)


def on_parts(path: Path, rng: random.Random, victim: str) -> str:
    home = path / ".parts" / f"{rng.randrange(2):05d}"
    file = home / "atlas.json"
    body = json.loads(file.read_bytes())
    data = hostile.to_json(hostile.changed(body, rng, victim)) if rng.random() < 0.8 else hostile.changed_bytes(file.read_bytes(), rng)
    file.write_bytes(hostile.sealed(data))
    if rng.random() < 0.3:
        (home / rng.choice(["notes.txt", "done.json", "00009-0000000000000000.atlas", "x.tmp"])).symlink_to(victim)
    return rng.choice(["merge", "merge", "merge", "part"])


def on_stats(path: Path, rng: random.Random, victim: str) -> str:
    """Shards whose notes say what no writer says; all else of them is right."""
    shutil.rmtree(path)

    def dumps(notes: Any, **options: Any) -> str:
        if rng.random() < 0.3:
            return rng.choice(hostile.STATS)
        return hostile.to_json(hostile.changed(notes, rng, victim)).decode("utf-8", "surrogatepass")

    with mock.patch.object(build, "json", mock.Mock(dumps=dumps)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        good(path)
    if [example["x"] for example in atlas.AtlasDataset(path)] != [*range(0, 11, 3), *(k for k in range(11) if k % 3), *range(5)]:
        raise AssertionError("other rows")
    return rng.choice([*READING, "append", "append", "overwrite"])


TARS = 3


def with_tars(path: Path) -> None:
    """A dataset that is imported from tars, and was stopped before its parts were joined."""
    path.mkdir()
    for number in range(TARS):
        with tarfile.open(path.parent / f"{number}.tar", "w") as tar:
            for k in range(4):
                info = tarfile.TarInfo(f"{number}{k}.txt")
                info.size = 3
                tar.addfile(info, io.BytesIO(b"abc"))
    with mock.patch.object(parallel_parts, "merge", side_effect=InterruptedError), contextlib.suppress(InterruptedError):
        import_tars(path)


def import_tars(path: Path) -> None:
    tars = [path.parent / f"{number}.tar" for number in range(TARS)]
    atlas.import_webdataset(tars, path, resume=True, shard_size="1KB", workers=0)
    if len(atlas.AtlasDataset(path)) != 4 * TARS:
        raise AssertionError("other rows")


def on_done(path: Path, rng: random.Random, victim: str) -> str:
    home = path / ".parts" / f"{rng.randrange(TARS):05d}"
    file, way = home / "done.json", rng.random()
    if way < 0.7:
        file.write_bytes(hostile.to_json(hostile.changed(json.loads(file.read_bytes()), rng, victim)))
    elif way < 0.85:
        file.write_bytes(hostile.changed_bytes(file.read_bytes(), rng))
    else:
        name = rng.choice(["done.json", "atlas.json", ".atlas.lock", "mine.txt", next(home.glob("*.atlas")).name])
        (home / name).unlink(missing_ok=True)
        ODD[rng.choice(list(ODD))](home / name, victim)
    return "import"


def on_index(path: Path, rng: random.Random, victim: str) -> str:
    """The index beside a tar: other numbers, another description, another kind of file."""
    tar = path.parent / "0.tar"
    index, way = Path(f"{tar}.atlas"), rng.random()
    if index.is_dir() and not index.is_symlink():
        shutil.rmtree(index)
    index.unlink(missing_ok=True)
    atlas.open_tar(tar, progress=False)
    if way < 0.25:
        index.unlink()
        ODD[rng.choice(list(ODD))](index, victim)
        return "open tar"
    values = atlas.AtlasDataset(index).batch(slice(None))
    members = np.array(values["members"])
    if way < 0.6:
        members[rng.randrange(len(members)), 0, rng.randrange(3)] = max(-(1 << 63), min((1 << 63) - 1, int(rng.choice(hostile.NUMBERS[:13]))))
        about = values["about"][0]
    else:
        told = hostile.to_json(hostile.changed(json.loads(values["about"][0]), rng, victim))
        about = told.decode("utf-8", "replace")
    with contextlib.suppress(AtlasError):  # what cannot be written
        write_index(index, {"key": list(values["key"]), "members": members, "about": [about] * len(members)})
    return "open tar"


def open_tar(path: Path) -> None:
    ds = atlas.open_tar(path.parent / "0.tar", fields=["txt"], progress=False)
    whole = (path.parent / "0.tar").read_bytes()  # whose bytes a sample is, its index decides; never whose they are not
    if any(example["txt"] is not None and example["txt"] not in whole for example in ds):
        raise AssertionError("bytes of another file")


ODD: dict[str, Callable[[Path, str], object]] = {
    "pipe": lambda file, victim: os.mkfifo(file),
    "folder": lambda file, victim: file.mkdir(),
    "folder with a file": lambda file, victim: (file.mkdir(), (file / "mine").write_text("mine")),
    "link": lambda file, victim: file.symlink_to(victim),
    "link to a folder": lambda file, victim: file.symlink_to(Path(victim).parent / "beside"),
    "dangling link": lambda file, victim: file.symlink_to(f"{victim}-new"),
    "link to itself": lambda file, victim: file.symlink_to(file),
    "device": lambda file, victim: file.symlink_to("/dev/zero"),
    "null device": lambda file, victim: file.symlink_to("/dev/null"),
    "terminal": lambda file, victim: file.symlink_to("/dev/tty"),
    "empty": lambda file, victim: file.write_bytes(b""),
    "zeros": lambda file, victim: file.write_bytes(bytes(5000)),
    "huge": lambda file, victim: (file.touch(), os.truncate(file, 1 << 42)),
}
NAMES = ("atlas.json", "SHARD", ".atlas.lock", ".writing.json", ".writing-0123456789abcdef.json", ".parts", ".parts/00000", ".tmp-parts-x", "META")


def on_files(path: Path, rng: random.Random, victim: str) -> str:
    name = rng.choice(NAMES)
    if name == "SHARD":
        file = rng.choice(sorted(path.glob("*.atlas")))
    else:
        file = path / ("meta.json" if name == "META" else name)
    file.parent.mkdir(exist_ok=True)
    if file.is_dir():
        shutil.rmtree(file)
    file.unlink(missing_ok=True)
    ODD[rng.choice(list(ODD))](file, victim)
    return rng.choice([*READING, *WRITING])


KINDS: dict[str, tuple[Callable[[Path], object], Callable[[Path, random.Random, str], str]]] = {
    "manifest": (good, on_manifest),
    "journal": (lambda path: (good(path), stopped(path, append=True)), on_journal),
    "journal of one": (stopped, on_journal),
    "journal that replaces": (lambda path: (good(path), stopped(path, overwrite=True)), on_journal),
    "parts": (with_parts, on_parts),
    "stats": (good, on_stats),
    "files": (good, on_files),
    "done files": (with_tars, on_done),
    "tar indexes": (with_tars, on_index),
}


# --- the judge ---


def outside(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that is not the dataset's, and not what a user's step writes."""
    found = {}
    for path in [folder / "victim.txt", folder / "victim.txt-new", *sorted((folder / "beside").rglob("*"))]:
        if path.exists():
            state = path.stat()
            found[str(path)] = (state.st_ino, state.st_mtime_ns, state.st_size, path.read_bytes() if path.is_file() else b"")
    return found


@contextlib.contextmanager
def patience() -> Iterator[None]:
    def late(*_: object) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)


def attack(kind: str, seed: int, folder: Path, source: Path) -> tuple[str, str]:
    """(what it ended in, what was wrong with that)."""
    rng = random.Random(f"{kind} {seed}")
    path, victim = folder / "ds", str(folder / "victim.txt")
    for name in ("ds", "mine", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(source, path, symlinks=True)
    (folder / "mine").mkdir()
    before = outside(folder)
    step = "prepare"
    try:
        with patience(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step = KINDS[kind][1](path, rng, victim)
            (READING | WRITING | TAKING)[step](path)
        end, wrong = "fine", ""
    except DOCUMENTED as error:
        end, wrong = type(error).__name__, ""
        if not "".join(str(error).splitlines()).isprintable():
            wrong = f"steers a terminal: {str(error)[:300]!r}"
        elif len(str(error)) > 300_000:
            wrong = f"{len(str(error))} characters: {str(error)[:300]!r}"
    except OSError as error:  # of the system, with its number and place
        end, wrong = type(error).__name__, "" if error.errno is not None else traceback.format_exc()
    except ValueError as error:  # resume= with other options than before
        end, wrong = "ValueError", "" if "pass the same" in str(error) else traceback.format_exc()
    except Late:
        end, wrong = "late", f"{PATIENCE} s"
    except BaseException:  # of any kind: it is what is looked for
        end, wrong = "other", traceback.format_exc()
    if outside(folder) != before:
        wrong += " touched what is outside"
    return f"{step}: {end}", wrong


def run(kind: str, seed: int, count: int, folder: Path) -> Counter[str]:
    (folder / "beside").mkdir(parents=True)
    (folder / "victim.txt").write_text("precious")
    for name in ("00000-1111111111111111.atlas", "atlas.json", ".writing.json", "mine.txt"):
        (folder / "beside" / name).write_text("precious")
    source = folder / "source"
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        KINDS[kind][0](source)
    ends: Counter[str] = Counter()
    for number in range(seed, seed + count):
        end, wrong = attack(kind, number, folder, source)
        ends[end] += 1
        if wrong:
            print(json.dumps({"kind": kind, "seed": number, "end": end, "wrong": wrong[-3000:]}), flush=True)
    return ends


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(json.dumps({"ends": run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))}))
