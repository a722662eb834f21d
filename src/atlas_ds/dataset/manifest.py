"""The manifest: the content of a dataset, as canonical JSON with its own hash. How one is published is in commit.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from operator import itemgetter
from typing import Any

from atlas_ds import _core
from atlas_ds._core.base import MAX_BLOCK_ROWS
from atlas_ds.dataset.canonical import as_number, canonical, canonical_members, canonical_plain, canonical_text, load_json
from atlas_ds.dataset.metadata import MAX_DEPTH, MAX_INTEGER
from atlas_ds.dataset.names import MANIFEST, SUFFIX, is_shard_name, parse_shard_name
from atlas_ds.errors import AtlasError, CorruptError, LimitError, UnsupportedError
from atlas_ds.schema.schema import Schema, schema_from_json
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.totals import Totals, columns_to_json, icc_to_json, totals_from_json
from atlas_ds.store.store import Store, place_of

ROOT = re.compile(r"[0-9a-f]{16}")
HASH_MEMBER = re.compile(rb',"hash":"([0-9a-f]{32})"')
shard_members = itemgetter(*ShardInfo._fields)
SHARD_NAMES = tuple(sorted(ShardInfo._fields))
shard_values = itemgetter(*map(ShardInfo._fields.index, SHARD_NAMES))
SHARD_TEXT = '{"bytes":%d,"chunk":%d,"path":"%s","raw":%d,"root":"%s","rows":%d,"tail":%d}'  # as canonical gives it
MAX_BYTES = 256 << 20  # of a manifest: more than a million shards
MAX_VALUES = 1 << 24  # in its JSON, each of which takes some 60 bytes of memory at least
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """schema, shards in row order, splits as row ranges, the user's metadata, ICC by column, and what the notes of all shards add up to."""

    schema: Schema
    shards: tuple[ShardInfo, ...]
    splits: dict[str, Ranges] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    icc: dict[str, float] = field(default_factory=dict)
    totals: Totals = field(default_factory=lambda: Totals(None))

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def dumps(self) -> bytes:
        members = {
            "atlas": b"2",
            "features": b"[]",
            "hash": b"",
            "icc": canonical(self.icc) if self.icc else None,
            "icc_sums": canonical(icc_to_json(self.totals)) if self.totals.icc else None,
            "metadata": canonical(self.metadata),
            "rows": canonical_plain(self.rows),
            "schema": self.schema.dumps(),
            "shards": f"[{','.join(map(SHARD_TEXT.__mod__, map(shard_values, self.shards)))}]".encode(),
            "splits": canonical_members(self.splits),
            "stats": canonical_text(columns_to_json(self.totals)) if self.totals.columns is not None else None,
        }
        texts = [f'"{name}":'.encode() + text for name, text in members.items() if text]
        plain = b"{" + b",".join(texts) + b"}"
        check_size(plain, MANIFEST)
        return b"{" + b",".join([*texts[:2], b'"hash":"' + digest(plain).encode() + b'"', *texts[2:]]) + b"}"


def digest(data: bytes) -> str:
    """XXH3-128, high half first, as 32 hex digits."""
    return _core.hash128(data)[::-1].hex()


def read_manifest(store: Store) -> Manifest:
    """Reads and checks the manifest of the dataset in a store; errors name the file and the rule."""
    return parse_manifest(store.read(MANIFEST, limit=MAX_BYTES)[0], place_of(store, MANIFEST))


def parse_manifest(data: bytes, where: str) -> Manifest:
    found = HASH_MEMBER.search(data)
    if found is None:
        raise CorruptError(f"{where}: manifest: member hash is missing; the file was truncated or edited: restore it, or run `atlas-ds repair`")
    quick = digest(data[: found.start()] + data[found.end() :]) == found[1].decode()
    if not quick and not is_hashed(data):
        raise wrong_hash(where, found.start())
    body = load_members(data, where)
    if quick and body.get("hash") != found[1].decode():
        raise wrong_hash(where, found.start())
    manifest = from_members(body, where)
    if not is_canonical(manifest, data):
        raise CorruptError(f"{where}: manifest: not canonical JSON (RFC 8785): another program wrote it; run `atlas-ds repair`")
    return manifest


def wrong_hash(where: str, at: int) -> CorruptError:
    return CorruptError(f"{where}: manifest: hash does not match (byte {at}): the file was edited or damaged: restore it, or run `atlas-ds repair`")


def is_hashed(data: bytes) -> bool:
    """Whether the hash is right where the first member of this name is not the manifest's, but one within a member that this version does not know."""
    try:
        check_size(data, "")
        body = load_json(data, exact=True)
        return isinstance(body, dict) and body.pop("hash", None) == digest(canonical(body))
    except (AtlasError, ValueError, RecursionError, MemoryError):
        return False


def is_canonical(manifest: Manifest, data: bytes) -> bool:
    """Whether the bytes that a manifest was read from are canonical JSON, with members that this version does not know, too."""
    try:
        return manifest.dumps() == data or canonical(load_json(data, exact=True)) == data
    except (ValueError, RecursionError):
        return False


def parse_members(data: bytes, where: str) -> Manifest:
    """Parses a manifest without checking its hash and its form: for repair."""
    return from_members(load_members(data, where, exact=True), where)


def load_members(data: bytes, where: str, *, exact: bool = False) -> dict[str, Any]:
    check_size(data, where)
    try:
        body = load_json(data, exact=exact)
    except RecursionError as cause:
        raise LimitError(f"{where}: manifest: nested too deeply") from cause
    except MemoryError as cause:
        raise LimitError(f"{where}: manifest: needs more memory than is available") from cause
    except ValueError as cause:
        raise CorruptError(f"{where}: manifest: not JSON: {brief(cause)}") from cause
    if not isinstance(body, dict) or body.get("atlas") != 2:
        what = f"atlas is {brief(body.get('atlas'))}, this version reads 2" if isinstance(body, dict) else "not an object"
        raise UnsupportedError(f"{where}: manifest: {what}")
    if not isinstance(body.get("features"), list) or not all(isinstance(name, str) for name in body["features"]):
        raise CorruptError(f"{where}: manifest: features is missing, or is not a list of text")
    if body["features"]:
        raise UnsupportedError(f"{where}: manifest: features {brief(body.get('features'))} are not known to this version")
    return body


def from_members(body: dict[str, Any], where: str) -> Manifest:
    try:
        return _from_json(body, where)
    except (KeyError, TypeError, ValueError) as cause:
        if isinstance(cause, AtlasError):
            raise
        raise CorruptError(f"{where}: manifest: member missing or of the wrong type: {brief(cause)}") from cause


def check_size(data: bytes, where: str) -> None:
    """LimitError for a manifest that would need too much memory as Python values. It is checked when reading and writing."""
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if len(data) > MAX_BYTES or values > MAX_VALUES:
        most = f"at most {MAX_BYTES:,} bytes and {MAX_VALUES:,} values can be read: make fewer, larger shards, fewer splits, or less metadata"
        raise LimitError(f"{where}: manifest: {len(data):,} bytes, up to {values:,} values; {most}")


def brief(value: object) -> str:
    text = f"{type(value).__name__}: {value}" if isinstance(value, KeyError | UnicodeError) else str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _from_json(body: dict[str, Any], where: str) -> Manifest:
    if not isinstance(body["shards"], list):
        raise CorruptError(f"{where}: manifest: shards is not a list")
    shards = read_shards(body.pop("shards"), where)  # a million dicts are not kept for longer than they are needed
    total = sum(shard.rows for shard in shards)
    if type(body["rows"]) is not int or body["rows"] != total or total > MAX_INTEGER:
        raise CorruptError(f"{where}: manifest: rows is {brief(body['rows'])}, the shards have {total}; the limit is {MAX_INTEGER}")
    if not isinstance(body["splits"], dict):
        raise CorruptError(f"{where}: manifest: splits is not an object")
    splits = {name: tuple((a, b) for a, b in parts) for name, parts in body["splits"].items()}
    for name, parts in splits.items():
        ends = [0, *(n for part in parts for n in part)]
        if not all(type(n) is int for n in ends) or ends != sorted(ends) or ends[-1] > total:
            raise CorruptError(f"{where}: manifest: split {name[:80]!r} is not made of ascending row ranges")
    if not isinstance(body["metadata"], dict):
        raise CorruptError(f"{where}: manifest: metadata is not an object")
    metadata = checked_metadata(body["metadata"], where)
    icc = body.get("icc", {})
    if not isinstance(icc, dict) or not all(type(value) in (int, float) and 0 <= value <= 1 for value in icc.values()):
        raise CorruptError(f"{where}: manifest: icc is not an object of numbers from 0 to 1")
    schema = schema_from_json(body["schema"], where=where)
    totals = totals_from_json(body.get("stats"), body.get("icc_sums"), schema)
    return Manifest(schema, shards, splits, metadata, {name: float(value) for name, value in icc.items()}, totals)


def read_shards(items: list[Any], where: str) -> tuple[ShardInfo, ...]:
    """Checks column by column, which takes half the time of shard by shard."""
    shards = tuple(map(ShardInfo._make, map(shard_members, items)))
    if not shards:
        return shards
    paths, rows, sizes, tails, roots, raws, chunks = (list(map(itemgetter(k), shards)) for k in range(len(ShardInfo._fields)))
    numbers = rows, sizes, tails, raws, chunks
    good = all(set(map(type, column)) == {int} for column in numbers) and set(map(type, paths)) == {str} == set(map(type, roots))
    good = good and min(map(min, numbers)) >= 0 and max(map(max, numbers)) <= MAX_INTEGER and min(chunks) > 0 and max(chunks) <= MAX_BLOCK_ROWS
    if not good or not all(map(is_shard_name, paths)) or [path[-len(SUFFIX) - 16 : -len(SUFFIX)] for path in paths] != roots:
        wrong = ((number, wrong_shard(shard)) for number, shard in enumerate(shards))
        raise next(CorruptError(f"{where}: manifest: shard {number}: {why}") for number, why in wrong if why)
    if len(set(paths)) < len(paths):
        first = {path: number for number, path in reversed(list(enumerate(paths)))}
        again = next(number for number, path in enumerate(paths) if first[path] < number)
        raise CorruptError(f"{where}: manifest: shard {again}: path {paths[again]!r} appears twice")
    return shards


def wrong_shard(shard: ShardInfo) -> str:
    """Describes what is wrong with a shard, "" if nothing."""
    path, rows, size, tail, root, raw, chunk = shard
    named = parse_shard_name(path) if isinstance(path, str) else None
    if named is None:
        return f"path {str(path)[:80]!r} is not a shard's name"
    if not isinstance(root, str) or ROOT.fullmatch(root) is None:
        return "root is not 16 hex digits"
    if root != named.root:
        return f"root does not match its name {path!r}"
    if not all(type(n) is int and 0 <= n <= MAX_INTEGER for n in (rows, size, tail, raw, chunk)):
        return f"rows, bytes, tail, raw or chunk is not an integer from 0 to {MAX_INTEGER}"
    return "" if 1 <= chunk <= MAX_BLOCK_ROWS else f"chunk is {chunk}; a block has from 1 to {MAX_BLOCK_ROWS} rows"


def checked_metadata(metadata: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns metadata that a writer could have written: one that appends must write it again."""
    waiting: list[tuple[Any, int]] = [(metadata, 0)]
    large = False
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise LimitError(f"{where}: manifest: metadata is nested deeper than {MAX_DEPTH}")
            waiting += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
            large = True
        if isinstance(value, int | float) and not isfinite(as_number(value)):
            raise CorruptError(f"{where}: manifest: metadata has the number {brief(value)}, which is too large for JSON")
    return with_floats(metadata) if large else metadata


def with_floats(value: Any) -> Any:
    """Large integers as the floats that they were: RFC 8785 writes 1e20 without an exponent."""
    if isinstance(value, dict):
        return {name: with_floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_floats(inner) for inner in value]
    return as_number(value) if type(value) is int else value


def roots_digest(shards: Sequence[ShardInfo]) -> str:
    """Returns a digest of the rows of shards, from their roots, each of which is a hash over all bytes of the shard."""
    return digest(b"".join(bytes.fromhex(shard.root) + shard.rows.to_bytes(8, "little") for shard in shards))
