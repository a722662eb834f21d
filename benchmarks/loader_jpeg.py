"""JPEG pictures decoded to 224 x 224 uint8 by Pillow: images a second and memory of the Loader's threads, and of a DataLoader with two
workers over the same Atlas dataset. Both decode with the same function; Pillow leaves the GIL meanwhile.

    python -m benchmarks.loader_jpeg

Each way runs in a process of its own, in turns; what is printed is the median of the rounds. Memory is the most that the process and its
children had at any time: PSS (pages that several share are counted once), and what of it is not the dataset's file in the page cache.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 224
DEFAULT = Path("/tmp/atlas-bench/peers/jpeg-3000/atlas")
WAYS = ("loader", "dataloader")


def decode(example: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image

    with Image.open(io.BytesIO(example["image"])) as picture:
        picture.draft("RGB", (SIDE, SIDE))
        return {"image": np.asarray(picture.convert("RGB").resize((SIDE, SIDE))), "label": example["label"]}


class Decoded:
    """What a DataLoader's worker reads: the rows of a batch in one call."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, rows: list[int]) -> list[dict[str, Any]]:
        return [decode(example) for example in self.dataset.__getitems__(rows)]


def stacked(examples: list[dict[str, Any]]) -> dict[str, Any]:
    """The stock collate copies each picture twice; this does it once, as the Loader does."""
    import torch

    labels = torch.tensor([example["label"] for example in examples])
    return {"image": torch.from_numpy(np.stack([example["image"] for example in examples])), "label": labels}


def family(pid: int) -> Iterator[int]:
    """The process and its children, as far down as they go."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


class Memory:
    """The most PSS, and PSS without file pages, of this process and its children in MB, looked at five times a second."""

    def __init__(self) -> None:
        self.pss = self.own = 0.0
        self.processes = 1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            pss = own = 0
            members = 0
            try:
                for pid in family(os.getpid()):
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
                    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
                    pss += kilobytes["Pss"]
                    own += kilobytes["Pss_Anon"] + kilobytes["Pss_Shmem"]
                    members += 1
            except (OSError, KeyError):  # a process has just ended
                continue
            self.pss, self.own = max(self.pss, pss / 1024), max(self.own, own / 1024)
            self.processes = max(self.processes, members)

    def end(self) -> dict[str, float]:
        self._stop.set()
        self._thread.join()
        return {"pss_mb": round(self.pss), "without_files_mb": round(self.own), "processes": self.processes}


def batches_of(way: str, dataset: Any, batch: int) -> Any:
    if way == "loader":
        import atlas_ds

        return atlas_ds.Loader(dataset, batch_size=batch, shuffle=True, seed=1, transform_example=decode)
    from torch.utils.data import DataLoader

    return DataLoader(
        Decoded(dataset), batch_size=batch, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True, collate_fn=stacked
    )


def measure(way: str, path: Path, batch: int, epochs: int) -> dict[str, float]:
    """One process: a first epoch that is not timed, then the others."""
    import torch

    import atlas_ds

    torch.set_num_threads(1)
    batches = batches_of(way, atlas_ds.AtlasDataset(path), batch)
    memory = Memory()
    count = 0
    started = 0.0
    for epoch in range(epochs + 1):
        if epoch == 1:
            started = time.perf_counter()
        for columns in batches:
            assert columns["image"].shape == (batch, SIDE, SIDE, 3) and len(columns["label"]) == batch
            count += batch if epoch else 0
    return {"images_per_second": round(count / (time.perf_counter() - started), 1), **memory.end()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="an Atlas dataset with the bytes of pictures as `image`, and `label`")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--json", type=Path, help="all rounds")
    parser.add_argument("--way", choices=WAYS, help="this way only, in this process")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.data, options.batch, options.epochs)))
        return
    same = ["--data", str(options.data), "--batch", str(options.batch), "--epochs", str(options.epochs)]
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(options.repeat):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            command = [sys.executable, "-m", "benchmarks.loader_jpeg", "--way", way, *same]
            rounds[way].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    if options.json:
        options.json.write_text(json.dumps({"batch": options.batch, "epochs": options.epochs, "rounds": rounds}, indent=1) + "\n")
    names = {"loader": "Loader, threads", "dataloader": "DataLoader, 2 workers"}
    print("| JPEG to 224 x 224 | images/s | PSS, MB | of it without files, MB | processes |\n|---|---:|---:|---:|---:|")
    for way in WAYS:
        cells = [f"{statistics.median(one[key] for one in rounds[way]):,.0f}" for key in rounds[way][0]]
        print(f"| {names[way]} | {' | '.join(cells)} |")
    speeds = [a["images_per_second"] / b["images_per_second"] for a, b in zip(rounds["loader"], rounds["dataloader"])]
    print(f"\nthe Loader is {statistics.median(speeds):.2f}x as quick (each round: {', '.join(f'{speed:.2f}' for speed in speeds)})")


if __name__ == "__main__":
    main()
