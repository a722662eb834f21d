"""For the tests of the bridge: real files (pictures by Pillow, IDX files by hand), and small datasets."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter


def picture(seed: int = 0, format: str = "JPEG") -> bytes:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 9, 3), np.uint8)
    out = io.BytesIO()
    image.fromarray(pixels).save(out, format)
    return out.getvalue()


def idx_bytes(array: np.ndarray) -> bytes:
    code = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    head = bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def jpeg() -> bytes:
    return picture()


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def make_idx():
    return idx_bytes


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder per class: 3 cats, 2 dogs, and files that do not count."""
    root = tmp_path / "pets"
    for name, count in (("dog", 2), ("cat", 3)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.jpg").write_bytes(picture(i))
    (root / ".hidden.json").write_text("{}")
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    return root


@pytest.fixture
def make(tmp_path):
    """Writes a dataset of rows, and opens it."""

    def make(rows, schema=None, name="ds"):
        with AtlasDatasetWriter(tmp_path / name, schema=schema) as writer:
            writer.extend(rows)
        return AtlasDataset(tmp_path / name)

    return make
