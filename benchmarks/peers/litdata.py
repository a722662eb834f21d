"""LitData: chunks of 64 MB on the local disk, uncompressed, which is its fastest to read."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.peers import BasePeer
from benchmarks.peers.rows import Reader as RowsReader
from benchmarks.schema import Example, Schema, nest, pick

# Its clients of object stores, which nothing here uses.
ABSENT = """boto3 botocore botocore.config botocore.credentials botocore.exceptions botocore.session botocore.utils requests requests.adapters
requests.exceptions urllib3 urllib3.util urllib3.util.retry"""

if importlib.util.find_spec("litdata") is None:
    raise ImportError("No module named 'litdata'")
for _name in ABSENT.split():
    sys.modules.setdefault(_name, mock.MagicMock(__path__=[], __spec__=None))

from litdata import StreamingDataLoader, StreamingDataset  # noqa: E402
from litdata.streaming.writer import BinaryWriter  # noqa: E402


class Reader(RowsReader):
    """ds[i] of a StreamingDataset of a local folder. Arrays come back as NumPy's, of the shape they were written with."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.data = StreamingDataset(str(path))
        self.flat = all(len(where) == 1 for where, _ in schema.leaves())
        super().__init__(schema, len(self.data))

    def get(self, index: int) -> Example:
        found = self.data[index]
        return found if self.flat else nest({where: found["/".join(where)] for where, _ in self.schema.leaves()})


class Peer(BasePeer):
    """The writer that `litdata.optimize` runs in its workers, in this process."""

    package = "litdata"

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        leaves = [where for where, _ in schema.leaves()]
        path.mkdir(parents=True, exist_ok=True)
        writer = BinaryWriter(str(path), chunk_bytes="64MB")
        for number, example in enumerate(examples):
            writer.add_item(number, {"/".join(where): pick(example, where) for where in leaves})
        writer.done()
        writer.merge()

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)

    def own_loader(self, path: Path, schema: Schema, batch: int, workers: int) -> Iterable[Any] | None:
        data = StreamingDataset(str(path), shuffle=True, drop_last=True)
        return StreamingDataLoader(data, batch_size=batch, num_workers=workers, persistent_workers=True)
