"""Peak anonymous memory (RssAnon) of writing a large synthetic dataset and of reading it at random, in both io modes.

    python -m benchmarks.memory --gigabytes 10 --data /tmp/atlas-bench/memory
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

ROW = 48 << 10
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "while", "seven", "zebras", "watch", "from", "far", "away"]


class Peak:
    """The largest RssAnon of this process, in MB, looked at a hundred times a second."""

    def __init__(self) -> None:
        self.most = 0.0
        self._stop = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            with open("/proc/self/status") as file:
                line = next(line for line in file if line.startswith("RssAnon"))
            self.most = max(self.most, int(line.split()[1]) / 1024)

    def end(self) -> float:
        self._stop.set()
        return round(self.most, 1)


def write(path: Path, rows: int) -> float:
    import atlas_ds

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 4 * ROW, dtype=np.uint8)
    peak = Peak()
    with atlas_ds.AtlasDatasetWriter(path, overwrite=True) as writer:
        for i in range(rows):
            start = int(rng.integers(0, 3 * ROW))
            text = " ".join(WORDS[j] for j in rng.integers(0, len(WORDS), 80))
            writer.add_example({"array": noise[start : start + ROW].reshape(128, -1), "text": text, "label": i % 1000})
    return peak.end()


def read(path: Path, io: str, seconds: float) -> tuple[float, int]:
    import atlas_ds

    dataset = atlas_ds.AtlasDataset(path, io=io)
    rng = np.random.default_rng(1)
    peak = Peak()
    count = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        dataset.batch(rng.integers(0, len(dataset), 256))
        for i in rng.integers(0, len(dataset), 256):
            dataset[int(i)]
        count += 512
    return peak.end(), count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--data", type=Path, default=Path("/tmp/atlas-bench/memory"))
    parser.add_argument("--step", choices=["write", "mmap", "pread"])
    options = parser.parse_args()
    if options.step == "write":
        print(json.dumps({"write": write(options.data, int(options.gigabytes * 1e9 / ROW))}))
    elif options.step:
        print(json.dumps({options.step: read(options.data, options.step, options.seconds)}))
    else:
        amounts = ["--gigabytes", str(options.gigabytes), "--seconds", str(options.seconds)]
        command = [sys.executable, "-m", "benchmarks.memory", "--data", str(options.data), *amounts, "--step"]
        for step in ("write", "mmap", "pread"):
            print(step, subprocess.run([*command, step], check=True, capture_output=True, text=True).stdout.strip())
        shutil.rmtree(options.data)


if __name__ == "__main__":
    main()
