"""The manifest: the content of a dataset, as canonical JSON with its own hash. How one is published is in commit.py."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import rfc8785

from atlas_ds import _core
from atlas_ds.dataset.metadata import MAX_DEPTH, MAX_INTEGER
from atlas_ds.dataset.names import MANIFEST, parse_shard_name
from atlas_ds.errors import AtlasError, CorruptError, LimitError, UnsupportedError
from atlas_ds.schema.schema import Schema, schema_from_json
from atlas_ds.shard.info import ShardInfo
from atlas_ds.store.store import Store, place_of

ROOT = re.compile(r"[0-9a-f]{16}")
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
HASH_MEMBER = re.compile(rb',"hash":"([0-9a-f]{32})"')
MAX_BYTES = 256 << 20  # of a manifest: two million shards
MAX_VALUES = 1 << 24  # in its JSON, each of which takes some 60 bytes of memory at least
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """schema, shards in row order, splits as row ranges, the user's metadata, ICC by column."""

    schema: Schema
    shards: tuple[ShardInfo, ...]
    splits: dict[str, Ranges] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    icc: dict[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def dumps(self) -> bytes:
        body: dict[str, Any] = {
            "atlas": 2,
            "features": [],
            "metadata": self.metadata,
            "rows": self.rows,
            "schema": self.schema.to_json(),
            "shards": list(map(asdict, self.shards)),
            "splits": {name: [list(part) for part in parts] for name, parts in self.splits.items()},
        }
        if self.icc:
            body["icc"] = self.icc
        plain: bytes = rfc8785.dumps(body)
        check_size(plain, MANIFEST)
        member = b',"hash":"' + digest(plain).encode() + b'"'
        at = plain.index(b',"icc":' if self.icc else b',"metadata":')  # "features" is a list of plain names: the member, not a text that looks like it
        return plain[:at] + member + plain[at:]


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
    if digest(data[: found.start()] + data[found.end() :]) != found[1].decode():
        why = "the file was edited or damaged: restore it, or run `atlas-ds repair`"
        raise CorruptError(f"{where}: manifest: hash does not match (byte {found.start()}): {why}")
    return parse_members(data, where)


def parse_members(data: bytes, where: str) -> Manifest:
    """Parses a manifest without checking its hash: for repair."""
    check_size(data, where)
    try:
        body = load_json(data)
    except RecursionError as cause:
        raise LimitError(f"{where}: manifest: nested too deeply") from cause
    except MemoryError as cause:
        raise LimitError(f"{where}: manifest: needs more memory than is available") from cause
    except ValueError as cause:
        raise CorruptError(f"{where}: manifest: not JSON: {brief(cause)}") from cause
    if not isinstance(body, dict) or body.get("atlas") != 2:
        what = f"atlas is {brief(body.get('atlas'))}, this version reads 2" if isinstance(body, dict) else "not an object"
        raise UnsupportedError(f"{where}: manifest: {what}")
    if body.get("features") != []:
        raise UnsupportedError(f"{where}: manifest: features {brief(body.get('features'))} are not known to this version")
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


def load_json(data: bytes) -> Any:
    """Parses JSON; ValueError where readers could differ: UTF-8 only, no NaN or infinity, no name twice, no lone surrogate."""
    text = data.decode("utf-8")
    body = json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    if SURROGATE.search(text) is not None:
        json.dumps(body, ensure_ascii=False).encode()
    return body


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a duplicate member")
    return found


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def brief(value: object) -> str:
    text = f"{type(value).__name__}: {value}" if isinstance(value, KeyError | UnicodeError) else str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _from_json(body: dict[str, Any], where: str) -> Manifest:
    shards: list[ShardInfo] = []
    names: set[str] = set()
    for number, item in enumerate(body["shards"]):
        name, root = item["path"], item["root"]
        if not isinstance(name, str) or (named := parse_shard_name(name)) is None:
            raise CorruptError(f"{where}: manifest: shard {number}: path {str(name)[:80]!r} is not a shard's name")
        if name in names:
            raise CorruptError(f"{where}: manifest: shard {number}: path {name!r} appears twice")
        names.add(name)
        if not isinstance(root, str) or ROOT.fullmatch(root) is None:
            raise CorruptError(f"{where}: manifest: shard {number}: root is not 16 hex digits")
        if root != named.root:
            raise CorruptError(f"{where}: manifest: shard {number}: root does not match its name {name!r}")
        numbers = item["rows"], item["bytes"], item["tail"]
        if not all(type(n) is int and 0 <= n <= MAX_INTEGER for n in numbers):
            raise CorruptError(f"{where}: manifest: shard {number}: rows, bytes or tail is not an integer")
        shards.append(ShardInfo(name, *numbers, root))
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
    check_metadata(body["metadata"], where)
    icc = body.get("icc", {})
    if not isinstance(icc, dict) or not all(type(value) in (int, float) and 0 <= value <= 1 for value in icc.values()):
        raise CorruptError(f"{where}: manifest: icc is not an object of numbers from 0 to 1")
    schema = schema_from_json(body["schema"], where=where)
    return Manifest(schema, tuple(shards), splits, body["metadata"], {name: float(value) for name, value in icc.items()})


def check_metadata(metadata: dict[str, Any], where: str) -> None:
    """Checks that a writer could have written the metadata: one that appends must write it again."""
    waiting: list[tuple[Any, int]] = [(metadata, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise LimitError(f"{where}: manifest: metadata is nested deeper than {MAX_DEPTH}")
            waiting += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, int | float) and not -MAX_INTEGER <= value <= MAX_INTEGER and (isinstance(value, int) or not isfinite(value)):
            raise CorruptError(f"{where}: manifest: metadata has the number {brief(value)}, which JSON cannot hold exactly")


def roots_digest(shards: Sequence[ShardInfo]) -> str:
    """Returns a digest of the rows of shards, from their roots, each of which is a hash over all bytes of the shard."""
    return digest(b"".join(bytes.fromhex(shard.root) + shard.rows.to_bytes(8, "little") for shard in shards))
