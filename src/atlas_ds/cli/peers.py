"""Other formats for `atlas-ds bench --compare`. Each writes the same examples and reads them in its usual way.

Peers without columns (lmdb, arrayrecord, bagz) store an example as one pickle, which is fastest for them. They are
written and read only here, in a temporary folder. A library is imported only when its peer is used.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from atlas_ds.cli.measure import Reader

Example = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """`module`: what must be importable. `pip`: the package that provides it."""

    module: str
    pip: str
    write: Callable[[Path, Sequence[Example]], object]
    open: Callable[[Path, int], Reader]


def installed(peer: Peer) -> bool:
    """Whether the peer's library can be imported; it is not imported to find out."""
    try:
        return find_spec(peer.module) is not None
    except ModuleNotFoundError:
        return False


def _plain(value: Any) -> Any:
    """Media as bytes, as other formats would store it."""
    return value.data if hasattr(value, "type") and hasattr(value, "data") and not isinstance(value, np.ndarray) else value


def _plain_example(example: Example) -> dict[str, Any]:
    return {name: _plain(value) for name, value in example.items()}


def _packed(examples: Sequence[Example]) -> Iterator[bytes]:
    return (pickle.dumps(_plain_example(example), protocol=5) for example in examples)


def _by_rows(get: Callable[[int], object], rows: int, close: Callable[[], object] = lambda: None) -> Reader:
    """A reader for formats that can only read single rows."""
    return Reader(get, lambda idx: [get(i) for i in idx], lambda: (get(i) for i in range(rows)), close)


def _write_lmdb(path: Path, examples: Sequence[Example]) -> None:
    import lmdb

    packed = list(_packed(examples))
    with lmdb.open(str(path), map_size=4 * sum(map(len, packed)) + (1 << 24)) as env, env.begin(write=True) as put:
        for i, data in enumerate(packed):
            put.put(i.to_bytes(8, "big"), data)


def _open_lmdb(path: Path, rows: int) -> Reader:
    import lmdb

    env = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
    view: Any = env.begin(buffers=True)

    def close() -> None:
        view.abort()
        env.close()

    return _by_rows(lambda i: pickle.loads(view.get(i.to_bytes(8, "big"))), rows, close)


def _write_hf(path: Path, examples: Sequence[Example]) -> None:
    import datasets

    datasets.disable_progress_bars()
    rows = [_plain_example(example) for example in examples]
    ds = datasets.Dataset.from_list(rows)
    for name, value in rows[0].items():
        shapes = {np.shape(row[name]) for row in rows} if isinstance(value, np.ndarray) and 2 <= value.ndim <= 5 else ()
        if len(shapes) == 1:  # its own type for arrays; nested lists would be unfairly slow
            ds = ds.cast_column(name, getattr(datasets, f"Array{value.ndim}D")(value.shape, str(value.dtype)))
    ds.save_to_disk(str(path))


def _open_hf(path: Path, rows: int) -> Reader:
    import datasets

    ds = datasets.load_from_disk(str(path)).with_format("numpy")
    return Reader(lambda i: ds[i], lambda idx: ds[list(idx)], lambda: iter(ds))


def _write_parquet(path: Path, examples: Sequence[Example]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir()
    rows = [{name: _listed(value) for name, value in _plain_example(example).items()} for example in examples]
    pq.write_table(pa.Table.from_pylist(rows), path / "data.parquet", row_group_size=1024)


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _open_parquet(path: Path, rows: int) -> Reader:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path / "data.parquet", memory_map=True)

    def get(i: int) -> object:
        return file.read_row_group(i // 1024).slice(i % 1024, 1).to_pylist()[0]

    def batch(idx: Sequence[int]) -> object:
        groups = {group: file.read_row_group(group) for group in {i // 1024 for i in idx}}
        return [groups[i // 1024].slice(i % 1024, 1).to_pylist()[0] for i in idx]

    def scan() -> Iterator[object]:
        for part in file.iter_batches():
            yield from part.to_pylist()

    return Reader(get, batch, scan, file.close)


def _write_h5py(path: Path, examples: Sequence[Example]) -> None:
    import h5py

    path.mkdir()
    rows = [_plain_example(example) for example in examples]
    with h5py.File(path / "data.h5", "w") as file:
        for name in rows[0]:
            values = [row[name] for row in rows]
            shapes = {np.shape(v) for v in values}
            if all(isinstance(v, (bool, int, float, np.generic, np.ndarray)) for v in values) and len(shapes) == 1:
                file.create_dataset(name, data=np.stack([np.asarray(v) for v in values]))
                continue
            cells = file.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(np.uint8))
            for i, value in enumerate(values):
                cells[i] = np.frombuffer(value if isinstance(value, bytes) else pickle.dumps(value, protocol=5), np.uint8)


def _open_h5py(path: Path, rows: int) -> Reader:
    import h5py

    file = h5py.File(path / "data.h5", "r")
    columns = {name: file[name] for name in file}

    def batch(idx: Sequence[int]) -> object:
        order, back = np.unique(np.asarray(idx), return_inverse=True)  # h5py wants ascending, distinct numbers
        return {name: column[order][back] for name, column in columns.items()}

    def scan() -> Iterator[object]:
        for start in range(0, rows, 256):
            part = {name: column[start : start + 256] for name, column in columns.items()}
            yield from (dict(zip(part, values, strict=True)) for values in zip(*part.values(), strict=True))

    return Reader(lambda i: {name: column[i] for name, column in columns.items()}, batch, scan, file.close)


def _write_arrayrecord(path: Path, examples: Sequence[Example]) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    path.mkdir()
    writer = ArrayRecordWriter(str(path / "data.array_record"), "group_size:1")
    for data in _packed(examples):
        writer.write(data)
    writer.close()


def _open_arrayrecord(path: Path, rows: int) -> Reader:
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    source = ArrayRecordDataSource([str(path / "data.array_record")])
    return Reader(
        lambda i: pickle.loads(source[i]),
        lambda idx: [pickle.loads(data) for data in source.__getitems__(list(idx))],
        lambda: (pickle.loads(source[i]) for i in range(rows)),
    )


def _write_bagz(path: Path, examples: Sequence[Example]) -> None:
    import bagz

    path.mkdir()
    with bagz.Writer(path / "data.bagz") as writer:
        for data in _packed(examples):
            writer.write(data)


def _open_bagz(path: Path, rows: int) -> Reader:
    import bagz

    reader = bagz.Reader(path / "data.bagz")
    return Reader(
        lambda i: pickle.loads(reader[i]),
        lambda idx: [pickle.loads(data) for data in reader.read_indices(list(idx))],
        lambda: (pickle.loads(data) for data in reader),
    )


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "lmdb": Peer("lmdb", "lmdb", _write_lmdb, _open_lmdb),
        "hf": Peer("datasets", "datasets", _write_hf, _open_hf),
        "h5py": Peer("h5py", "h5py", _write_h5py, _open_h5py),
        "parquet": Peer("pyarrow", "pyarrow", _write_parquet, _open_parquet),
        "arrayrecord": Peer("array_record", "array-record", _write_arrayrecord, _open_arrayrecord),
        "bagz": Peer("bagz", "bagz", _write_bagz, _open_bagz),
    }
)
