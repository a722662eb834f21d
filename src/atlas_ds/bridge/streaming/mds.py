"""Reads MDS, the folders of MosaicML Streaming: https://docs.mosaicml.com/projects/streaming

index.json names the shards; a shard is [samples: u32][offsets: u32 each, and the end][a copy of its
part of the index][samples]; a sample is the sizes of its values that have no fixed size, u32 each,
then the values. Encodings are in mds_values.py. Nothing is downloaded or unpickled.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from atlas_ds.bridge.compression.blocks import EXTRA, unpack
from atlas_ds.bridge.opening import inner_path
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.streaming.encoding import Column, decode_parts, infer_dtypes, notes_of
from atlas_ds.bridge.streaming.indexed import INDEX, Index, file_bytes, indexed_folders, names, number
from atlas_ds.bridge.streaming.mds_values import encoding_of
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError, UnsupportedError


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a shard as described by the index."""

    path: Path
    size: int
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Shard:
    """raw: the uncompressed file. packed: the compressed file, which is read if the raw one does
    not exist."""

    raw: Part
    packed: Part | None
    compression: str
    samples: int
    split: str | None
    encodings: tuple[tuple[str, str, object], ...]  # name, encoding, size
    place: str
    max_expansion: int


def read_mds(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """The samples of a folder with an index.json, or of a folder of such folders, which become
    splits."""
    folders = indexed_folders(path, "shards", options.follow_links)
    shards = [shard for folder, split, index in folders for shard in _shards(folder, split, index, options)]
    full = [shard for shard in shards if shard.samples]
    if not full:
        raise SchemaError(f"{path}: its shards have no samples; nothing to convert")
    for shard in full:
        if shard.encodings != full[0].encodings:
            raise SchemaError(f"{shard.place}: its columns differ from those of {full[0].place}; convert it separately")
    found = _columns(full[0])
    columns = infer_dtypes(found, (values for shard in full for values in _rows(shard, found, checked=False)))
    keys = [name for name, _ in columns]

    def examples() -> Iterator[Row]:
        for shard in full:
            for values in _rows(shard, columns, checked=True):
                yield values if isinstance(values, Refused) else dict(zip(keys, values, strict=True)), shard.split

    total = sum(shard.samples for shard in full)
    return Source("mds", examples, total, schema={name: encoding.spec for name, encoding in columns}, notes=notes_of(columns))


def _columns(shard: Shard) -> list[Column]:
    columns = []
    for name, text, size in shard.encodings:
        encoding = encoding_of(text, name, shard.place)
        if (size or None) != encoding.size:
            raise CorruptError(f"{shard.place}: column {name!r}: its size is {size}, but {text} has {encoding.size}; restore the file")
        columns.append((name, encoding))
    return columns


def _rows(shard: Shard, columns: Sequence[Column], *, checked: bool) -> Iterator[list[object] | Refused]:
    """The values of each sample. A missing or damaged file loses all its samples; a sample that
    cannot be decoded loses only itself."""
    try:
        data, offsets = _samples(shard, checked=checked)
    except AtlasError as error:
        yield Refused(error, shard.samples)
        return
    for at, (start, stop) in enumerate(pairwise(offsets.tolist())):
        try:
            values = _decode(bytes(data[start:stop]), columns, shard, at)
        except AtlasError as error:
            yield Refused(error)
        else:
            yield values


def _shards(folder: Path, split: str | None, index: Index, options: ReadOptions) -> Iterator[Shard]:
    for at, item in enumerate(index["shards"]):
        place = f"{folder / INDEX}: shard {at}"
        if item.get("format") != "mds" or item.get("version") != 2:
            form = f"{item.get('format')!r} version {item.get('version')!r}"
            raise UnsupportedError(f"{place}: the format is {form}, and only 'mds' version 2 is read; JSON lines and CSV are converted file by file")
        columns, encodings = names(item, "column_names", place), names(item, "column_encodings", place)
        sizes = item.get("column_sizes")
        if not columns or len(set(columns)) < len(columns) or not isinstance(sizes, list) or not len(columns) == len(encodings) == len(sizes):
            raise CorruptError(f"{place}: every column needs a unique name, an encoding and a size; restore the file")
        raw = _part(folder, item, "raw_data", place, options)
        if raw is None:
            raise CorruptError(f"{place}: raw_data is missing; restore the file")
        packed = _part(folder, item, "zip_data", place, options)
        samples = number(item, "samples", place)
        yield Shard(raw, packed, str(item.get("compression")), samples, split, tuple(zip(columns, encodings, sizes, strict=True)), place, options.max_expansion)


def _part(folder: Path, item: Index, name: str, place: str, options: ReadOptions) -> Part | None:
    part = item.get(name)
    if part is None:
        return None
    if not isinstance(part, dict) or not isinstance(part.get("hashes", {}), dict):
        raise CorruptError(f"{place}: {name} is not an object with a file's name, size and hashes; restore the file")
    path = inner_path(folder, part.get("basename"), f"{place}: {name}", follow_links=options.follow_links)
    return Part(path, number(part, "bytes", f"{place}: {name}"), part.get("hashes", {}))


def _samples(shard: Shard, *, checked: bool) -> tuple[memoryview, np.ndarray]:
    """The shard's bytes, and the checked offsets at which each sample begins and the last one
    ends."""
    data, path = _shard_bytes(shard, checked=checked)
    head = 4 * (shard.samples + 2)
    if len(data) < head:
        raise TruncatedError(f"{path}: byte {len(data):,}: ends inside the offsets of {shard.samples:,} samples; fetch it again")
    (count,) = struct.unpack_from("<I", data)
    if count != shard.samples:
        raise CorruptError(f"{path}: byte 0: {count:,} samples, but the index says {shard.samples:,}; fetch it again")
    offsets = np.frombuffer(data, "<u4", count + 1, 4).astype(np.int64)
    for bad in np.flatnonzero(np.diff(offsets) < 0)[:1]:
        raise CorruptError(f"{path}: sample {bad}: ends at byte {offsets[bad + 1]:,}, before it begins at {offsets[bad]:,}; fetch it again")
    if offsets[0] < head or offsets[-1] != len(data):
        raise CorruptError(f"{path}: samples from byte {offsets[0]:,} to {offsets[-1]:,} of {len(data):,}, but the header has {head:,}; fetch it again")
    return data, offsets


def _shard_bytes(shard: Shard, *, checked: bool) -> tuple[memoryview, Path]:
    if shard.packed is None or shard.raw.path.is_file():
        data = file_bytes(shard.raw.path, shard.raw.size)
        if checked:
            _check_hashes(data, shard.raw)
        return data, shard.raw.path
    packed = file_bytes(shard.packed.path, shard.packed.size)
    if checked:
        _check_hashes(packed, shard.packed)
    data = memoryview(unpack(packed, shard.compression, shard.raw.size, str(shard.packed.path), shard.max_expansion))
    if checked:
        _check_hashes(data, replace(shard.raw, path=shard.packed.path))
    return data, shard.packed.path


def _check_hashes(data: memoryview, part: Part) -> None:
    for name, wanted in part.hashes.items():
        found = _hasher(name, part.path)(data)
        if found != wanted:
            raise CorruptError(f"{part.path}: its {name} is {found}, but the index says {str(wanted)[:128]}; fetch it again")


def _hasher(name: str, path: Path) -> Callable[[memoryview], str]:
    if name in hashlib.algorithms_available and not name.startswith("shake_"):
        return lambda data: hashlib.new(name, data).hexdigest()
    try:
        import xxhash
    except ImportError as error:
        raise AtlasError(f"{path}: checking its {name} needs xxhash; install it: {EXTRA}") from error
    if name not in xxhash.algorithms_available:
        raise UnsupportedError(f"{path}: the hash {name!r} is not known; write the dataset with sha1 or xxh64")
    return lambda data: str(getattr(xxhash, name)(data).hexdigest())


def _decode(sample: bytes, columns: Sequence[Column], shard: Shard, at: int) -> list[object]:
    place = f"{shard.raw.path}: sample {at}"
    loose = sum(1 for _, encoding in columns if encoding.size is None)
    if len(sample) < 4 * loose:
        raise TruncatedError(f"{place}: {len(sample)} bytes, too few for the sizes of {loose} columns; fetch the file again")
    sizes = iter(struct.unpack_from(f"<{loose}I", sample))
    return decode_parts(sample, 4 * loose, [next(sizes) if encoding.size is None else encoding.size for _, encoding in columns], columns, place)
