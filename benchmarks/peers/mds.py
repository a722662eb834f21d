"""MosaicML Streaming: shards of 64 MB on the local disk, uncompressed, which is its fastest to read."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import BasePeer
from benchmarks.peers.rows import Reader as RowsReader
from benchmarks.schema import Example, Field, Schema, nest, pick


def _stand_ins() -> None:
    """Only `streaming.base` is imported: the rest of the package wants torchvision, and its loader two classes of transformers."""
    spec = importlib.util.find_spec("streaming")
    if spec is None:
        raise ImportError("No module named 'streaming'")

    def module(name: str, **names: Any) -> None:
        sys.modules.setdefault(name, types.ModuleType(name)).__dict__.update(names)

    module("streaming", __path__=list(spec.submodule_search_locations or ()))
    module("transformers", __path__=[])
    module("transformers.feature_extraction_utils", BatchFeature=type("BatchFeature", (), {}))
    module("transformers.tokenization_utils_base", BatchEncoding=type("BatchEncoding", (), {}))


_stand_ins()

from streaming.base import MDSWriter, StreamingDataset  # noqa: E402

for _name in [name for name in sys.modules if name.split(".")[0] == "transformers"]:
    del sys.modules[_name]  # other peers look for the real one


def encoding(field: Field) -> str:
    if field.kind == "array":
        return f"ndarray:{np.dtype(field.dtype).name}:{','.join(map(str, field.shape))}"
    return {"int": "int", "str": "str", "bytes": "bytes"}[field.kind]


class Reader(RowsReader):
    """ds[i] of a StreamingDataset without a remote."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.data = StreamingDataset(local=str(path), batch_size=1)
        self.flat = all(len(where) == 1 for where, _ in schema.leaves())
        super().__init__(schema, self.data.num_samples)

    def get(self, index: int) -> Example:
        found = self.data[index]
        return found if self.flat else nest({where: found["/".join(where)] for where, _ in self.schema.leaves()})


class Peer(BasePeer):
    """A column for each leaf."""

    package = "mosaicml-streaming"

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        leaves = list(schema.leaves())
        columns = {"/".join(where): encoding(field) for where, field in leaves}
        with MDSWriter(out=str(path), columns=columns, progress_bar=False) as writer:
            for example in examples:
                writer.write({"/".join(where): pick(example, where) for where, _ in leaves})

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)

    def own_loader(self, path: Path, schema: Schema, batch: int, workers: int) -> Iterable[Any] | None:
        from torch.utils.data import DataLoader

        data = StreamingDataset(local=str(path), batch_size=batch, shuffle=True, num_canonical_nodes=1)
        return DataLoader(data, batch_size=batch, num_workers=workers, persistent_workers=True, drop_last=True)


