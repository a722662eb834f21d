"""Export of many small samples (a number and a short text each), twice: seconds, peak anonymous memory, whether the bytes are equal.

    python -m benchmarks.export --samples 10000000 --data /tmp/atlas-bench/export
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.memory import Peak


def make(path: Path, samples: int) -> None:
    import atlas_ds

    with atlas_ds.AtlasDatasetWriter(path, overwrite=True) as writer:
        for i in range(samples):
            writer.add_example({"label": i % 1000, "caption": f"the text of sample {i}"})


def export(source: Path, folder: Path) -> dict[str, object]:
    """In a process of its own, so that its memory is its own."""
    from atlas_ds.bridge import export_webdataset

    peak = Peak()
    start = time.perf_counter()
    done = export_webdataset(source, folder / "part-%06d.tar", overwrite=True)
    seconds = time.perf_counter() - start
    told = {"seconds": round(seconds, 2), "samples_per_s": round(done.samples / seconds), "rss_anon_mb": peak.end()}
    return told | {"shards": len(done.paths), "bytes": done.bytes}


def digest(folder: Path) -> str:
    """Of all files, names and bytes."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path, required=True, help="a folder with room for the tars of one export")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(export(args.data, args.child)))
        return
    source, out = args.data / "source", args.data / "tars"
    make(source, args.samples)
    digests = []
    for run in range(2):
        shutil.rmtree(out, ignore_errors=True)  # so that one export's tars are all the room it takes
        done = subprocess.run([sys.executable, "-m", "benchmarks.export", "--data", source, "--child", out], capture_output=True, text=True, check=True)
        digests.append(digest(out))
        print(json.dumps({"samples": args.samples, "run": run} | json.loads(done.stdout)), flush=True)
    print(json.dumps({"equal_bytes": digests[0] == digests[1], "sha256": digests[0]}))


if __name__ == "__main__":
    main()
