"""The manifest: canonical, hashed, checked member by member, published only over the expected one."""

import json
import os
import threading

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_ds import AtlasDataset, errors
from atlas_ds.dataset.canonical import canonical_members, canonical_plain, load_json
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import HASH_MEMBER, Manifest, digest, parse_manifest
from atlas_ds.schema.schema import make_schema
from atlas_ds.schema.types import Array
from atlas_ds.shard.info import ShardInfo
from atlas_ds.store.local import LocalStore
from support import child, write


def infos(count, rows=10):
    return tuple(ShardInfo(f"{k:05d}-{k:016x}.atlas", rows, 1000, 200, f"{k:016x}", 800, 4) for k in range(count))


def reseal(body):
    body = {name: value for name, value in body.items() if name != "hash"}
    plain = rfc8785.dumps(body)
    return rfc8785.dumps(body | {"hash": digest(plain)})


def manifest(**more):
    return Manifest(make_schema({"a": int}), infos(3), **more)


def test_round_trip_and_canonical_form():
    whole = manifest(splits={"é": ((0, 5), (7, 30))}, metadata={"x": [1.5, None, "\",\"hash\":\""], "hash": "0" * 32})
    data = whole.dumps()
    assert parse_manifest(data, "m") == whole and rfc8785.dumps(json.loads(data)) == data and reseal(json.loads(data)) == data


@pytest.mark.parametrize(
    "name, value, error",
    [
        ("atlas", 3, errors.UnsupportedError), ("features", ["x"], errors.UnsupportedError), ("rows", 29, errors.CorruptError), ("rows", "30", errors.CorruptError),
        ("metadata", [], errors.CorruptError), ("shards", {}, errors.CorruptError), ("shards", [1], errors.CorruptError), ("splits", {"a": [[5, 3]]}, errors.CorruptError),
        ("splits", {"a": [[0, 31]]}, errors.CorruptError), ("splits", {"a": [[-1, 3]]}, errors.CorruptError), ("splits", {"a": [1]}, errors.CorruptError),
        ("splits", [], errors.CorruptError), ("schema", {}, errors.CorruptError), ("schema", None, errors.CorruptError), ("splits", {"a": [[0, 5], [3, 6]]}, errors.CorruptError),
        ("splits", {"a": [[0.5, 5]]}, errors.CorruptError), ("splits", {"a": [["0", "5"]]}, errors.CorruptError),
    ],
)  # fmt: skip
def test_wrong_members(name, value, error):
    body = json.loads(manifest().dumps()) | {name: value}
    with pytest.raises(error, match="m: "):
        parse_manifest(reseal(body), "m")


@pytest.mark.parametrize("name", sorted(json.loads(manifest().dumps())))
def test_missing_members(name):
    body = json.loads(manifest().dumps())
    del body[name]
    data = rfc8785.dumps(body) if name == "hash" else reseal(body)
    with pytest.raises((errors.CorruptError, errors.UnsupportedError)):
        parse_manifest(data, "m")


@pytest.mark.parametrize(
    "name, value",
    [
        ("path", "../../etc/passwd"), ("path", "/etc/passwd"), ("path", "00000-0000000000000000.atlas\0"), ("path", "a.atlas"), ("path", 3), ("path", "00000-0000000000000000.atlas\n"),
        ("raw", -1), ("raw", None), ("raw", 1.5), ("raw", True), ("raw", 1e300), ("chunk", 0), ("chunk", -1), ("chunk", (1 << 20) + 1), ("chunk", "4"), ("chunk", None), ("chunk", True), ("bytes", 1e300),
        ("root", "x"), ("root", 3), ("rows", -1), ("rows", True), ("bytes", 1.5), ("tail", None), ("path", "0000-0000000000000000.atlas"),
    ],
)  # fmt: skip
def test_wrong_shards(name, value):
    body = json.loads(manifest().dumps())
    body["shards"][1][name] = value
    body["rows"] = sum(s["rows"] for s in body["shards"] if isinstance(s["rows"], int | float))
    with pytest.raises(errors.CorruptError):
        parse_manifest(reseal(body), "m")


@pytest.mark.parametrize("name", ShardInfo._fields)
def test_every_member_of_a_shard_is_required(name):
    body = json.loads(manifest().dumps())
    del body["shards"][1][name]
    with pytest.raises(errors.CorruptError, match=f"missing.*{name}"):
        parse_manifest(reseal(body), "m")


def test_chunk_may_be_any_block_and_raw_may_be_nothing():
    shards = tuple(info._replace(chunk=chunk, raw=raw) for info, chunk, raw in zip(infos(3), (1, 77, 1 << 20), (0, 5, (1 << 53) - 1), strict=True))
    assert parse_manifest(Manifest(make_schema({"a": int}), shards).dumps(), "m").shards == shards


def respelled(data, old, new):
    """A manifest in another spelling, with the hash that its bytes have."""
    found = HASH_MEMBER.search(data)
    plain = (data[: found.start()] + data[found.end() :]).replace(old, new)
    return plain[: found.start()] + b',"hash":"' + digest(plain).encode() + b'"' + plain[found.start() :]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rows":30', b'"rows": 30'), (b'"tail":200', b'"tail":2e2'), (b'"tail":200}', b'"tail":200,"x":1e-07}'), (b'"raw":800,"root"', b'"raw":800,"raw":800,"root"'), (b"1.5", b"1.50"), (b"1.5", b"15e-1"),
        (b'"x"', b'"\\u0078"'), (b'{"x":1.5}', b'{"x":1.5,"a":1}'), (b'"rows":30', b'"rows":30,"a":1'), (b'"splits":{}}', b'"splits":{}}\n'), (b'"splits":{}}', b'"splits":{},"zz":1.0}'), (b'"splits":{}}', b'"splits":{},"zz":1e999}'),
        (b'"splits":{}}', b'"splits":{},"zz":9007199254740993}'), (b'"splits":{}}', b'"splits":{},"zz":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), (b'"splits":{}}', b'"splits":{"a":[[0,5 ]]}}'),
        (b'"splits":{}}', '"splits":{"\ue000":[],"\U00010000":[]}}'.encode()),
    ],
    ids=range(16),
)  # fmt: skip
def test_only_the_canonical_form_is_read(old, new):
    data = manifest(metadata={"x": 1.5}).dumps()
    assert data.count(old) >= 1 and respelled(data, b"?", b"!") == data
    with pytest.raises(errors.AtlasError, match=r"m: manifest: (not canonical|not JSON|nested|shard 0: rows)"):
        parse_manifest(respelled(data, old, new), "m")


def test_members_of_later_versions_are_ignored():
    data = manifest().dumps()
    for old, new in ((b'"tail":200}', b'"tail":200,"x":1e-7,"y":{"z":[1.5,null]}}'), (b'"splits":{}}', '"splits":{},"zz":[100000000000000000000,1e+21,-0.5,"é"]}'.encode())):
        assert parse_manifest(respelled(data, old, new), "m") == manifest()


@pytest.mark.parametrize("number", [1e20, 2.0**53, -(2.0**60), 4.766596999817218e16, 1e16, 123456789012345680.0, 1e21, 5e-324, 0.1])
def test_large_numbers_of_metadata_come_back(number):
    whole = manifest(metadata={"a": [number, {"b": number}], "n": 3})
    found = parse_manifest(whole.dumps(), "m")
    assert found == whole and type(found.metadata["n"]) is int and found.dumps() == whole.dumps()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(max_codepoint=0x7E)), inner, max_size=4),
)


@settings(deadline=None)
@given(PLAIN, st.dictionaries(st.text(), st.lists(st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 9)), max_size=3)))
def test_the_quick_way_to_the_canonical_form_is_equal(value, members):
    assert canonical_plain(value) == rfc8785.dumps(value) and canonical_members(members) == rfc8785.dumps({name: list(map(list, parts)) for name, parts in members.items()})


@settings(deadline=None)
@given(st.lists(st.builds(ShardInfo, st.from_regex(r"[0-9]{5,15}-[0-9a-f]{16}\.atlas", fullmatch=True), st.integers(0, 10**9), *[st.integers(0, 2**53 - 1)] * 2, st.from_regex("[0-9a-f]{16}", fullmatch=True), *[st.integers(0, 2**53 - 1)] * 2)))
def test_shards_are_in_the_canonical_form(shards):
    data = Manifest(make_schema({"é": int}), tuple(shards), {"é": ((0, 0),)}, {"x": [1.5, 1e20, "\x7f"]}, {"é": 0.5}).dumps()
    assert rfc8785.dumps(load_json(data, exact=True)) == data and [info._asdict() for info in shards] == json.loads(data)["shards"]


def test_every_flipped_bit_is_noticed():
    data = manifest(splits={"train": ((0, 30),)}).dumps()
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.AtlasError):
            parse_manifest(bytes(bad), "m")


def test_cuts_and_additions_are_noticed():
    data = manifest().dumps()
    for bad in (data[:-1], data[:50], b"", data + b"\n", data + b" ", b" " + data, data.replace(b'"atlas":2', b'"atlas": 2')):
        with pytest.raises(errors.AtlasError):
            parse_manifest(bad, "m")


def test_deep_nesting_is_refused():
    body = json.loads(manifest().dumps())
    text = reseal(body).replace(b'"metadata":{}', b'"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    start = text.index(b',"hash":"')
    plain = text[:start] + text[start + 42 :]
    text = plain[:start] + b',"hash":"' + digest(plain).encode() + b'"' + plain[start:]
    with pytest.raises(errors.AtlasError):
        parse_manifest(text, "m")


def test_only_over_the_expected_one(tmp_path):
    first, second = manifest(), manifest(metadata={"a": 1})
    store = LocalStore(tmp_path)
    commit(store, first, expected=None)
    data, version = read_current(store)
    assert data == first.dumps()
    for expected in (None, version + "0", ""):
        with pytest.raises(errors.CommitConflict, match=r"atlas\.json: another writer published while this one was writing"):
            commit(store, second, expected=expected)
    commit(store, second, expected=version)
    assert (tmp_path / "atlas.json").read_bytes() == second.dumps()
    (tmp_path / "atlas.json").unlink()
    with pytest.raises(errors.CommitConflict):
        commit(store, first, expected=store.put("other", b"x"))


def test_one_of_many_racing_writers_wins(tmp_path):
    commit(LocalStore(tmp_path), manifest(), expected=None)
    version = read_current(LocalStore(tmp_path)).version
    results = []
    barrier = threading.Barrier(8)

    def race(k):
        barrier.wait()
        try:
            commit(LocalStore(tmp_path), manifest(metadata={"k": k}), expected=version)
            results.append(k)
        except errors.CommitConflict:
            pass

    threads = [threading.Thread(target=race, args=(k,)) for k in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(results) == 1 and parse_manifest((tmp_path / "atlas.json").read_bytes(), "m").metadata == {"k": results[0]}


def fabricate(folder, count):
    """A dataset of many shards: one real file under many names."""
    real = write(folder / "real", range(10))
    shard = AtlasDataset(real).shards[0]
    many = folder / "many"
    many.mkdir()
    names = tuple(shard._replace(path=f"{k:05d}-{shard.root}.atlas") for k in range(count))
    (many / "atlas.json").write_bytes(Manifest(AtlasDataset(real).schema, names).dumps())
    return many, real / shard.path, names


def test_ten_thousand_shards_are_opened_when_needed(tmp_path):
    many, file, names = fabricate(tmp_path, 10_000)
    os.link(file, many / names[7777].path)
    code = """
import sys, os, json
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from atlas_ds import AtlasDataset
del opened[:]
dataset = AtlasDataset(sys.argv[1])
at_open = [name for name in opened if sys.argv[1] in name]
value = dataset[77775]
print(json.dumps([at_open, [name for name in opened if ".atlas" in os.path.basename(name)], value, len(dataset), dataset.shard_set.is_open]))
"""
    at_open, shards, value, length, is_open = json.loads(child(code, many).stdout)
    assert [os.path.basename(name) for name in at_open] == ["atlas.json"] and [os.path.basename(s) for s in shards] == [names[7777].path]
    assert (value, length, is_open) == (5, 100_000, [7777])


def test_a_hundred_thousand_shards(tmp_path):
    many, file, names = fabricate(tmp_path, 100_000)
    os.link(file, many / names[99_999].path)
    dataset = AtlasDataset(many)
    assert len(dataset) == 1_000_000 and dataset[-1] == 9 and dataset.batch([-2]).tolist() == [8]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), st.sampled_from([int, float, str, bytes, bool, Array("float32", (2, 3))])), min_size=1, max_size=8, unique_by=lambda one: one[0]))
def test_a_schema_is_in_the_canonical_form(columns):
    schema = make_schema(dict(columns))
    assert schema.dumps() == rfc8785.dumps(schema.to_json())
