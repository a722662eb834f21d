"""Pages that the plain-Python writer makes in every legal form, whether or not it saves: both readers read what was written.

Sums of base and number wrap around at the element's size here, which the C writer never asks for.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from atlas_ds.shard import verify_shard
from reference import sample, wire
from reference.builder import Encoding, Plan, build
from reference.reader import Shard
from support import agrees

from .test_property import MEMORY


def a_value(rng: random.Random, base: int, element: int, number: int, count: int) -> bytes:
    """Numbers from base on that fit the narrow ones: all alike, any, or in steps."""
    mode, most = rng.randrange(3), 256**number
    return b"".join(((base + (0, rng.randrange(most), k // 4 % most)[mode]) % 256**element).to_bytes(element, "little") for k in range(count))


def a_plan(rng: random.Random) -> tuple[Plan, tuple[Any, ...]]:
    """A shard of one leaf, and the form of its pages."""
    dtype = rng.choice(["int16", "uint16", "int32", "uint32", "int64", "uint64"])
    element = np.dtype(dtype).itemsize
    number = rng.choice([size for size in (1, 2, 4) if size < element])
    base = rng.choice([0, 256**element - rng.randrange(1, 300), rng.randrange(256**element), 256**element // 2 - 3])
    fixed, nullable, width = rng.random() < 0.5, rng.random() < 0.5, rng.choice([0, 1, 3, 40])
    rows = [a_value(rng, base, element, number, width if fixed else rng.choice([0, 1, 2, 50])) for _ in range(rng.randrange(1, 20))]
    values = [None if nullable and rng.random() < 0.3 else value for value in rows]
    layout, codec = rng.choice([wire.NARROW, wire.NARROW, wire.FIXED if fixed else wire.VAR]), rng.choice([wire.NONE, wire.LZ4, wire.ZSTD])
    cells = codec != wire.NONE and rng.random() < 0.6
    together = rng.choice([1, 1, 2, 3, 9]) if cells else 1
    how = Encoding(
        layout, codec, cells=cells, together=together, short=(cells or not fixed) and rng.random() < 0.4, dictionary=codec != wire.NONE and rng.random() < 0.3,
        element=element, number=number, base=base,
    )  # fmt: skip
    kind = {"array": {"dtype": dtype, "shape": [width]}} if fixed else {"tensor": {"dtype": dtype, "ndim": 1}}
    plan = sample.one(
        kind, values, how, width=element * width if fixed else None, flags=0 if cells and together == 1 else wire.PAGE_CODED, block=rng.choice([1, 3, 8]), nullable=nullable,
        dictionaries=(sample.dictionary(),), leaf_dictionary=1,
    )  # fmt: skip
    return plan, (fixed, layout, codec, cells, together > 1, None in values)


def check(plan: Plan, path: Path, rng: random.Random) -> None:
    path.write_bytes(build(plan))
    shard = Shard(path)
    shard.verify()
    assert verify_shard(path) == shard.rows
    want = list(shard)
    order = [rng.randrange(len(want)) for _ in range(8)]
    for dataset in (AtlasDataset(path), AtlasDataset(path, verify="always"), AtlasDataset(path, verify="never")):
        for _ in range(2):  # the second time, pages are known
            assert all(agrees(dataset[i], want[i]) for i in order)
            assert all(map(agrees, dataset, want))  # rows that follow each other
            batch = dataset.batch(order)
            for got, i in zip(batch, order, strict=True):
                assert (want[i] is None and is_missing(got)) or np.asarray(got).tobytes() == want[i].tobytes()


def is_missing(got: Any) -> bool:
    return got is None or bool(np.ma.getmaskarray(got).all())


def plans(seed: int, count: int) -> Iterator[tuple[Plan, tuple[Any, ...], random.Random]]:
    for case in range(count):
        rng = random.Random(seed * 1_000_000 + case)
        yield (*a_plan(rng), rng)


def check_all(seed: int, count: int) -> None:
    forms = set()
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        for plan, form, rng in plans(seed, count):
            check(plan, Path(scratch) / "x.atlas", rng)
            forms.add(form)
    assert len(forms) == 2 * 2 * 7 * 2, sorted(forms)


def test_every_legal_form_is_read() -> None:
    check_all(1, 1_000)


@pytest.mark.campaign
def test_every_legal_form_is_read_at_length() -> None:
    check_all(2, 20_000)
