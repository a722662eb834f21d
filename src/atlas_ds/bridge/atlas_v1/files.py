"""The checked files of a torch-atlas-ds dataset (version 1), and its decompressed blocks.

Everything that can be checked without unpickling is checked here. reader.py reads the blocks:
nothing in this file unpickles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atlas_ds.bridge.compression.blocks import check_expansion
from atlas_ds.bridge.compression.reading import FREE_BYTES, MAX_EXPANSION
from atlas_ds.bridge.opening import Missing, check_inside, map_bytes, open_regular, read_all, read_json, unreadable
from atlas_ds.bridge.source import Refused
from atlas_ds.bridge.values.npy import view_npy
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError, UnsupportedError

NONE, PLAIN, SHARED, OWN = range(4)  # compression_strategy
MAX_BLOCK = 4 << 30  # bytes of a block before compression: one block is held in memory at a time
MAX_META = 64 << 20  # a meta.json is a few bytes per shard
MAX_DICTIONARY = 1 << 30  # those of zstd have 112 KB by default
META, DATA, INDEX, DICTIONARY = "meta.json", "data.bin", "index.npy", "zstd_dict.bin"
Decompress = Callable[[int, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard whose files are consistent, or with the error that says why they are not. offsets:
    where each block begins, then the end; dictionary: the one that its blocks need, if any."""

    folder: Path
    rows: int
    block_size: int
    compressed: bool
    offsets: npt.NDArray[np.unsignedinteger[Any]]
    dictionary: bytes | None
    error: AtlasError | None = None

    def rows_of(self, block: int) -> int:
        """Examples that a block must have: block_size, or the remaining ones in the last block."""
        return min(self.block_size, self.rows - block * self.block_size)


@dataclass(frozen=True, slots=True)
class Layout:
    """The existing shards in order, and the missing ones as (number, rows)."""

    shards: tuple[Shard, ...]
    missing: tuple[tuple[int, int], ...]
    rows: int


def looks_like_v1(folder: Path) -> bool:
    """Whether a folder is a dataset or a shard of version 1. If its meta.json is damaged, the
    shards' files decide."""
    if not (folder / META).is_file():
        return False
    try:
        meta = read_meta(folder)
    except CorruptError:
        return (folder / INDEX).is_file() or any(folder.glob(f"[0-9]*/{INDEX}"))
    return "shard_sizes" in meta or {"block_size", "stored_examples"} <= set(meta)


def read_layout(path: Path, *, follow_links: bool = False) -> Layout:
    """All shards of a dataset, or of a single shard's folder, checked. Nothing is decompressed.
    follow_links: to files outside of the folder."""
    for file in (path / META, path / DICTIONARY):
        check_inside(path, file, follow_links)
    meta = read_meta(path)
    if "stored_examples" in meta:
        for name in (DATA, INDEX):
            check_inside(path, path / name, follow_links)
        shard = read_shard(path, path.parent, meta)
        return Layout((shard,), (), shard.rows)
    check_version(path, meta)
    sizes = meta.get("shard_sizes")
    if not isinstance(sizes, list) or not all(is_count(size) for size in sizes):
        raise CorruptError(f"{path / META}: shard_sizes must be a list of integers of 0 or more; restore the file")
    folders = shard_folders(path, len(sizes))
    for file in (folder / name for folder in folders.values() for name in (META, DATA, INDEX, DICTIONARY)):
        check_inside(path, file, follow_links)
    shards = []
    for number, folder in sorted(folders.items()):
        shards.append(shard_or_error(folder, path, sizes[number], number))
    missing = tuple((number, sizes[number]) for number in range(len(sizes)) if number not in folders)
    return Layout(tuple(shards), missing, sum(sizes))


def shard_or_error(folder: Path, root: Path, rows: int, number: int) -> Shard:
    """A shard that must have this many rows. A damaged one is returned with its error if it has
    rows to lose."""
    try:
        shard = read_shard(folder, root, read_meta(folder))
        if shard.rows != rows:
            listed = f"{root / META} lists {rows:,} for shard {number}"
            raise CorruptError(f"{folder / META}: stored_examples is {shard.rows:,}, but {listed}; restore the shard")
    except AtlasError as error:
        if not rows:
            raise
        return Shard(folder, rows, rows, False, np.empty(0, np.uint64), None, error)
    return shard


def shard_folders(path: Path, count: int) -> dict[int, Path]:
    """The shards' folders by number, padded or not: a writer that was killed at the end left
    them unpadded."""
    found: dict[int, Path] = {}
    for folder in sorted(path.iterdir()):
        if not (folder.is_dir() and folder.name.isascii() and folder.name.isdigit()):
            continue
        number = int(folder.name)
        if number in found:
            raise CorruptError(f"{folder}: has the same number as {found[number].name}, so it is unclear which is shard {number}; move one of them away")
        if number >= count:
            cure = "move the folder away, and import it separately if it is intact"
            raise CorruptError(f"{folder}: {path / META} lists {count} shards, 0 to {count - 1}; {cure}")
        found[number] = folder
    return found


def read_meta(folder: Path) -> dict[str, Any]:
    file = folder / META
    try:
        meta = read_json(file, MAX_META)
    except Missing:
        what = "its writer was killed before the end; intact shard folders in it can be imported one by one" if folder.is_dir() else "check the path"
        raise TruncatedError(f"{file}: is missing: {what}") from None
    if not isinstance(meta, dict):
        raise CorruptError(f"{file}: not a JSON object; restore the file")
    return meta


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def check_version(folder: Path, meta: dict[str, Any]) -> None:
    version = meta.get("version")
    if version != 1:
        raise UnsupportedError(f"{folder / META}: version {version!r}; only version 1 of torch-atlas-ds can be read")


def read_shard(folder: Path, root: Path, meta: dict[str, Any]) -> Shard:
    """One shard, with all its files checked against each other. root: the folder of a shared
    dictionary."""
    check_version(folder, meta)
    rows, block_size = meta.get("stored_examples"), meta.get("block_size")
    if not isinstance(rows, int) or not is_count(rows):
        raise CorruptError(f"{folder / META}: stored_examples is {rows!r}, not an integer of 0 or more; restore the file")
    if not isinstance(block_size, int) or not is_count(block_size) or block_size == 0:
        raise CorruptError(f"{folder / META}: block_size is {block_size!r}, not an integer of 1 or more; restore the file")
    strategy = strategy_of(folder, meta)
    offsets = read_index(folder, -(-rows // block_size))
    return Shard(folder, rows, block_size, strategy != NONE, offsets, read_dictionary(folder, root, strategy))


def strategy_of(folder: Path, meta: dict[str, Any]) -> int:
    """compression_strategy; a pre-release wrote two bools instead."""
    if "compression_strategy" not in meta and isinstance(meta.get("compression_enabled"), bool):
        if not meta["compression_enabled"]:
            return NONE
        return OWN if meta.get("use_compression_dict") else PLAIN
    strategy = meta.get("compression_strategy")
    if type(strategy) is not int or strategy not in (NONE, PLAIN, SHARED, OWN):
        raise CorruptError(f"{folder / META}: compression_strategy is {strategy!r}, not 0, 1, 2 or 3; restore the file")
    return strategy


def read_index(folder: Path, blocks: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The memory-mapped offsets of the blocks, checked to ascend and to end at the size of
    data.bin."""
    file = folder / INDEX
    try:
        index = view_npy(map_bytes(file), str(file))
    except Missing:
        raise TruncatedError(f"{file}: is missing; restore the shard") from None
    except (CorruptError, UnsupportedError, LimitError) as error:
        raise CorruptError(f"{file}: not a readable array: {str(error).removeprefix(f'{file}: ')}") from error
    if index.ndim != 1 or index.dtype.kind != "u":
        raise CorruptError(f"{file}: {index.dtype} of shape {index.shape}, not one row of unsigned integers; restore the file")
    if len(index) != blocks + 1:
        raise CorruptError(f"{file}: {len(index):,} offsets, but {blocks:,} blocks (stored_examples / block_size) need {blocks + 1:,}; restore the shard")
    if index[0] != 0:
        raise CorruptError(f"{file}: the first offset is {index[0]}, not 0; restore the file")
    wrong = np.flatnonzero(index[1:] <= index[:-1])
    if len(wrong):
        block = int(wrong[0])
        raise CorruptError(f"{file}: block {block} begins at {index[block]} and ends at {index[block + 1]}: offsets must ascend; restore the file")
    size = size_of(folder / DATA)
    if int(index[-1]) != size:
        raise CorruptError(f"{folder / DATA}: has {size:,} bytes, but the index ends at {int(index[-1]):,}; restore the shard")
    return index


def size_of(data: Path) -> int:
    """The size of data.bin; a shard without examples has no such file."""
    try:
        return data.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unreadable(data, error) from error


def read_dictionary(folder: Path, root: Path, strategy: int) -> bytes | None:
    """The dictionary that a shard's blocks need. The other folder is also searched: a killed
    writer may already have moved it."""
    if strategy not in (SHARED, OWN):
        return None
    places = (root, folder) if strategy == SHARED else (folder, root)
    for place in places:
        with suppress(Missing):
            return read_all(place / DICTIONARY, MAX_DICTIONARY)
    raise CorruptError(f"{places[0] / DICTIONARY}: is missing, and the blocks of {folder} cannot be decompressed without it; restore the file")


def blocks_of(shard: Shard, max_expansion: int = MAX_EXPANSION) -> Iterator[tuple[int, bytes | Refused]]:
    """Each block's number and its decompressed bytes, one at a time; Refused if it cannot be
    decompressed."""
    if shard.rows == 0:
        return
    decompress = decompressor(shard, max_expansion)
    offsets = shard.offsets
    try:
        with open_regular(shard.folder / DATA) as file:
            for block in range(len(offsets) - 1):
                size = int(offsets[block + 1]) - int(offsets[block])
                if size > MAX_BLOCK:
                    raise LimitError(f"{shard.folder}: block {block}: {size:,} bytes, more than {MAX_BLOCK:,}")
                data = file.read(size)
                if len(data) != size:
                    raise TruncatedError(f"{shard.folder / DATA}: block {block}: {len(data):,} of {size:,} bytes; was the file changed while it was read?")
                yield block, _attempt(decompress, block, data, shard.rows_of(block))
    except OSError as error:
        raise unreadable(shard.folder / DATA, error) from error


def _attempt(decompress: Decompress, block: int, data: bytes, rows: int) -> bytes | Refused:
    try:
        return decompress(block, data)
    except (CorruptError, LimitError) as error:
        return Refused(error, rows)


def decompressor(shard: Shard, max_expansion: int) -> Decompress:
    """A function of (block, stored bytes) for the blocks of a shard."""
    if not shard.compressed:
        return lambda block, data: data
    zstandard = need_zstandard()
    try:
        dictionary = None if shard.dictionary is None else zstandard.ZstdCompressionDict(shard.dictionary)
        context = zstandard.ZstdDecompressor(dict_data=dictionary)
    except zstandard.ZstdError as error:
        raise CorruptError(f"{shard.folder}: its zstd dictionary cannot be used: {error}; restore {DICTIONARY}") from error

    def decompress(block: int, data: bytes) -> bytes:
        place = f"{shard.folder}: block {block}"
        try:
            size = zstandard.get_frame_parameters(data).content_size
            known = size != zstandard.CONTENTSIZE_UNKNOWN
            if known and size > MAX_BLOCK:
                raise LimitError(f"{place}: declares {size:,} bytes, more than {MAX_BLOCK:,}")
            if not known:  # torch-atlas-ds writes no such frames
                limit = min(MAX_BLOCK, max(FREE_BYTES, max_expansion * len(data)))
                with context.stream_reader(data) as reader:
                    size = len(reader.read(limit + 1))
            check_expansion(len(data), size, place, max_expansion)
            return bytes(context.decompress(data, max_output_size=0 if known else max(size, 1), allow_extra_data=False))
        except zstandard.ZstdError as error:
            raise CorruptError(f"{place}: not one complete zstd frame of this shard: {error}; restore the shard") from error
        except MemoryError:
            raise LimitError(f"{place}: does not fit into memory decompressed") from None

    return decompress


def need_zstandard() -> Any:
    try:
        import zstandard
    except ImportError as cause:
        raise AtlasError("compressed datasets of torch-atlas-ds need zstandard: pip install 'atlas-ds[torch-atlas-ds]'") from cause
    return zstandard
