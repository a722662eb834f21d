"""A user's script: test_types.py has it checked by mypy --strict and by pyright, then runs it.

argv: an empty folder to write into.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, assert_type

import numpy as np
import numpy.typing as npt
import torch

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter, Loader, Mix, Sampler


class Digit(NamedTuple):
    image: npt.NDArray[np.uint8]
    label: int


def to_digit(example: dict[str, Any]) -> Digit:
    return Digit(example["image"], example["label"])


def halved(batch: dict[str, Any]) -> dict[str, Any]:
    return batch | {"image": batch["image"] // 2}


def write(path: Path) -> None:
    with AtlasDatasetWriter(path, "1MB", compression={"image": "lz4"}, metadata={"classes": ["cat", "dog"]}) as writer:
        writer.add_example({"image": np.zeros((4, 4), np.uint8), "label": 0}, split="train")
        writer.extend(({"image": np.full((4, 4), k, np.uint8), "label": k % 2} for k in range(19)), split="train")
        writer.add_batch({"image": np.zeros((4, 4, 4), np.uint8), "label": np.zeros(4, np.int64)}, split="test")


def read(path: Path) -> None:
    ds = AtlasDataset(path)
    assert_type(ds, AtlasDataset[dict[str, Any]])
    assert_type(ds[3], dict[str, Any])
    assert_type(ds[np.int64(3)], dict[str, Any])
    assert_type(ds[0:3], AtlasDataset[dict[str, Any]])
    assert_type(ds[[3, 1]], AtlasDataset[dict[str, Any]])
    mask = np.ones(len(ds), np.bool_)
    assert_type(ds[mask], AtlasDataset[dict[str, Any]])
    assert_type(ds.select([0, 5]).take(1), AtlasDataset[dict[str, Any]])
    assert_type(iter(ds), Iterator[dict[str, Any]])
    assert_type(len(ds), int)
    for example in ds:
        assert_type(example, dict[str, Any])
    images: npt.NDArray[np.uint8] = ds.batch([0, 1, 2], columns=["image"])["image"]
    labels: npt.NDArray[np.int64] = ds.column("label")
    assert images.shape == (3, 4, 4) and labels.shape == (24,)
    assert_type(ds.schema.names, tuple[str, ...])
    assert_type(ds.splits, dict[str, int])
    with AtlasDataset(path, columns=["label"], split="train", verify="always", io="pread", copy=False) as train:
        assert_type(train, AtlasDataset[dict[str, Any]])


def view(path: Path) -> None:
    ds = AtlasDataset(path)
    digits = ds.map(to_digit)
    assert_type(digits, AtlasDataset[Digit])
    assert_type(digits[0].label, int)
    assert_type(digits[:2], AtlasDataset[Digit])
    assert_type(ds.map(lambda example: float(example["label"])), AtlasDataset[float])
    train, test = ds.split(0.8, seed=0)
    assert_type(train, AtlasDataset[dict[str, Any]])
    parts = digits.split({"train": 0.5, "test": 0.5}, seed=0)
    assert_type(parts, dict[str, AtlasDataset[Digit]])
    assert_type(ds.with_format("torch"), AtlasDataset[dict[str, Any]])
    assert_type(digits.raw(), AtlasDataset[Any])
    both = atlas.concat([train, test])
    assert_type(both[0], dict[str, Any])
    assert_type(both[2:].map(to_digit)[0], Digit)
    tuples: AtlasDataset[tuple[str, int]] = AtlasDataset(path)
    assert_type(tuples[0], tuple[str, int])


def train_with_torch(path: Path) -> None:
    ds = AtlasDataset(path)
    loader = torch.utils.data.DataLoader(ds, batch_size=4)
    assert_type(loader, torch.utils.data.DataLoader[dict[str, Any]])
    for batch in loader:
        assert batch["image"].shape == (4, 4, 4)
    for _ in torch.utils.data.DataLoader(atlas.concat([ds, ds]), batch_size=4, collate_fn=atlas.collate):
        pass
    sampler = Sampler(ds, batch_size=4, seed=1, rank="auto" if torch.distributed.is_initialized() else 0)
    assert_type(list(sampler), list[list[int]])
    for _ in torch.utils.data.DataLoader(ds, batch_sampler=sampler):
        pass


def train_with_atlas(path: Path) -> None:
    ds = AtlasDataset(path)
    loader = Loader(ds, batch_size=8, last_batch="short", shuffle="exact", on_error="skip")
    for batch in loader:
        labels: torch.Tensor = batch["label"]
        assert len(labels) == 8
    state = loader.state_dict()
    assert_type(state, dict[str, Any])
    loader.load_state_dict(state)
    assert_type(loader.epoch, int)
    print(loader.stats().bottleneck)
    with Loader(ds, 8, format="numpy", num_workers=0, drop_last=True, transform=halved) as arrays:
        for batch in arrays:
            assert isinstance(batch["label"], np.ndarray)
    mix = Mix([(ds, 3), (ds[:5], 1)], seed=0, shuffle="window", length=16)
    assert_type(mix.weights, tuple[int, ...])
    assert sum(1 for _ in Loader(mix, batch_size=8)) == 2
    for _ in torch.utils.data.DataLoader(mix, batch_sampler=Sampler(mix, batch_size=8)):
        pass


def make(folder: Path, path: Path) -> None:
    atlas.shuffle(path, folder / "mixed", seed=1, progress=False)
    done = atlas.convert(folder / "mixed", folder / "copy", on_error="skip", overwrite=True, progress=False)
    assert_type(done.rows, int | None)
    assert not atlas.verify(folder / "copy", progress=False).damages
    assert_type(atlas.types.array("uint8", (28, 28)), atlas.types.Array)
    assert_type(AtlasDataset(path).schema["label"], atlas.types.Field)
    try:
        AtlasDataset(folder / "nothing")
    except atlas.errors.NotADataset as error:
        print(error)


if __name__ == "__main__":
    here = Path(sys.argv[1])
    write(here / "digits")
    read(here / "digits")
    view(here / "digits")
    train_with_torch(here / "digits")
    train_with_atlas(here / "digits")
    make(here, here / "digits")
