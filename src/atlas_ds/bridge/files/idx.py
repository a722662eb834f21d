"""Reads IDX files, the MNIST family's format, plain or gzipped: http://yann.lecun.com/exdb/mnist/

A single file has rows {"value": row}. A folder of images and labels has rows {"image", "label"};
several pairs (train-..., t10k-...) become splits. Files are paired by name and must agree in their
counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.opening import check_inside, open_binary, unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Row, Source
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, TruncatedError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 8
IDX_NAME = re.compile(r"[-.]idx\d-ubyte(\.gz)?$")  # the usual names: a file with such a name and other content is damaged, not left out
MAX_BYTES = 1 << 34  # the array is held in memory; 16 GiB is 5,000 times MNIST
PIECE = 1 << 24
SPLIT_OF = {"t10k": "test", "test": "test", "train": "train", "val": "val", "valid": "val", "extra": "extra"}


@dataclass(frozen=True, slots=True)
class Header:
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]


def looks_like_idx(head: bytes) -> bool:
    """True if the first four bytes, after any gzip, are an IDX magic number."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES and 1 <= head[3] <= MAX_AXES


def read_idx(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """The source for one IDX file, or for a folder of images and labels."""
    if path.is_dir():
        return _read_pairs(path, idx_files(path), options)
    header = read_header(path, options.max_expansion)
    _require_rows(path, header)

    def examples() -> Iterator[Row]:
        array = read_array(path, options.max_expansion)
        for value in array:
            yield {"value": value}, None

    return Source("idx", examples, header.shape[0])


def idx_files(folder: Path) -> list[Path]:
    """The IDX files directly in a folder, sorted by name; a gzipped copy of a plain file is left
    out."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or (path.suffix == ".gz" and path.with_suffix("").exists()):
            continue
        try:
            with open_binary(path) as file:
                head = file.read(4)
        except (OSError, AtlasError):
            head = b""
        if looks_like_idx(head) or IDX_NAME.search(path.name):
            found.append(path)
    return found


def read_header(path: Path, max_expansion: int = MAX_EXPANSION) -> Header:
    """Element type and shape, in the machine's byte order."""
    data = _read(path, 4, max_expansion)
    if not looks_like_idx(data):
        raise CorruptError(f"{path}: byte 0: begins with {data.hex(' ') or 'nothing'}, not an IDX magic number")
    data = _read(path, 4 + 4 * data[3], max_expansion)
    if len(data) < 4 + 4 * data[3]:
        raise TruncatedError(f"{path}: byte {len(data)}: the file ends inside its header; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", offset=4))
    return Header(np.dtype(DTYPES[data[2]]), shape)


def read_array(path: Path, max_expansion: int = MAX_EXPANSION) -> npt.NDArray[np.generic]:
    """The complete array, after checking that the file is exactly as long as its header says."""
    header = read_header(path, max_expansion)
    start = 4 + 4 * len(header.shape)
    size = start + math.prod(header.shape) * header.dtype.itemsize
    if size > MAX_BYTES:
        raise LimitError(f"{path}: byte 4: the shape {header.shape} needs {size:,} bytes; the limit is {MAX_BYTES:,}")
    data = _read(path, size + 1, max_expansion)
    if len(data) < size:
        raise TruncatedError(f"{path}: byte {len(data):,}: the header declares {size:,} bytes; fetch the file again")
    if len(data) > size:
        raise CorruptError(f"{path}: byte {size:,}: more bytes follow than the header declares; fetch the file again")
    array = np.frombuffer(data, header.dtype, offset=start).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _read(path: Path, size: int, max_expansion: int) -> bytes:
    """At most `size` bytes, read in pieces: a crafted header must not cause one huge allocation."""
    pieces, left = [], size
    try:
        with open_binary(path, max_expansion) as file:
            while left and (piece := file.read(min(left, PIECE))):
                pieces.append(piece)
                left -= len(piece)
    except OSError as error:
        raise unreadable(path, error) from error
    except MemoryError:
        raise LimitError(f"{path}: does not fit into memory") from None
    return b"".join(pieces)


def _require_rows(path: Path, header: Header) -> None:
    if header.shape[0] == 0:
        raise SchemaError(f"{path}: the first axis is 0; nothing to convert")
    if 0 in header.shape:
        raise SchemaError(f"{path}: byte 4: the shape {header.shape} has rows without values; nothing to convert")


def _read_pairs(folder: Path, files: list[Path], options: ReadOptions) -> Source:
    for path in files:
        check_inside(folder, path, options.follow_links)
    pairs, limit = _pair(folder, files), options.max_expansion
    total = 0
    for images, labels in pairs.values():
        counts = read_header(images, limit).shape[0], read_header(labels, limit).shape[0]
        if counts[0] != counts[1]:
            raise SchemaError(f"{images}: {counts[0]:,} images, but {labels.name} has {counts[1]:,} labels")
        _require_rows(images, read_header(images, limit))
        total += counts[0]

    def examples() -> Iterator[Row]:
        for split, (images, labels) in pairs.items():
            numbers = read_array(labels, limit).tolist()
            for image, label in zip(read_array(images, limit), numbers, strict=True):
                yield {"image": image, "label": label}, split or None

    notes = tuple(f"{images.name} with {labels.name}" for images, labels in pairs.values())
    return Source("idx", examples, total, notes=notes)


def _pair(folder: Path, files: list[Path]) -> dict[str, tuple[Path, Path]]:
    """Split name ("" if there is one pair only) -> images and labels, train first."""
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for path in files:
        word = re.search(r"images|labels", path.name)
        if word is None:
            raise SchemaError(f"{path}: neither 'images' nor 'labels' in the name; rename it, or convert the file alone")
        side = images if word[0] == "images" else labels
        prefix = path.name[: word.start()].strip("-_.")
        if prefix in side:
            raise SchemaError(f"{path}: the same {word[0]} as {side[prefix].name}; remove one of them")
        side[prefix] = path
    unpaired = sorted(images.keys() ^ labels.keys())
    if unpaired or not images:
        name = (images.get(unpaired[0]) or labels[unpaired[0]]) if unpaired else folder
        raise SchemaError(f"{name}: has no counterpart; images and labels are paired by the part of the name before these words")
    if len(images) == 1:
        prefix = next(iter(images))
        return {"": (images[prefix], labels[prefix])}
    named: dict[str, tuple[Path, Path]] = {}
    for prefix in sorted(images, key=lambda p: (_split_name(p) != "train", p)):
        split = _split_name(prefix)
        named[prefix if split in named else split] = (images[prefix], labels[prefix])
    return named


def _split_name(prefix: str) -> str:
    last = re.split(r"[-_.]", prefix)[-1]
    return SPLIT_OF.get(last, prefix or "train")
