"""WebDataset tars of real pictures: how fast they are imported, against `cp` + fsync of the same files and reading them with webdataset in one
process; and how fast samples are read in place, against wids. Rounds in turns; medians and ratios.

    python -m benchmarks.tars import --gigabytes 3 [--pictures FOLDER]
    python -m benchmarks.tars open   [--wids FOLDER]

--results FILE keeps the figures.

webdataset comes from the environment; wids, whose package has the same name, from a folder it was installed into without dependencies.
Each way runs in a process of its own. Destinations are new files on the same disk; sources are in the page cache for all ways.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from benchmarks.memory import Peak

DATA = Path("/tmp/atlas-bench/tars")
SHARD = 300 << 20
WAYS = {"import": ("cp", "atlas", "webdataset"), "open": ("atlas", "wids")}
SMALL = 100_000
READS = {"small": 20_000, "jpeg": 3_000}


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def make_pictures(folder: Path, pictures: Path, size: float) -> list[Path]:
    """Tars of .jpg and .cls with `size` bytes of pictures, each picture again and again under new keys."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(pictures.glob("*.jpg"))
    number, total = 0, 0
    out: list[Path] = []
    while total < size:
        path = folder / f"pictures-{len(out):06d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            start = total
            while total < size and total - start < SHARD:
                data = files[number % len(files)].read_bytes()
                add(archive, f"{number:09d}.jpg", data)
                add(archive, f"{number:09d}.cls", b"%d" % (number % 1000))
                number, total = number + 1, total + len(data)
        out.append(path)
    return out


def make_small(folder: Path) -> list[Path]:
    """One tar of samples of a .txt of 100 bytes and a .cls."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small-000000.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number in range(SMALL):
            add(archive, f"{number:09d}.txt", b"%0100d" % number)
            add(archive, f"{number:09d}.cls", b"%d" % (number % 1000))
    return [path]


def count_samples(tar: Path) -> int:
    with tarfile.open(tar) as archive:
        return sum(name.endswith(".cls") for name in archive.getnames())


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def copy_files(tars: list[str], out: Path) -> dict[str, Any]:
    out.mkdir()
    for tar in tars:
        subprocess.run(["cp", tar, str(out)], check=True)
    for file in out.iterdir():
        sync(file)
    sync(out)
    return {}


def import_atlas(tars: list[str], out: Path) -> dict[str, Any]:
    import atlas_ds

    peak = Peak()
    done = atlas_ds.import_webdataset(tars, out)
    return {"samples": done.rows, "rss_anon_mb": peak.end()}


def read_webdataset(tars: list[str], out: Path) -> dict[str, Any]:
    import webdataset

    samples = sum(1 for _ in webdataset.WebDataset(tars, shardshuffle=False))
    return {"samples": samples}


def in_place(kind: str, tars: list[str], way: str) -> dict[str, Any]:
    """Microseconds per ds[i] at random, fields as bytes, after a pass over all; seconds to open again."""
    count = READS[kind]
    if way == "atlas":
        import atlas_ds

        atlas_ds.open_tar(tars)
        start = time.perf_counter()
        dataset: Any = atlas_ds.open_tar(tars)
        dataset[0]
    else:
        import wids

        index = Path(tars[0]).parent / "wids.json"
        start = time.perf_counter()
        dataset = wids.ShardListDataset(str(index), cache_size=1 << 40, keep=True, transformations=[], lru_size=len(tars) + 1)
        dataset[0]
    opened = time.perf_counter() - start
    rows = random.Random(1).choices(range(len(dataset)), k=count)
    first = dataset[0]
    streams = [name for name, value in first.items() if hasattr(value, "read")]  # of wids, whose bytes a user takes; ours are bytes already
    for row in range(len(dataset)):  # a first epoch: pages are mapped, memory is warm
        dataset[row]
    start = time.perf_counter()
    for row in rows:
        sample = dataset[row]
        for name in streams:
            sample[name] = sample[name].read()
    return {"us": (time.perf_counter() - start) / count * 1e6, "open_s": opened, "samples": len(dataset)}


def run(options: argparse.Namespace, way: str, tars: list[Path], kind: str = "") -> dict[str, Any]:
    out = DATA / "out"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(["sync"], check=True)
    path = f"{options.wids}{os.pathsep}{os.environ.get('PYTHONPATH', '')}" if way == "wids" else os.environ.get("PYTHONPATH", "")
    command = [sys.executable, "-m", "benchmarks.tars", options.what, "--way", way, "--kind", kind, "--tars", *map(str, tars)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    shutil.rmtree(out, ignore_errors=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def child(options: argparse.Namespace) -> None:
    if options.what == "open":
        print(json.dumps(in_place(options.kind, options.tars, options.way)))
        return
    way = {"cp": copy_files, "atlas": import_atlas, "webdataset": read_webdataset}[options.way]
    if options.way != "cp":
        __import__({"atlas": "atlas_ds", "webdataset": "webdataset"}[options.way])
    start = time.perf_counter()
    told = way(options.tars, DATA / "out")
    print(json.dumps(told | {"seconds": time.perf_counter() - start}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(WAYS))
    parser.add_argument("--gigabytes", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=Path, default=Path("/tmp/atlas-bench/jpeg"))
    parser.add_argument("--wids", type=Path, default=Path(sys.prefix) / "peers" / "wids")
    parser.add_argument("--results", type=Path, help="a JSON file in which the figures are kept, beside those it has")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="", help=argparse.SUPPRESS)
    parser.add_argument("--tars", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        child(options)
        return
    kinds = {"small": make_small, "jpeg": lambda folder: make_pictures(folder, options.pictures, 0.5e9)}
    if options.what == "import":
        kinds = {"": lambda folder: make_pictures(folder, options.pictures, options.gigabytes * 1e9)}
    for kind, make in kinds.items():
        folder = DATA / f"{options.what}{kind}"
        tars = sorted(folder.glob("*.tar")) or make(folder)
        if options.what == "open":
            shards = [{"url": str(tar), "nsamples": count_samples(tar)} for tar in tars]
            (folder / "wids.json").write_text(json.dumps({"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": shards}))
        for tar in tars:
            tar.read_bytes()
        rounds = [{way: run(options, way, tars, kind) for way in WAYS[options.what]} for _ in range(options.rounds)]
        figure = "us" if options.what == "open" else "seconds"
        size = sum(tar.stat().st_size for tar in tars)
        told = {"tars": len(tars), "bytes": size, "samples": rounds[0]["atlas"]["samples"], "rounds": options.rounds, "ways": {}}
        print(f"{kind or options.what}: {len(tars)} tars, {size / 1e9:.2f} GB, {rounds[0]['atlas']['samples']:,} samples, {options.rounds} rounds")
        for way in WAYS[options.what]:
            values = [one[way][figure] for one in rounds]
            ratios = [one[way][figure] / one["atlas"][figure] for one in rounds]
            more = {name: statistics.median(one[way][name] for one in rounds) for name in ("open_s", "rss_anon_mb") if name in rounds[0][way]}
            told["ways"][way] = {figure: statistics.median(values), "atlas_is_as_fast": statistics.median(ratios)} | more
            print(f"  {way:12s} {statistics.median(values):10.2f} {figure:8s} atlas is {statistics.median(ratios):6.2f}x as fast  {more or ''}")
        if options.results:
            standing = json.loads(options.results.read_text()) if options.results.exists() else {}
            standing[f"{options.what} {kind}".strip()] = told
            options.results.write_text(json.dumps(standing, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
