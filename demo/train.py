"""Fashion-MNIST with Atlas: write it, read it in random order, and train a small network for one epoch, with a stop in the middle.

    make demo                                   installs the images, then runs this
    python demo/train.py --source FOLDER        FOLDER has train-images-idx3-ubyte.gz and the other three files
"""

import argparse
import gzip
import json
import random
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

import atlas_ds as atlas


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file: a header with 4 bytes per axis, then the values."""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def write(source: Path, path: Path, access: str) -> int:
    """Writes both splits; returns the number of bytes of the values."""
    raw = 0
    with atlas.AtlasDatasetWriter(path, access=access, overwrite=True) as writer:
        for split, name in (("train", "train"), ("test", "t10k")):
            images = read_idx(source / f"{name}-images-idx3-ubyte.gz")
            labels = read_idx(source / f"{name}-labels-idx1-ubyte.gz")
            raw += images.nbytes + labels.nbytes
            for image, label in zip(images, labels, strict=True):
                writer.add_example({"image": image, "label": label}, split=split)
    return raw


def size(path: Path) -> float:
    return sum(file.stat().st_size for file in path.iterdir()) / 1e6


def make_network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 256), nn.ReLU(), nn.Linear(256, 10))


def pixels(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return batch["image"].float() / 255


def train(network: nn.Module, optimizer: torch.optim.Optimizer, loader: atlas.Loader, steps: int | None = None) -> None:
    for batch in islice(loader, steps):
        loss = nn.functional.cross_entropy(network(pixels(batch)), batch["label"].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def accuracy(network: nn.Module, loader: atlas.Loader) -> float:
    right = total = 0
    for batch in loader:
        right += int((network(pixels(batch)).argmax(1) == batch["label"]).sum())
        total += len(batch["label"])
    return right / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--data", type=Path, default=Path("demo-data"), help="where the dataset is written")
    args = parser.parse_args()
    path = args.data / "fashion"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    start = time.perf_counter()
    raw = write(args.source, path, "random")
    print(f"write   70,000 examples in {time.perf_counter() - start:.1f} s")
    write(args.source, args.data / "fashion-scan", "scan")
    print(f"size    {raw / 1e6:.1f} MB of values; {size(path):.1f} MB on disk, {size(args.data / 'fashion-scan'):.1f} MB with access='scan'")

    train_set = atlas.AtlasDataset(path, split="train")
    test_set = atlas.AtlasDataset(path, split="test")
    print(f"open    {train_set!r}")

    rows = random.Random(0).choices(range(len(train_set)), k=50_000)
    start = time.perf_counter()
    for row in rows:
        train_set[row]
    print(f"read    {len(rows) / (time.perf_counter() - start):,.0f} examples/s one by one, in random order")
    start = time.perf_counter()
    for at in range(0, len(rows), 256):
        train_set.batch(rows[at : at + 256])
    print(f"batch   {len(rows) / (time.perf_counter() - start):,.0f} examples/s in batches of 256, in random order")

    start = time.perf_counter()
    for _ in atlas.Loader(train_set, batch_size=256):
        pass
    print(f"load    {len(train_set) / (time.perf_counter() - start):,.0f} examples/s from a shuffled Loader, without training")

    network = make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = atlas.Loader(train_set, batch_size=256, last_batch="short")
    train(network, optimizer, loader, steps=100)
    state = loader.state_dict()  # in a checkpoint, save it with the weights
    print(f"stop    after 100 batches; the state has {len(json.dumps(state))} bytes")

    loader = atlas.Loader(train_set, batch_size=256, last_batch="short")  # as after a crash
    loader.load_state_dict(state)
    print(f"resume  {len(loader)} batches of the epoch are left")
    train(network, optimizer, loader)
    print("train   " + str(loader.stats()).replace("\n", "\n        "))
    print(f"test    {accuracy(network, atlas.Loader(test_set, batch_size=1000, shuffle=False)):.1%} of the test images are classified correctly")


if __name__ == "__main__":
    main()
