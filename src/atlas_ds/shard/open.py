"""Opens shard files: over mapped memory, or over spans that are filled when blocks are needed. Errors name the file and say what to do."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from atlas_ds import _core
from atlas_ds._core.base import HEADER_BYTES, INDEX_BYTES, MAX_FOOTER_BYTES, TRAILER_BYTES, LeafFlags, LeafKind, States
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError
from atlas_ds.schema.schema import Schema, schema_from_json
from atlas_ds.schema.types import Field, Struct
from atlas_ds.shard.info import ShardInfo, chunk_of
from atlas_ds.store.filling import Filling
from atlas_ds.store.mirror import MirrorFailed
from atlas_ds.store.requests import MAX_REQUESTS, measured
from atlas_ds.store.span import Span, open_mapped
from atlas_ds.store.store import FileInfo, Store, Want, place_of

MAX_TRUSTED_TAIL = 16 << 20  # bytes at the end of a file that are read because the manifest says that they are the footer
MAX_TAIL = MAX_FOOTER_BYTES + (1 << 20)  # that a footer and a trailer can have


class ShardFile(NamedTuple):
    """What is known of a shard before it is opened. tail: bytes from the footer to the end; None: unknown. root: of its hashes; "": it is not to be kept
    in a cache."""

    name: str
    size: int
    tail: int | None
    root: str = ""


def open_shard(path: Path, *, truncated: bool = False) -> _core.Shard:
    """Opens a shard over the mapped file. truncated: salvage wrote it."""
    try:
        return _core.Shard(open_mapped(path), str(path), cut=truncated)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: file not found") from None
    except ValueError as cause:
        raise named(cause, str(path)) from None


def named(cause: ValueError, place: str) -> ValueError:
    """The error of a file that cannot be a shard."""
    return cause if isinstance(cause, AtlasError) else TruncatedError(f"{place}: the file is empty (byte 0)")


def open_stored(store: Store, name: str) -> _core.Shard:
    """Opens a shard of any store with all of its bytes in memory (mapped, where it is a file of this machine): to read all of them."""
    if store.folder is not None:
        return open_shard(store.folder / name)
    with store.stream(name) as file:
        data = file.read()
    if not data:
        raise named(ValueError(), place_of(store, name))
    return _core.Shard(data, place_of(store, name))


def open_footer(store: Store, info: ShardInfo) -> _core.Shard:
    """Opens a shard at a URL without its blocks. TruncatedError if it has other bytes than what is said of it."""
    size = store.info(info.path).size
    if size != info.bytes:
        raise TruncatedError(f"{place_of(store, info.path)}: has {size:,} bytes, and {info.bytes:,} were written")
    (shard,) = open_filled(store, [ShardFile(info.path, info.bytes, info.tail)], lambda _, error: error, Filling(1 << 20))
    if isinstance(shard, Exception):
        raise shard
    return shard


# --- spans that are filled ---

Explain = Callable[[int, Exception], Exception]


def open_filled(store: Store, files: Sequence[ShardFile], explain: Explain, filling: Filling) -> list[_core.Shard | Exception]:
    """Opens shards together: reads their ends in one step, and their dictionaries, where they have new ones, in another.

    explain: makes the error to raise out of one of the store, for the file at a position. filling: of their blocks, later.
    """
    done: dict[int, _core.Shard | Exception] = {}
    spans: dict[int, Span] = {}
    for k, file in enumerate(files):
        try:
            spans[k] = make_span(store, file, partial(explain, k), filling)
        except (AtlasError, OSError) as error:
            done[k] = explain(k, error)
    tails = tails_of(spans, files, filling, done)
    wants = {k: [span.want(0, min(HEADER_BYTES, span.size))] if has_header(span) else [] for k, span in spans.items() if k not in done}
    for k in wants:
        wants[k].append(spans[k].want(spans[k].size - tails[k], tails[k]))
    fill(store, spans, wants, filling, done)
    shards: dict[int, _core.Shard] = {}
    for k, span in spans.items():
        if k not in done:
            try:
                shards[k] = _core.Shard(span.memory, span.place, whole=has_header(span), bind=False)
            except AtlasError as error:
                done[k] = error
    fill(store, spans, {k: [spans[k].want(offset, size) for _, offset, size in shard.unknown_dictionaries()] for k, shard in shards.items()}, filling, done)
    for k, shard in shards.items():
        if k not in done:
            try:
                shard.bind_dictionaries()
                attach(shard, spans[k])
                done[k] = shard
            except (AtlasError, MirrorFailed) as error:
                done[k] = error
    trusted = {k for k, span in spans.items() if isinstance(done[k], AtlasError) and span.mirror is not None and span.trusted}
    broken = [k for k in spans if k in trusted or isinstance(done[k], MirrorFailed)]
    if broken:  # what the cache has of them is damaged
        for k in broken:
            spans[k].remove_mirror()
        again = open_filled(store, [files[k]._replace(root="") for k in broken], lambda at, error: explain(broken[at], error), filling)
        done.update(zip(broken, again, strict=True))
    return [done[k] for k in range(len(files))]


def make_span(store: Store, file: ShardFile, explain: Callable[[Exception], Exception], filling: Filling) -> Span:
    """The span of a file, empty. On a local disk the file says how large it is, and which; elsewhere its name and hashes say enough."""
    known = store.info(file.name) if store.folder is not None or file.tail is None else FileInfo(file.name, file.size, "")
    try:
        if store.folder is None and file.root and file.tail is not None:
            return filling.span(store, known, place_of(store, file.name), explain, file.root, file.tail // INDEX_BYTES)
        return filling.span(store, known, place_of(store, file.name), explain)
    except ValueError as cause:
        raise named(cause, place_of(store, file.name)) from None


def has_header(span: Span) -> bool:
    """Whether the first bytes are read when a shard is opened. Elsewhere than on a local disk they are a request of their own, and verify reads them."""
    return span.store.folder is not None


def tails_of(spans: dict[int, Span], files: Sequence[ShardFile], filling: Filling, done: dict[int, _core.Shard | Exception]) -> dict[int, int]:
    """Bytes from the footer to the end of each file, read from its trailer where nobody said it."""
    tails = {}
    unknown = {}
    for k, span in spans.items():
        tail = files[k].tail
        if tail is not None and TRAILER_BYTES <= tail <= min(span.size, MAX_TRUSTED_TAIL):
            tails[k] = tail
        else:
            end = min(TRAILER_BYTES, span.size)
            unknown[k] = [span.want(span.size - end, end)]
    if unknown:
        store = next(iter(spans.values())).store
        fill(store, spans, unknown, filling, done)
    for k, (want,) in unknown.items():
        span = spans[k]
        offset = int.from_bytes(span.memory[want.offset : want.offset + 8], "little")
        tail = span.size - offset if HEADER_BYTES <= offset < span.size else span.size
        tails[k] = min(tail, MAX_TAIL)  # the footer itself says that a longer one is invalid
    return tails


def fill(store: Store, spans: dict[int, Span], wants: dict[int, list[Want]], filling: Filling, done: dict[int, _core.Shard | Exception]) -> None:
    """Reads ranges into spans, all together, but for those that a cache has. A span whose request failed is done, with the error."""
    flat = [(k, want) for k, ranges in wants.items() for want in ranges if not spans[k].take_over(want)]
    for start in range(0, len(flat), MAX_REQUESTS):
        part = flat[start : start + MAX_REQUESTS]
        waiting = set(range(len(part)))
        for number, answer in store.read_ranges([want for _, want in part]):
            waiting.discard(number)
            k, want = part[number]
            answer = measured(answer, want, store)
            if isinstance(answer, Exception):
                done.setdefault(k, spans[k].explain(answer))
            else:
                filling.keep(spans[k], want.offset, answer)
        for number in waiting:
            k, want = part[number]
            done.setdefault(k, AtlasError(f"{spans[k].place}: byte {want.offset}: {want.size:,} bytes were asked for, and the store never answered"))


def attach(shard: _core.Shard, span: Span) -> None:
    """Lets the blocks of a shard come and go. The span does not keep the shard alive."""
    blocks, back = shard.blocks(), weakref.ref(shard)

    def check(number: int) -> bool:
        found = back()
        return found is None or found.check_block(number)

    def forget(number: int) -> None:
        found = back()
        if found is not None:
            found.forget(number)

    def show(states: States) -> None:
        found = back()
        if found is not None:
            found.fill_by(span, states)

    span.divide(blocks["offset"], blocks["bytes"], check, forget, show)


def shard_info(shard: _core.Shard, name: str) -> ShardInfo:
    """Describes an open shard as a manifest names it. name: of its file."""
    tail = shard.size - shard.footer_offset
    return ShardInfo(name, shard.rows, shard.size, tail, f"{shard.root:016x}", shard.raw_bytes, shard_chunk(shard))


def shard_chunk(shard: _core.Shard) -> int:
    return chunk_of((leaf.rows_per_block, bool(leaf.flags & LeafFlags.PAGE_CODED)) for leaf in shard.leaves)


def shard_schema(shard: _core.Shard) -> Schema:
    """The schema inside a shard, checked against its leaf table."""
    data = shard.schema_json
    try:
        body = json.loads(data)
    except RecursionError as cause:
        raise LimitError(f"{shard.path}: schema: nested too deeply") from cause
    except ValueError as cause:
        raise CorruptError(f"{shard.path}: schema: not JSON: {cause}") from cause
    schema = schema_from_json(body, where=shard.path)
    if schema.dumps() != data:
        raise CorruptError(f"{shard.path}: schema: not canonical JSON (RFC 8785): another program wrote it")
    check_leaves(shard, leaf_entries(schema))
    return schema


LeafEntry = tuple[int, int, int, bool]  # id, kind, width, NULLABLE


def leaf_entries(schema: Schema) -> list[tuple[LeafEntry, LeafEntry]]:
    """What the leaf table says of each leaf of a schema: one of two, where nullable is free because 0 and null both mean absent."""
    free = set(presence_leaves(schema.fields))
    kinds = [(leaf, LeafKind.FIXED if leaf.fixed else LeafKind.VARIABLE) for leaf in schema.leaves]
    return [((leaf.id, kind, leaf.width, leaf.nullable), (leaf.id, kind, leaf.width, leaf.nullable or leaf.id in free)) for leaf, kind in kinds]


def check_leaves(shard: _core.Shard, entries: list[tuple[LeafEntry, LeafEntry]]) -> None:
    """Refuses a shard whose leaf table is not that of the schema: its values would be read as what they are not."""
    leaves = [(leaf.id, leaf.kind, leaf.width, bool(leaf.flags & LeafFlags.NULLABLE)) for leaf in shard.leaves]
    if len(leaves) != len(entries) or not all(map(tuple.__contains__, entries, leaves)):
        raise CorruptError(f"{shard.path}: schema: its leaves are not those of the leaf table")


def presence_leaves(fields: tuple[Field, ...]) -> Iterator[int]:
    """Ids of the leaves that say whether a nullable struct is present."""
    for field in fields:
        if isinstance(field.type, Struct):
            yield from field.leaves
            yield from presence_leaves(field.type.fields)
