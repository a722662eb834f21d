"""The interface of a peer (a dataset format under test) and the table of all peers."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.schema import Example, Schema

# Name: (module under benchmarks.peers, keyword options of its class Peer).
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "atlas": ("atlas", {}),
    "atlas-zstd": ("atlas", {"compression": "zstd"}),
    "atlas-lz4": ("atlas", {"compression": "lz4"}),
    "atlas-scan": ("atlas", {"access": "scan"}),
    "atlas-scan-1m": ("atlas", {"access": "scan", "block_size": "1MiB"}),
    "lmdb": ("lmdb", {}),
    "bagz": ("bagz", {}),
    "bagz-raw": ("bagz", {"compress": False}),
    "array-record": ("array_record", {}),
    "array-record-raw": ("array_record", {"codec": "uncompressed"}),
    "array-record-16": ("array_record", {"group_size": 16}),
    "h5py": ("h5py", {}),
    "datasets": ("datasets", {}),
    "vortex": ("vortex", {}),
    "vortex-compact": ("vortex", {"compact": True}),
    "lance": ("lance", {}),
    "mosaicml-streaming": ("mds", {}),
    "litdata": ("litdata", {}),
    "pickled-blocks": ("pickled_blocks", {}),
    "pickled-blocks-16": ("pickled_blocks", {"block": 16}),
    "pickled-blocks-dict": ("pickled_blocks", {"dictionary": True}),
    "parquet": ("parquet", {}),
    "memmap": ("memmap", {}),
}
RANDOM = frozenset({"get", "get_view", "batch", "epoch", "epoch_batches", "loader", "loader_no_workers"})


class Reader(ABC):
    """An open dataset; values equal the written ones and live in fresh memory."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def get(self, index: int) -> Example:
        """Example `index`."""

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Columns of the rows at `indices` (a NumPy array), in that order."""

    @abstractmethod
    def scan(self) -> Iterator[Example]:
        """All examples in order."""

    @abstractmethod
    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        """All rows in order, as columns of up to `size` rows."""

    def get_many(self, indices: list[int]) -> list[Example]:
        """Examples at `indices`; peers with a faster way than get override this."""
        return [self.get(index) for index in indices]

    def view(self, index: int) -> Example:
        """Example `index` without copying where the peer can (get_view only)."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - a peer without files has nothing to do
        """Release files."""


class BasePeer(ABC):
    """How to write and open one format with one choice of settings."""

    name = ""
    package = ""
    skipped: frozenset[str] = frozenset()
    has_view = False
    has_get_many = False
    start_method = "fork"

    @abstractmethod
    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        """Write a dataset at `path` (a file or a folder); the runner calls sync() after it."""

    @abstractmethod
    def open(self, path: Path, schema: Schema) -> Reader:
        """Open the dataset at `path`."""

    def supports(self, schema: Schema) -> bool:
        """Whether the format can hold these columns."""
        return True

    def answers(self, question: str, schema: Schema) -> bool:
        """Whether `question` makes sense for this peer."""
        if question in self.skipped or (question == "get_view" and not self.has_view):
            return False
        return self.supports(schema)

    def own_loader(self, path: Path, schema: Schema, batch: int, workers: int) -> Iterable[Any] | None:
        """Shuffled epochs as the peer makes them itself, another order each time; None where torch's DataLoader makes them."""
        return None

    def torch_dataset(self, path: Path, schema: Schema) -> TorchRows:
        """A map-style dataset for torch's DataLoader."""
        kind = TorchRowsMany if self.has_get_many else TorchRows
        return kind(self.name, path, schema)


class TorchRows:
    """Map-style dataset that opens its file in each process on first use."""

    def __init__(self, peer: str, path: Path, schema: Schema) -> None:
        self.peer, self.path, self.schema = peer, path, schema
        self._reader: Reader | None = None
        self._pid = -1
        with_reader = get(peer).open(path, schema)
        self._count = len(with_reader)
        with_reader.close()

    def __len__(self) -> int:
        return self._count

    @property
    def reader(self) -> Reader:
        """The reader of this process."""
        if self._reader is None or self._pid != os.getpid():
            self._reader = get(self.peer).open(self.path, self.schema)
            self._pid = os.getpid()
        return self._reader

    def __getitem__(self, index: int) -> Example:
        return self.reader.get(index)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}


class TorchRowsMany(TorchRows):
    """The same with torch's batched access."""

    def __getitems__(self, indices: list[int]) -> list[Example]:
        return self.reader.get_many(indices)


def get(name: str) -> BasePeer:
    """The peer `name`; raises ImportError where its package is missing."""
    module, options = PEERS[name]
    peer = importlib.import_module(f"benchmarks.peers.{module}").Peer(**options)
    peer.name = name
    return peer


def files(path: Path) -> list[Path]:
    """The regular files of a dataset."""
    return [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]


def size_bytes(path: Path) -> int:
    """Total length of the files of a dataset."""
    return sum(part.stat().st_size for part in files(path))


def warm(path: Path) -> None:
    """Read every file of a dataset once, so that it lies in the page cache."""
    for part in files(path):
        with part.open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


def sync(path: Path) -> None:
    """fsync every file and folder of a dataset."""
    folders = [p for p in path.rglob("*") if p.is_dir()] if path.is_dir() else []
    for part in [*files(path), *folders, path, path.parent]:
        handle = os.open(part, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
