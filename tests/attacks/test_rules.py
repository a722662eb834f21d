"""The rules of FORMAT.md that a byte can show, one by one: what is legal reads equal in both readers, what is not is refused by both, as the page says.

Where the attacks are files that do harm, these are files of another writer that is a little wrong, or unusual and right.
"""

from __future__ import annotations

import datetime
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import rfc8785

import atlas_ds
from atlas_ds import errors
from atlas_ds.shard import verify_shard
from attacks.craft import patched, setting
from reference import sample, wire
from reference.builder import Encoding, Leaf, Plan, build, places, put, reseal_footer, write_dataset
from reference.reader import Dataset, Shard
from reference.wire import CONST, FIXED, FIXED_LEAF, INDEX, LZ4, NARROW, NULLABLE, PAGE_CODED, TRAILER, VAR, VARIABLE_LEAF, ZSTD
from support import agrees

KINDS = {"corrupt": (errors.CorruptError, wire.Corrupt), "truncated": (errors.TruncatedError, wire.Truncated), "unsupported": (errors.UnsupportedError, wire.Unsupported), "limit": (errors.LimitError, wire.Limit)}
RAW = Encoding(VAR)
WORD = b"a word that is repeated, a word that is repeated"


def value(kind: Any, *cells: bytes | None, how: Encoding = RAW, **more: Any) -> Callable[[], bytes]:
    return lambda: build(sample.one(kind, list(cells), how, **more))


def number(kind: Any, count: int, width: int = 8) -> Callable[[], bytes]:
    return value(kind, count.to_bytes(width, "little", signed=True), how=Encoding(FIXED), width=width)


def object_of(data: Any) -> Callable[[], bytes]:
    return value("object", data if isinstance(data, bytes) else msgpack.packb(data))


def array_of(body: Any) -> Callable[[], bytes]:
    return object_of(msgpack.ExtType(2, msgpack.packb(body)))


def schema(change: Callable[[dict[str, Any]], Any]) -> Callable[[], bytes]:
    """The small shard, its schema changed."""
    def make() -> bytes:
        body = sample.schema_of_tiny()
        change(body)
        return patched(sample.tiny(), "schema", lambda _: sample.dump(body))
    return make


def field(**members: Any) -> Callable[[], bytes]:
    return schema(lambda body: body["fields"][0].update(members))


def structs(depth: int) -> Callable[[], bytes]:
    kind: Any = "uint8"
    for _ in range(depth):
        kind = {"struct": [sample.field("x", kind, *([0] if kind == "uint8" else []))]}
    plan = Plan((Leaf(0, FIXED_LEAF, 1),), {0: [b"\7"]}, sample.dump({"container": "value", "fields": [sample.field("value", kind)]}))
    return lambda: build(plan)


def timestamp(unit: str, tz: str | None = None) -> dict[str, Any]:
    return {"timestamp": {"tz": tz, "unit": unit}}


def tensor(ndim: int | None, shape: bytes, data: bytes = b"", nulls: bool = False) -> Callable[[], bytes]:
    body = {"container": "value", "fields": [sample.field("value", {"tensor": {"dtype": "uint8", "ndim": ndim}}, 0, 1, nullable=nulls)]}
    second = Leaf(1, VARIABLE_LEAF) if ndim is None else Leaf(1, FIXED_LEAF, 4 * ndim)
    leaves = Leaf(0, VARIABLE_LEAF, flags=NULLABLE * nulls), Leaf(1, second.kind, second.width, flags=NULLABLE * nulls)
    columns: dict[int, list[bytes | None]] = {0: [data, None] if nulls else [data], 1: [shape, shape if ndim == 0 else None] if nulls else [shape]}
    return lambda: build(Plan(leaves, columns, sample.dump(body)))


def cells(kind: Any, cell: bytes, like: bytes, how: Encoding, width: int | None = None) -> Callable[[], bytes]:
    """One value, whose cell is this, and whose digest is that of `like`."""
    plan = sample.one(kind, [like], how, width=width)
    return lambda: patched(plan, "cell", lambda _: cell)


def dictionary(data: bytes, codec: int = LZ4) -> Callable[[], bytes]:
    how = Encoding(VAR, codec, cells=True, dictionary=True)
    return value("bytes", WORD, how=how, dictionaries=(data,), leaf_dictionary=1)


def trailer(**fields: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        shard = build(sample.tiny())
        return reseal_footer(put(shard, TRAILER, len(shard) - 64, **fields))
    return make


def index(**fields: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        shard = build(sample.tiny())
        return reseal_footer(put(shard, INDEX, places(shard).index[0], **fields))
    return make


def presence(flag: bytes, inner: bytes) -> Callable[[], bytes]:
    body = {"container": "value", "fields": [sample.field("value", {"struct": [sample.field("x", "str", 1)]}, 0, nullable=True)]}
    return lambda: build(Plan((Leaf(0, FIXED_LEAF, 1), Leaf(1, VARIABLE_LEAF)), {0: [flag], 1: [inner]}, sample.dump(body)))


LIST = {"array": {"dtype": "uint16", "shape": [40]}}
PIXELS = struct.pack("<40H", *range(40))
FIXED_CELLS, NARROW_CELLS = Encoding(FIXED, ZSTD, cells=True), Encoding(NARROW, ZSTD, cells=True, element=2, number=1, base=0)
VAR_CELLS = Encoding(VAR, ZSTD, cells=True)
BLOCK = 1 << 30

ILLEGAL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "file_bytes less than the file": ("corrupt", trailer(file_bytes=1024)),
    "file_bytes more than the file": ("truncated", trailer(file_bytes=2**40)),
    "file_bytes over the limit": ("limit", trailer(file_bytes=2**63)),
    "footer_bytes over the limit": ("limit", trailer(footer_bytes=BLOCK + 1)),
    "index.bytes over the limit, and outside": ("limit", index(bytes=2 * BLOCK + 1)),
    "index.raw_bytes over the limit, and outside": ("limit", index(raw_bytes=BLOCK + 1, offset=2**40)),
    "page.raw over the limit, and wrong": ("limit", lambda: patched(sample.tiny(), "page", setting(raw=BLOCK + 1), (0, 0, 2))),
    "page.stored over the limit, and outside": ("limit", lambda: patched(sample.tiny(), "page", setting(stored=2 * BLOCK + 1), (0, 0, 2))),
    "dictionary of 7 bytes": ("corrupt", dictionary(b"7 bytes")),
    "dictionary of nothing": ("corrupt", dictionary(b"")),
    "dictionary over the limit": ("limit", dictionary(bytes(2**20 + 1))),
    "formatted dictionary that is broken": ("corrupt", dictionary(bytes.fromhex("37A430EC") + b"\1" * 100)),
    "numpy is false": ("corrupt", field(numpy=False)),
    "list is false": ("corrupt", field(list=False)),
    "numpy of a text": ("corrupt", schema(lambda body: body["fields"][1].update(numpy=True))),
    "list of a number": ("corrupt", field(list=True)),
    "unknown member of a field": ("corrupt", field(unit="m")),
    "unknown member of a schema": ("corrupt", schema(lambda body: body.update(unit="m"))),
    "unknown type": ("unsupported", field(type="uint17")),
    "unknown type with members": ("unsupported", field(type={"table": {"rows": 3}})),
    "unknown dtype": ("unsupported", field(type={"array": {"dtype": "uint17", "shape": []}})),
    "dtype that is no text": ("corrupt", field(type={"array": {"dtype": 17, "shape": []}})),
    "unknown container": ("corrupt", schema(lambda body: body.update(container="set"))),
    "dataclass without a name": ("corrupt", schema(lambda body: body.update(container="dataclass"))),
    "name without a dataclass": ("corrupt", schema(lambda body: body.update(name="Row"))),
    "no field": ("corrupt", schema(lambda body: body.update(fields=[]))),
    "struct of no field": ("corrupt", schema(lambda body: body["fields"].append(sample.field("2", {"struct": []})))),
    "two fields of a name": ("corrupt", schema(lambda body: body.update(container="dict", fields=[body["fields"][0]] * 2))),
    "fields of a tuple with other names": ("corrupt", schema(lambda body: body["fields"][0].update(name="2"))),
    "64 structs and one more": ("limit", structs(65)),
    "array of 33 dimensions": ("limit", field(type={"array": {"dtype": "uint16", "shape": [1] * 33}})),
    "array of 2^31 elements of nothing": ("limit", value({"array": {"dtype": "int8", "shape": [0, 2**31]}}, b"", how=Encoding(FIXED), width=0)),
    "tensor of 33 dimensions": ("limit", tensor(33, bytes(132))),
    "tensor whose shape has 33 dimensions": ("limit", tensor(None, bytes(132))),
    "tensor of 2^31 elements of nothing": ("limit", tensor(2, struct.pack("<2I", 0, 2**31))),
    "shape of 3 bytes": ("corrupt", tensor(None, bytes(3))),
    "list of two dimensions": ("corrupt", field(type={"array": {"dtype": "uint8", "shape": [1, 2]}}, list=True)),
    "object that is nullable": ("corrupt", value("object", b"\xc0", nullable=True)),
    "object of nothing": ("corrupt", object_of(b"")),
    "object with a key twice": ("corrupt", object_of(b"\x82\xa1k\1\xa1k\2")),
    "object with a key twice, within": ("corrupt", object_of(b"\x91\x91\x82\xa1k\1\xa1k\2")),
    "object with a key of bytes": ("corrupt", object_of(b"\x81\xc4\1k\1")),
    "object with a key of int": ("corrupt", object_of(b"\x81\1\1")),
    "moment finer than a microsecond": ("corrupt", object_of([msgpack.Timestamp(5, 1001)])),
    "moment finer than a microsecond, alone": ("corrupt", object_of(msgpack.Timestamp(5, 1))),
    "moment after the year 9999": ("corrupt", object_of({"t": msgpack.Timestamp(253402300800, 0)})),
    "datetime with a space": ("corrupt", object_of(msgpack.ExtType(1, b"2020-01-02 03:04:05"))),
    "datetime without seconds": ("corrupt", object_of(msgpack.ExtType(1, b"2020-01-02T03:04"))),
    "datetime with milliseconds": ("corrupt", object_of(msgpack.ExtType(1, b"2020-01-02T03:04:05.123"))),
    "datetime with a zone": ("corrupt", object_of(msgpack.ExtType(1, b"2020-01-02T03:04:05Z"))),
    "datetime of February 30": ("corrupt", object_of(msgpack.ExtType(1, b"2020-02-30T03:04:05"))),
    "unknown extension": ("corrupt", object_of(msgpack.ExtType(3, b""))),
    "array of an unknown dtype": ("corrupt", array_of(["float8", [1], b"x"])),
    "array of bfloat16": ("corrupt", array_of(["bfloat16", [1], b"xx"])),
    "array with too few bytes": ("corrupt", array_of(["int16", [2], b"xxx"])),
    "array of bools of 2": ("corrupt", array_of(["bool", [2], b"\1\2"])),
    "array of 33 dimensions in an object": ("limit", array_of(["int8", [1] * 33, b"x"])),
    "array of 2^31 elements of nothing in an object": ("limit", array_of(["int8", [0, 2**31], b""])),
    "array with a negative length": ("corrupt", array_of(["int8", [-1, -1], b"x"])),
    "array of text and ints": ("corrupt", array_of(["str", [2], ["a", 1]])),
    "array with bytes after it": ("corrupt", object_of(msgpack.ExtType(2, msgpack.packb(["int8", [1], b"x"]) + b"\0"))),
    "unit of a timestamp": ("corrupt", number(timestamp("min"), 0)),
    "time zone of no letters": ("corrupt", number(timestamp("s", ""), 0)),
    "time zone with a space": ("corrupt", number(timestamp("s", "Mars Base"), 0)),
    "offset without a colon": ("corrupt", number(timestamp("s", "+0200"), 0)),
    "offset of 24 hours": ("corrupt", number(timestamp("s", "+24:00"), 0)),
    "time zone that nobody knows": ("unsupported", number(timestamp("s", "Mars/Base"), 0)),
    "timestamp before the year 1": ("corrupt", number(timestamp("s"), -62135596801)),
    "timestamp after the year 9999": ("corrupt", number(timestamp("us"), 253402300800 * 10**6)),
    "timestamp that is NaT": ("corrupt", number(timestamp("ns"), -2**63)),
    "date before the year 1": ("corrupt", number("date", -719163, 4)),
    "date after the year 9999": ("corrupt", number("date", 2932897, 4)),
    "class without a name": ("corrupt", number({"class_label": {"names": ["a", "b"]}}, 2)),
    "class below 0": ("corrupt", number({"class_label": {"names": ["a", "b"]}}, -1)),
    "classes without names": ("corrupt", number({"class_label": {"names": []}}, 0)),
    "two classes of a name": ("corrupt", number({"class_label": {"names": ["a", "a"]}}, 0)),
    "bool of 2 in a list": ("corrupt", value({"tensor": {"dtype": "bool", "ndim": 1}}, b"\1\2")),
    "tensor of a broken number": ("corrupt", value({"tensor": {"dtype": "int16", "ndim": 1}}, b"xxx")),
    "presence of 2": ("corrupt", presence(b"\2", b"x")),
    "value in an absent struct": ("corrupt", presence(b"\0", b"x")),
    "cell of a fixed leaf that is too short": ("corrupt", cells(LIST, b"\0\0\0" + PIXELS[:-1], PIXELS, FIXED_CELLS, 80)),
    "cell of a fixed leaf that is too long": ("corrupt", cells(LIST, b"\0\0\0" + PIXELS + b"x", PIXELS, FIXED_CELLS, 80)),
    "cell of a narrowed value that is not narrowed": ("corrupt", cells(LIST, b"\0\0\0" + PIXELS, PIXELS, NARROW_CELLS, 80)),
    "block cell as long as its value": ("corrupt", cells("bytes", struct.pack("<H", 4) + b"\x20abc", b"abcd", VAR_CELLS)),
    "cell of two bytes": ("corrupt", cells("bytes", b"\1\0", b"a", VAR_CELLS)),
    "frame cell of length 0": ("corrupt", cells("bytes", b"\0\0\1\0\0\0\0\x20\0\1\0\0", b"a", VAR_CELLS)),
    "codec of cells, without their flag": ("corrupt", lambda: patched(sample.one("bytes", [WORD], VAR_CELLS), "page", setting(flags=0))),
    "cells of CONST": ("corrupt", lambda: patched(sample.one("bytes", [WORD], Encoding(CONST, ZSTD), flags=PAGE_CODED), "page", setting(flags=2))),
    "presence leaf that is wide": ("corrupt", lambda: patched(sample.tiny(), "leaf", setting(width=3), (0,))),
}  # fmt: skip


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_is_not_legal_is_refused_by_both(name: str, tmp_path: Path) -> None:
    kind, make = ILLEGAL[name]
    data = make()
    (tmp_path / "x.atlas").write_bytes(data)
    ours, theirs = KINDS[kind]
    with pytest.raises(theirs) as reference:
        Shard(data).verify()
    with pytest.raises(ours) as caught:
        verify_shard(tmp_path / "x.atlas")
        list(atlas_ds.AtlasDataset(tmp_path / "x.atlas"))
    assert type(caught.value) is ours and type(reference.value) is theirs and "manifest" not in str(caught.value)


def test_objects_nest_as_deep_as_the_page_says(tmp_path: Path) -> None:
    data = object_of(b"\x91" * 1000 + b"\xc0")()
    (tmp_path / "x.atlas").write_bytes(data)
    Shard(data).verify()
    verify_shard(tmp_path / "x.atlas")
    assert len(atlas_ds.AtlasDataset(tmp_path / "x.atlas")[0]) == 1


LEGAL: dict[str, Callable[[], bytes]] = {
    "dictionary of 8 bytes of content, lz4": dictionary(WORD[:8]),
    "dictionary of 8 bytes of content, zstd": dictionary(WORD[:8], ZSTD),
    "dictionary of the limit": dictionary(bytes(2**20 - len(WORD)) + WORD, ZSTD),
    "64 structs": structs(64),
    "array of 32 dimensions": value({"array": {"dtype": "int8", "shape": [1] * 32}}, b"x", how=Encoding(FIXED), width=1),
    "array of no elements and no dimension but one": value({"array": {"dtype": "int8", "shape": [2**30, 0]}}, b"", how=Encoding(FIXED), width=0),
    "tensor of 32 dimensions": tensor(None, struct.pack("<32I", *[1] * 32), b"x"),
    "tensor of 0 dimensions": tensor(0, b"", b"x"),
    "tensor of 0 dimensions, as its shape says": tensor(None, b"", b"x"),
    "null tensor of 0 dimensions, whose shape is not null": tensor(0, b"", b"x", nulls=True),
    "null tensor": tensor(2, struct.pack("<2I", 1, 1), b"x", nulls=True),
    "numbers of an object, longer than they need": object_of(b"\x92\xcf\0\0\0\0\0\0\0\1\xca\x3f\x80\0\0"),
    "datetime with six digits": object_of(msgpack.ExtType(1, b"0001-01-01T00:00:00.000000")),
    "moments": object_of([msgpack.Timestamp(-62135596800, 0), msgpack.Timestamp(253402300799, 999999000)]),
    "array in an object": array_of(["complex64", [1, 1], struct.pack("<2f", 1, -0.0)]),
    "text in an object": array_of(["str", [2, 1], ["a", "é"]]),
    "array of no dimension in an object": array_of(["bool", [], b"\1"]),
    "first timestamp": number(timestamp("s", "UTC"), -62135596800),
    "last timestamp": number(timestamp("us"), 253402300800 * 10**6 - 1),
    "timestamp with an offset": number(timestamp("ms", "-09:30"), 1),
    "nanoseconds": number(timestamp("ns"), 2**63 - 1),
    "first date": number("date", -719162, 4),
    "last date": number("date", 2932896, 4),
    "class with an empty name": number({"class_label": {"names": ["", "b"]}}, 0),
    "absent struct": presence(b"\0", b""),
    "present struct": presence(b"\1", b"x"),
    "cell of nothing for zeros": cells(LIST, b"", bytes(80), FIXED_CELLS, 80),
    "cell of zeros": cells(LIST, b"\x50\0\0", bytes(80), FIXED_CELLS, 80),
    "cell of nothing for bases": cells(LIST, b"", struct.pack("<40H", *[7] * 40), Encoding(NARROW, LZ4, cells=True, element=2, number=1, base=7), 80),
    "base beyond its element": cells(LIST, b"\0\0\0" + bytes(range(40)), PIXELS, Encoding(NARROW, ZSTD, cells=True, element=2, number=1, base=2**32), 80),
    "one byte, as a block": cells("bytes", b"\1\0a", b"a", VAR_CELLS),
    "frame cell of a short value": cells("bytes", b"\0\0\1\1\0\0\0\x20\1\x09\0\0a", b"a", VAR_CELLS),
    "stats that are not an object": lambda: patched(sample.tiny(), "stats", lambda _: b"["),
    "no stats": lambda: patched(sample.tiny(), "stats", lambda _: b""),
    "raw cell": cells("bytes", b"\0\0\0a", b"a", VAR_CELLS),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_reads_equal_in_both(name: str, tmp_path: Path) -> None:
    data = LEGAL[name]()
    (tmp_path / "x.atlas").write_bytes(data)
    shard = Shard(data)
    shard.verify()
    verify_shard(tmp_path / "x.atlas")
    ours = list(atlas_ds.AtlasDataset(tmp_path / "x.atlas"))
    assert len(ours) == shard.rows and all(map(agrees, ours, shard))


def test_a_moment_that_its_time_zone_moves_out_of_the_calendar(tmp_path: Path) -> None:
    """It is legal, and shown in UTC: no datetime holds it in its time zone."""
    data = number(timestamp("s", "-05:00"), -62135596800)()
    (tmp_path / "x.atlas").write_bytes(data)
    verify_shard(tmp_path / "x.atlas")
    dataset = atlas_ds.AtlasDataset(tmp_path / "x.atlas")
    assert dataset.batch([0]) == np.datetime64("0001-01-01T00:00:00")
    moment = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    assert dataset[0] == moment and list(Shard(data)) == [moment]


def edited(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Iterator[Callable[[], Any]]:
    """Both readers of a dataset whose manifest was changed, and sealed again."""
    write_dataset(folder, [build(sample.tiny())], sample.schema_of_tiny())
    return edited_as_is(folder, change)


def edited_as_is(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Iterator[Callable[[], Any]]:
    body = json.loads((folder / "atlas.json").read_bytes())
    del body["hash"]
    change(body)
    body["hash"] = wire.H128(rfc8785.dumps(body))[::-1].hex()
    (folder / "atlas.json").write_bytes(rfc8785.dumps(body))
    yield lambda: list(atlas_ds.AtlasDataset(folder))
    yield lambda: list(Dataset(folder).examples())


WRONG_MANIFESTS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "no atlas": ("unsupported", lambda body: body.pop("atlas")),
    "another atlas": ("unsupported", lambda body: body.update(atlas=3)),
    "a feature": ("unsupported", lambda body: body.update(features=["x"])),
    "features that are no text": ("corrupt", lambda body: body.update(features=[1])),
    **{f"no {name}": ("corrupt", lambda body, name=name: body.pop(name)) for name in ("features", "metadata", "rows", "schema", "shards", "splits")},
    **{f"a shard without {name}": ("corrupt", lambda body, name=name: body["shards"][0].pop(name)) for name in ("bytes", "chunk", "path", "raw", "root", "rows", "tail")},
    **{f"a shard with another {name}": ("corrupt", lambda body, name=name: body["shards"][0].update({name: body["shards"][0][name] + 64})) for name in ("bytes", "tail", "raw", "chunk")},
    "splits that overlap themselves": ("corrupt", lambda body: body.update(splits={"a": [[0, 2], [1, 3]]})),
    "splits beyond the rows": ("corrupt", lambda body: body.update(splits={"a": [[0, 4]]})),
    "a shard twice": ("corrupt", lambda body: body.update(shards=body["shards"] * 2, rows=6)),
    "metadata of 65 lists": ("limit", lambda body: body.update(metadata={"a": nested(65)})),
    "a member in the schema": ("corrupt", lambda body: body["schema"].update(x=1)),
}


@pytest.mark.parametrize("name", WRONG_MANIFESTS)
def test_wrong_manifests_are_refused_by_both(name: str, tmp_path: Path) -> None:
    kind, change = WRONG_MANIFESTS[name]
    for read in edited(tmp_path, change):
        with pytest.raises(KINDS[kind]):
            read()


@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("name", ["bytes", "tail", "raw", "chunk"])
def test_readers_notice_what_a_manifest_says_of_a_shard(name: str, io: Any, tmp_path: Path) -> None:
    list(edited(tmp_path, lambda body: body["shards"][0].update({name: body["shards"][0][name] + 64})))
    with pytest.raises(errors.CorruptError):
        atlas_ds.AtlasDataset(tmp_path, io=io)[0]


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


GOOD_MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown members": lambda body: body.update(a={"hash": "0" * 32, "b": [1.5, 1e21]}, zz=None),
    "unknown members before the hash": lambda body: body.update(b={"a": 1, "hash": "0" * 32}),
    "an unknown member of a shard": lambda body: body["shards"][0].update(x=1),
    "metadata of 64 lists": lambda body: body.update(metadata={"a": nested(64)}),
    "an empty range": lambda body: body.update(splits={"a": [[0, 0], [1, 1], [1, 3], [3, 3]]}),
    "splits that overlap each other": lambda body: body.update(splits={"a": [[0, 2]], "b": [[1, 3]], "c": []}),
}


@pytest.mark.parametrize("name", GOOD_MANIFESTS)
def test_good_manifests_are_read_by_both(name: str, tmp_path: Path) -> None:
    ours, theirs = (read() for read in edited(tmp_path, GOOD_MANIFESTS[name]))
    assert len(ours) == 3 and all(map(agrees, ours, theirs))
    assert atlas_ds.verify(tmp_path).damages == []


def test_values_are_not_read_as_what_the_leaf_table_denies(tmp_path: Path) -> None:
    """A column of int64 whose leaf has 2 bytes a value: who trusts the manifest's schema reads past the page."""
    plan = replace(sample.one("int64", [b"ab", b"cd"], Encoding(FIXED), width=8), leaves=(Leaf(0, FIXED_LEAF, 2),))
    data = build(plan)
    good = build(sample.one("int64", [b"abcdefgh"] * 2, Encoding(FIXED), width=8))
    write_dataset(tmp_path, [good], json.loads(plan.schema))
    end = TRAILER.read(data, len(data) - 64)
    root = f"{end.footer_hash:016x}"
    raw = wire.FOOT.read(data, end.footer_offset + 32).raw_bytes
    (tmp_path / f"00000-{root}.atlas").write_bytes(data)
    list(edited_as_is(tmp_path, lambda body: body["shards"][0].update(bytes=len(data), path=f"00000-{root}.atlas", root=root, tail=len(data) - end.footer_offset, raw=raw)))
    for io in ("mmap", "pread"):
        with pytest.raises(errors.CorruptError, match="leaf table"):
            atlas_ds.AtlasDataset(tmp_path, io=io)[0]
    with pytest.raises(wire.Corrupt):
        list(Dataset(tmp_path).examples())


def test_a_dataset_without_shards(tmp_path: Path) -> None:
    write_dataset(tmp_path, [], sample.schema_of_tiny())
    (tmp_path / "00000-0000000000000000.atlas").write_bytes(b"a file that the manifest does not name is not part of the dataset")
    assert list(Dataset(tmp_path).examples()) == [] == list(atlas_ds.AtlasDataset(tmp_path)) and atlas_ds.verify(tmp_path).damages == []


def test_ordinals_need_not_ascend(tmp_path: Path) -> None:
    shards = [build(sample.one("int8", [bytes([i])], Encoding(FIXED), width=1)) for i in range(2)]
    body = json.loads(sample.one("int8", [b"x"], Encoding(FIXED), width=1).schema)
    write_dataset(tmp_path, shards, body)
    entries = json.loads((tmp_path / "atlas.json").read_bytes())["shards"]
    write_dataset(tmp_path, shards, body, shards=entries[::-1])
    assert list(Dataset(tmp_path).examples()) == [1, 0] == list(atlas_ds.AtlasDataset(tmp_path))
