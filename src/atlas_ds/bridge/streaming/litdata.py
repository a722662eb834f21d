"""Reads the folders that LitData's optimize writes:
https://lightning.ai/docs/overview/optimize-data

index.json names the chunks, the shape of a sample (data_spec) and the serializer of each leaf
(data_format); an item is the sizes of its leaves, u32 each, then the leaves. litdata_chunks.py
reads chunk files, litdata_values.py values. Nothing is downloaded, decrypted or unpickled.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from atlas_ds.bridge.arrow.files import ipc_rows
from atlas_ds.bridge.opening import inner_path
from atlas_ds.bridge.source import DEFAULTS, Example, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.streaming.encoding import Column, decode_parts, infer_dtypes, notes_of
from atlas_ds.bridge.streaming.indexed import INDEX, Index, IndexedFolder, indexed_folders, names, number
from atlas_ds.bridge.streaming.litdata_chunks import Chunk, arrow_tail, chunk_data, chunk_items
from atlas_ds.bridge.streaming.litdata_tree import Node, build, build_spec, inner_lists, leaf_names, optional_columns, parse_tree, typed_schema
from atlas_ds.bridge.streaming.litdata_values import encoding_of
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError, UnsupportedError

_LOADERS = {
    "ParquetLoader": "indexes Parquet files; convert those: --from parquet",
    "TemporalArrayLoader": "holds LitData's windows of frames; write the frames as arrays, or read them with LitData and add them to an AtlasDatasetWriter",
}
_TOKENS = "rows are the arrays that were passed to optimize; LitData splits them into blocks only when reading"


@dataclass(frozen=True, slots=True)
class Config:
    """What all chunks of a folder share. tokens: items are one flat array, without sizes."""

    tree: Node
    formats: tuple[str, ...]
    tokens: bool


def read_litdata(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """The items of a folder with an index.json, or of a folder of such folders, which become
    splits."""
    folders = indexed_folders(path, "chunks", options.follow_links)
    config, place = _one_config(folders)
    chunks = [chunk for folder, split, index in folders for chunk in _chunks(folder, split, index, options)]
    if not chunks:
        raise SchemaError(f"{path}: its chunks have no items; nothing to convert")
    plain, tabled = _look(chunks)
    columns = _columns(config, plain, place) if plain else ()  # tables do not use the serializers
    types = [index["config"].get("types") for _, _, index in folders]
    schema = typed_schema(types, config.tree.keys, place) if tabled else build_spec(config.tree, (encoding.spec for _, encoding in columns))

    def examples() -> Iterator[Row]:
        for chunk in chunks:
            for row in _rows(chunk, columns, config):
                if tabled and not isinstance(row, Refused):
                    row = {key: row.get(key) for key in schema} if isinstance(row, dict) else row
                yield cast(Example | Refused, row), chunk.split

    notes = () if tabled else _notes(config, columns, types)
    return Source("litdata", examples, sum(chunk.items for chunk in chunks), schema=schema, notes=notes)


def _look(chunks: Sequence[Chunk]) -> tuple[list[Chunk], bool]:
    """The chunks whose items are serialized, and whether others are tables. Damaged chunks are
    neither; if all are damaged, the first error is raised."""
    plain, tables = [], 0
    error: AtlasError | None = None
    for chunk in chunks:
        try:
            if arrow_tail(chunk_data(chunk), chunk.path) is None:
                plain.append(chunk)
            else:
                tables += 1
        except AtlasError as found:
            error = error or found
    if error is not None and not plain and not tables:
        raise error
    return plain, tables > 0


def _columns(config: Config, chunks: Sequence[Chunk], place: str) -> tuple[Column, ...]:
    columns = [(name, encoding_of(text, name, place)) for name, text in zip(leaf_names(config.tree), config.formats, strict=True)]
    return infer_dtypes(columns, (leaves for chunk in chunks for leaves in _items(chunk, chunk_data(chunk), columns, config)))


def _one_config(folders: list[IndexedFolder]) -> tuple[Config, str]:
    found = [(_config(index.get("config"), f"{folder / INDEX}"), f"{folder / INDEX}") for folder, _, index in folders]
    for config, place in found:
        if config != found[0][0]:
            raise SchemaError(f"{place}: its samples differ from those of {found[0][1]}; convert it separately")
    return found[0]


def _config(item: Any, place: str) -> Config:
    if not isinstance(item, dict):
        raise CorruptError(f"{place}: config is missing; restore the file")
    if item.get("encryption"):
        raise UnsupportedError(f"{place}: the chunks are encrypted; read them with LitData and its key, and add the samples to an AtlasDatasetWriter")
    loader = str(item.get("item_loader") or "PyTreeLoader")
    if loader not in ("PyTreeLoader", "TokensLoader"):
        raise UnsupportedError(f"{place}: item_loader {loader[:60]} {_LOADERS.get(loader, 'is not known; use LitData and an AtlasDatasetWriter')}")
    tree, formats = parse_tree(item.get("data_spec"), place), tuple(names(item, "data_format", place))
    leaves = list(leaf_names(tree))
    if len(leaves) != len(formats) or not leaves:
        raise CorruptError(f"{place}: data_spec has {len(leaves)} leaves, but data_format has {len(formats)}; restore the file")
    tokens = loader == "TokensLoader"
    if tokens and (len(formats) != 1 or not formats[0].startswith("no_header_")):
        raise UnsupportedError(f"{place}: tokens of format {', '.join(formats)}; only one flat array per sample is read; write the dataset again")
    return Config(tree, formats, tokens)


def _chunks(folder: Path, split: str | None, index: Index, options: ReadOptions) -> Iterator[Chunk]:
    zstd_items = index["config"].get("compression_level") == "sample"
    packed = f".{index['config'].get('compression')}.bin"
    for at, item in enumerate(index["chunks"]):
        place = f"{folder / INDEX}: chunk {at}"
        path = inner_path(folder, item.get("filename"), place, follow_links=options.follow_links)
        size, items = number(item, "chunk_bytes", place), number(item, "chunk_size", place)
        if path.name.endswith(packed) and not path.exists():
            path = path.with_name(path.name.removesuffix(packed) + ".bin")  # LitData's reader replaces the chunk by it
        if items:
            yield Chunk(path, size, items, split, zstd_items, options.max_expansion)


def _rows(chunk: Chunk, columns: Sequence[Column], config: Config) -> Iterator[Any]:
    """The rows of a chunk. Damage of the file loses all following rows; an item that cannot be
    decoded loses only itself."""
    done = 0
    try:
        data = chunk_data(chunk)
        tail = arrow_tail(data, chunk.path)
        if tail is not None:
            for row in ipc_rows(tail, chunk.items, str(chunk.path)):
                done += 1
                yield row
            return
        for leaves in _items(chunk, data, columns, config):
            done += leaves.rows if isinstance(leaves, Refused) else 1
            yield leaves if isinstance(leaves, Refused) else build(config.tree, iter(leaves))
    except AtlasError as error:
        yield Refused(error, chunk.items - done)


def _items(chunk: Chunk, data: memoryview, columns: Sequence[Column], config: Config) -> Iterator[list[object] | Refused]:
    """The leaves of each item. Refused: an item that cannot be decoded, or all following items
    if the chunk is damaged."""
    at = 0
    try:
        for item in chunk_items(chunk, data):
            found: list[object] | Refused
            try:
                found = item if isinstance(item, Refused) else _leaves(item, columns, config, f"{chunk.path}: item {at}")
            except AtlasError as error:
                found = Refused(error)
            at += found.rows if isinstance(found, Refused) else 1
            yield found
    except AtlasError as error:
        yield Refused(error, chunk.items - at)


def _leaves(item: bytes, columns: Sequence[Column], config: Config, place: str) -> list[object]:
    if config.tokens:
        return decode_parts(item, 0, [len(item)], columns, place)
    if len(item) < 4 * len(columns):
        raise TruncatedError(f"{place}: {len(item)} bytes, too few for the sizes of {len(columns)} columns; fetch the file again")
    return decode_parts(item, 4 * len(columns), struct.unpack_from(f"<{len(columns)}I", item), columns, place)


def _notes(config: Config, columns: Sequence[Column], types: list[object]) -> tuple[str, ...]:
    lists = tuple(f"{name}: a list of fixed length becomes a dict with the keys 0, 1, ..." for name in inner_lists(config.tree))
    gaps = sorted({name for found in types for name in optional_columns(found)})
    filled = tuple(f"{name}: some rows had no value, and LitData stored a default instead" for name in gaps)
    return (*notes_of(columns), *lists, *filled, *((_TOKENS,) if config.tokens else ()))
