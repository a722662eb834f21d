"""The workloads: real and generated examples, deterministic and cached in a folder."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import debian, pictures, text_corpus
from benchmarks.schema import Example, Field, Schema, array, raw_bytes

DEFAULT_CACHE = Path("/tmp/atlas-bench")


class Rows(Sequence[Example]):
    """Examples made on the fly from whole columns (arrays give a row, others a Python int)."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.columns = columns
        self._names = list(columns)

    def __len__(self) -> int:
        return len(self.columns[self._names[0]])

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        return {
            name: column[index] if column.ndim > 1 else int(column[index])
            for name, column in self.columns.items()
        }

    def __iter__(self) -> Iterator[Example]:
        parts = [
            column if column.ndim > 1 else column.tolist() for column in self.columns.values()
        ]
        for row in zip(*parts):
            yield dict(zip(self._names, row))


@dataclass
class Workload:
    """A named, re-iterable set of examples with its columns described."""

    name: str
    schema: Schema
    examples: Sequence[Example]
    raw_bytes: int
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def key(self) -> str:
        """Folder name under which peers keep their copy."""
        return f"{self.name}-{len(self)}"


def _scaled(count: int, scale: float) -> int:
    return max(1, min(count, round(count * scale)))


def _from_columns(name: str, columns: dict[str, np.ndarray], scale: float) -> Workload:
    fields = tuple(
        array(key, column.dtype.str, *column.shape[1:]) if column.ndim > 1 else Field(key, "int")
        for key, column in columns.items()
    )
    raw = sum(c.nbytes if c.ndim > 1 else 8 * len(c) for c in columns.values())
    return Workload(name, Schema(fields), Rows(columns), raw, scale)


def _read_idx(path: Path) -> np.ndarray:
    data = gzip.decompress(path.read_bytes())
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def fashion(*, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """Fashion-MNIST's training set: 60,000 pictures of 28x28 with a label."""
    root = debian.unpack("dataset-fashion-mnist", cache=cache)
    if root is None:
        raise RuntimeError("the Debian package dataset-fashion-mnist could not be fetched")
    folder = root / "usr/share/datasets/fashion-mnist"
    images = _read_idx(folder / "train-images-idx3-ubyte.gz")
    labels = _read_idx(folder / "train-labels-idx1-ubyte.gz")
    count = _scaled(len(images), scale)
    columns = {"image": images[:count], "label": labels[:count].astype(np.int64)}
    return _from_columns("fashion", columns, scale)


def embeddings(*, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """200,000 vectors of 768 float16 (seeded normal) with an id."""
    count = _scaled(200_000, scale)
    vectors = np.empty((count, 768), np.float16)
    generator = np.random.default_rng(7)
    for start in range(0, count, 10_000):
        part = vectors[start : start + 10_000]
        part[:] = generator.standard_normal(part.shape, dtype=np.float32)
    columns = {"embedding": vectors, "id": np.arange(count, dtype=np.int64)}
    return _from_columns("embeddings", columns, scale)


def tokens(*, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """100,000 sequences of 2,048 uint16 token ids with a Zipf law, and a document number."""
    count = _scaled(100_000, scale)
    generator = np.random.default_rng(11)
    weights = 1.0 / np.arange(1, 50_001)
    cumulative = np.cumsum(weights / weights.sum())
    ids = generator.permutation(50_000).astype(np.uint16)
    out = np.empty((count, 2048), np.uint16)
    for start in range(0, count, 5_000):
        part = out[start : start + 5_000]
        part[:] = ids[np.searchsorted(cumulative, generator.random(part.shape) * cumulative[-1])]
    doc = np.cumsum(generator.integers(0, 2, count)).astype(np.int64)
    return _from_columns("tokens", {"tokens": out, "doc": doc}, scale)


def tokens_ranked(*, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """As tokens, with ids in order of frequency, about as tokenizers number them; `tokens` has them in no order."""
    count = _scaled(50_000, scale)
    generator = np.random.default_rng(11)
    cumulative = np.cumsum(1.0 / np.arange(1, 50_001))
    out = np.empty((count, 2048), np.uint16)
    for start in range(0, count, 5_000):
        part = out[start : start + 5_000]
        part[:] = np.searchsorted(cumulative, generator.random(part.shape) * cumulative[-1])
    return _from_columns("tokens_ranked", {"tokens": out, "doc": np.arange(count) // 3}, scale)


def text(*, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """Records of 100 to 1,000 bytes cut from Debian's documentation."""
    path = cache / "text.jsonl"
    if not path.exists():
        text_corpus.build(path, cache=cache)
    with path.open(encoding="utf-8") as lines:
        examples = [json.loads(line) for line in lines]
    examples = examples[: _scaled(len(examples), scale)]
    meta = (Field("source", "str"), Field("offset", "int"), Field("lines", "int"))
    schema = Schema((Field("id", "str"), Field("text", "str"), Field("meta", "dict", fields=meta)))
    return Workload("text", schema, examples, sum(map(raw_bytes, examples)), scale)


def jpeg(*, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """About 3,000 JPEG files of 20 to 200 KB, with the number of the picture they come from."""
    folder = cache / "jpeg"
    if not (folder / "labels.json").exists():
        pictures.build(folder, cache=cache)
    labels: dict[str, int] = json.loads((folder / "labels.json").read_text())
    names = sorted(labels)[: _scaled(len(labels), scale)]
    examples = [{"image": (folder / name).read_bytes(), "label": labels[name]} for name in names]
    schema = Schema((Field("image", "bytes"), Field("label", "int")))
    return Workload("jpeg", schema, examples, sum(map(raw_bytes, examples)), scale)


WORKLOADS: dict[str, Callable[..., Workload]] = {
    "fashion": fashion,
    "text": text,
    "jpeg": jpeg,
    "embeddings": embeddings,
    "tokens": tokens,
    "tokens_ranked": tokens_ranked,
}


def load(name: str, *, scale: float = 1.0, cache: Path = DEFAULT_CACHE) -> Workload:
    """The workload `name`, built on first use."""
    cache.mkdir(parents=True, exist_ok=True)
    print(f"loading workload {name} (scale {scale})", file=sys.stderr)
    return WORKLOADS[name](scale=scale, cache=cache)
