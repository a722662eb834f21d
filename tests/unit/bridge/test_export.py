"""Export to tars: names, fields, cuts, refusals, and that nothing shows before all is whole. What other readers make of it: tests/contract/test_webdataset.py."""

import gzip
import io
import json
import os
import re
import sys
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import atlas_ds as atlas
from atlas_ds import Media, types
from atlas_ds.bridge.tar.header import archive_end, member_header, padding
from atlas_ds.bridge.webdataset import exporting as export
from atlas_ds.bridge.webdataset import shards_out
from atlas_ds.bridge.webdataset.exporting import export_webdataset
from atlas_ds.bridge.webdataset.names_out import key_fault
from atlas_ds.bridge.webdataset.pattern import parse_pattern
from atlas_ds.errors import AtlasError, LimitError, SchemaError, UnsupportedError
from atlas_ds.store.owner import here_mark
from atlas_ds.store.temporary import temporary_name
from unit.bridge.tars import members, values


@pytest.fixture
def numbers(make):
    return make({"x": i, "t": f"text {i}"} for i in range(10))


def visible(folder):
    return sorted(path.name for path in folder.iterdir())


# --- names and values ---


def test_row_numbers_are_keys(numbers, tmp_path):
    done = export_webdataset(numbers, tmp_path / "out" / "a-%03d.tar")
    assert done.samples == 10 and done.notes == () and dict(done.fields) == {"x": "x.cls", "t": "t.txt"}
    assert [path.name for path in done.paths] == ["a-000.tar"] and done.bytes == done.paths[0].stat().st_size
    assert values(done.paths)[:4] == [("000000000.x.cls", 0), ("000000000.t.txt", "text 0"), ("000000001.x.cls", 1), ("000000001.t.txt", "text 1")]
    assert json.loads(done.index.read_text())["shardlist"] == [{"url": "a-000.tar", "nsamples": 10, "filesize": done.bytes}]
    assert done.index == tmp_path / "out" / "a.json"


@pytest.mark.parametrize(
    ("name", "spec", "value", "field"),
    [
        ("caption", "str", "grüße", "caption.txt"),
        ("txt", "str", "x", "txt"),
        ("json", "str", "{}", "json.txt"),
        ("label", "uint8", 7, "label.cls"),
        ("index", "int64", -7, "index"),
        ("score", "float64", 0.1, "score.json"),
        ("cls", "float64", 0.5, "cls.json"),
        ("good", "bool", True, "good.json"),
        ("meta", "object", {"a": [1, None, float("inf")]}, "meta.json"),
        ("meta", "object", {"a": [b"x"]}, "meta.mp"),
        ("json", "object", [b"x"], "json.mp"),
        ("meta.mp", "object", [1], "meta.mp"),
        ("meta.cbor", "object", [1], "meta.cbor"),
        ("s", types.struct({"a": "int64", "b": "str"}), {"a": 1, "b": "x"}, "s.json"),
        ("s", types.struct({"a": "int64", "b": "bytes"}), {"a": 1, "b": b"x"}, "s.mp"),
        ("data", "bytes", b"\0\1", "data"),
        ("tokens", types.list("int32"), [1, 2], "tokens.json"),
        ("box", types.list("float32", 2), [0.5, float("inf")], "box.json"),
        ("json", types.list("bool"), [], "json"),
        ("label", types.class_label(["a", "b"]), 1, "label.cls"),
        ("s", types.struct({"a": types.list("int64"), "b": types.class_label(["x"])}), {"a": [1], "b": 0}, "s.json"),
    ],
)
def test_fields(make, tmp_path, name, spec, value, field):
    done = export_webdataset(make([{name: value}], {name: spec}), tmp_path / "a.tar")
    assert dict(done.fields) == {name: field}
    (got,) = values(done.paths)
    assert got == (f"000000000.{field}", value) and type(got[1]) is type(value)


@pytest.mark.parametrize("name, spec, value", [("jpg", "bytes", b"no picture"), ("pkl", "bytes", b"N."), ("json", "bytes", b"{"), ("png", types.media(), Media(b"?", "image/png"))])
def test_bytes_of_files_are_written_as_they_are(make, tmp_path, name, spec, value):
    done = export_webdataset(make([{name: value}], {name: spec}), tmp_path / "a.tar")
    with tarfile.open(done.paths[0]) as archive:
        assert archive.getnames() == [f"000000000.{name}"]
        assert archive.extractfile(f"000000000.{name}").read() == bytes(getattr(value, "data", value))


@pytest.mark.parametrize("spec", ["complex64", types.array("float16", (2, 3)), types.array("bool", ()), types.tensor("int16"), types.tensor("uint32", 1)])
def test_arrays(make, tmp_path, spec):
    dtype = getattr(spec, "dtype", spec)
    value = np.ones({"complex64": (), "bool": (), "uint32": (4,)}.get(dtype, (2, 3)), dtype)
    done = export_webdataset(make([{"a": value if value.shape or dtype == "bool" else value[()]}], {"a": spec}), tmp_path / "a.tar")
    ((name, got),) = values(done.paths)
    assert name == "000000000.a.npy" and got.shape == value.shape and np.array_equal(got, value)
    assert got.dtype == value.dtype or dtype == "complex64"


def test_a_dict_of_arrays(make, tmp_path):
    ds = make([{"s": {"a": np.arange(3), "b": np.ones((2, 2), np.float32)}}])
    done = export_webdataset(ds, tmp_path / "a.tar")
    ((name, got),) = values(done.paths)
    assert name == "000000000.s.npz" and np.array_equal(got["a"], np.arange(3)) and got["b"].dtype == np.float32
    mixed = make([{"s": {"a": np.arange(3), "b": "x"}}], name="mixed")
    with pytest.raises(SchemaError, match=r"column 's' is a dict of arrays or media and other things"):
        export_webdataset(mixed, tmp_path / "b.tar")


def test_bfloat16_is_told(make, tmp_path):
    ds = make([{"a": np.ones(2, np.float32)}], {"a": types.array("bfloat16", (2,))})
    assert "bfloat16" in export_webdataset(ds, tmp_path / "a.tar").notes[0]


def test_media(make, tmp_path, make_picture):
    jpeg, png = make_picture(0), make_picture(1, "PNG")
    rows = [{"image": Media(jpeg, "image/jpeg"), "seg.png": Media(png, "image/png")}, {"image": Media(png, "image/png"), "seg.png": None}]
    rows += [{"image": Media(b"raw", "audio/x-raw"), "seg.png": None}]
    done = export_webdataset(make(rows, {"image": types.media(), "seg.png": types.nullable(types.media())}), tmp_path / "a.tar")
    assert dict(done.fields) == {"image": "image.jpg, image.png, image.bin", "seg.png": "seg.png"}
    assert members(*done.paths) == [("000000000.image.jpg", jpeg), ("000000000.seg.png", png), ("000000001.image.png", png), ("000000002.image.bin", b"raw")]


def test_media_field_of_another_column(make, tmp_path, jpeg):
    rows = [{"image": Media(jpeg, "image/jpeg"), "image.jpg": Media(jpeg, "image/jpeg")}]
    with pytest.raises(SchemaError, match=r"'image.jpg' and 'image' would both be the field 'image.jpg'"):
        export_webdataset(make(rows, {"image": types.media(), "image.jpg": types.media()}), tmp_path / "a.tar")


def test_json_that_turns_out_not_to_hold_is_packed(make, tmp_path):
    ds = make([{"m": {"a": 1}}, {"m": None}, {"m": b"x"}, {"m": 2}], {"m": "object"})
    done = export_webdataset(ds, tmp_path / "a.tar")
    assert dict(done.fields) == {"m": "m.mp"} and done.notes == ("m: written as MessagePack, since JSON cannot hold row 2 exactly",)
    assert [value for _, value in values(done.paths)] == [{"a": 1}, None, b"x", 2]
    assert visible(tmp_path) == ["a.json", "a.tar", "ds"]


def test_none_is_no_member(make, tmp_path):
    ds = make([{"x": 1, "t": None}, {"x": None, "t": "a"}], {"x": types.nullable("int64"), "t": types.nullable("str")})
    assert [name for name, _ in values(export_webdataset(ds, tmp_path / "a.tar").paths)] == ["000000000.x.cls", "000000001.t.txt"]


def test_fields_given(make, tmp_path, jpeg):
    ds = make([{"image": Media(jpeg, "image/jpeg"), "label": 3, "data": np.arange(2, dtype=np.int32)}])
    done = export_webdataset(ds, tmp_path / "a.tar", fields={"image": "jpg", "label": "cls", "data": "ten"})
    assert [name for name, _ in members(*done.paths)] == ["000000000.jpg", "000000000.cls", "000000000.ten"]
    for fields, words in (
        ({"label": "txt"}, r"row 0: column 'label': int 3 is not text"),
        ({"image": "json"}, r"row 0: column 'image'"),
        ({"label": "jpg"}, r"row 0: column 'label'"),
        ({"label": "L.cls"}, r"column 'label', field 'L.cls': .*lower case"),
        ({"label": "a/cls"}, r"'/'"),
        ({"label": ""}, r"empty"),
        ({"label": "__cls"}, r"'__'"),
        ({"label": "x", "data": "x"}, r"'label' and 'data' would both be the field 'x'"),
        ({"nobody": "x"}, r"'nobody', which is not a column"),
    ):
        with pytest.raises(SchemaError, match=words):
            export_webdataset(ds, tmp_path / "b.tar", fields=fields)
    with pytest.raises(UnsupportedError, match=r"column 'label': .pkl is a pickle"):
        export_webdataset(ds, tmp_path / "b.tar", fields={"label": "pkl"})
    assert visible(tmp_path) == ["a.json", "a.tar", "ds"]


def test_keys(make, tmp_path):
    rows = [{"__key__": f"a/{i}", "key": f"b{i}", "n": i + 5, "x": i} for i in range(3)]
    ds = make(rows)

    def keys(n, **options):
        done = export_webdataset(ds, tmp_path / f"{n}.tar", **options)
        return [name.split(".")[0] for name, _ in members(*done.paths)][:: len(done.fields)], list(done.fields)

    assert keys(1) == (["a/0", "a/1", "a/2"], ["key", "n", "x"])
    assert keys(2, key="key", fields={"__key__": "name.txt"}) == (["b0", "b1", "b2"], ["__key__", "n", "x"])
    assert keys(3, key="n", fields={"__key__": "name.txt"}) == (["5", "6", "7"], ["__key__", "key", "x"])
    assert keys(4, key=lambda row: f"k{row['x']}", fields={"__key__": "name.txt"})[0] == ["k0", "k1", "k2"]
    for key, words in (("nobody", r"not a column"), (lambda row: 1.5, r"row 0: the key is a float"), (lambda row: None, r"row 0: the key is a NoneType")):
        with pytest.raises(SchemaError, match=words):
            export_webdataset(ds, tmp_path / "b.tar", key=key, fields={"__key__": "name.txt"})
    only = make([{"key": "a"}], name="only")
    with pytest.raises(SchemaError, match=r"key is the only column"):
        export_webdataset(only, tmp_path / "b.tar")


@pytest.mark.parametrize("key", ["", "a.b", "d/a.b", "a/", "/a", "./a", "a//b", "../a", "a/../b", "..", "a\0b", "a\nb", "a\x7f", "__m__/x", "____/x", "\ud800"])
def test_refused_keys(make, tmp_path, key):
    assert key_fault(key)
    ds = make([{"x": i} for i in range(3)])
    with pytest.raises(SchemaError, match=r"^row 1: key .*; (change|make)"):
        export_webdataset(ds, tmp_path / "out" / "a.tar", key=lambda row: key if row["x"] == 1 else str(row["x"]))
    assert visible(tmp_path) == ["ds"]


@pytest.mark.parametrize("key", ["a", "0", "-", "a/b", "a.b/c", "__a__", "__a", "_/x", "a/__m__/x", "a b", "grüße", "日本/語", "x" * 300, "~", "#", "%", "a:b", "\\"])
def test_allowed_keys(key):
    assert key_fault(key) is None


def test_key_twice_in_a_shard(make, tmp_path):
    ds = make([{"key": key, "x": 1} for key in ("a", "b", "a")])
    with pytest.raises(SchemaError, match=r"row 2: key 'a': it is already in a-0.tar"):
        export_webdataset(ds, tmp_path / "a-%d.tar")
    done = export_webdataset(ds, tmp_path / "a-%d.tar", maxcount=2)
    assert [name for name, _ in members(*done.paths)] == ["a.x.cls", "b.x.cls", "a.x.cls"]


def test_sample_without_a_member(make, tmp_path):
    ds = make([{"x": 1}, {"x": None}], {"x": types.nullable("int64")})
    with pytest.raises(SchemaError, match=r"row 1: every column is None"):
        export_webdataset(ds, tmp_path / "a.tar")
    assert visible(tmp_path) == ["ds"]


# --- what is exported ---


def test_views(make, numbers, tmp_path):
    other = make(({"t": None if i == 1 else f"other {i}", "x": i} for i in range(3)), name="other")
    for n, view in enumerate(
        [numbers[2:7], numbers.select([5, 1, 1]), numbers[::-3], atlas.concat([numbers, other]), atlas.concat([other, numbers])[[0, 5, 12]], numbers.with_format("numpy")]
    ):
        done = export_webdataset(view, tmp_path / f"{n}.tar")
        wanted = [{k: v for k, v in row.items() if v is not None} for row in view]
        got: dict = {}
        for name, value in values(done.paths):
            key, column, _ = name.split(".")
            got.setdefault(key, {})[column] = value
        assert list(got.values()) == wanted
    with pytest.raises(UnsupportedError, match=r"map\(\) was applied"):
        export_webdataset(numbers.map(lambda row: row), tmp_path / "b.tar")


def test_datasets_that_disagree(make):
    with pytest.raises(SchemaError, match=r"column 'x' is int64 in dataset 0 .* but str in dataset 1"):
        atlas.concat([make([{"x": 1}]), make([{"x": "a"}], name="other")])


def test_other_containers(make, tmp_path):
    assert values(export_webdataset(make([(1, "a"), (2, "b")]), tmp_path / "a.tar").paths)[:2] == [("000000000.0.cls", 1), ("000000000.1.txt", "a")]
    assert values(export_webdataset(make(["a", "b"], name="v"), tmp_path / "b.tar").paths)[1] == ("000000001.value.txt", "b")


def test_no_rows(make, tmp_path):
    ds = make([{"x": 1}])[:0]
    done = export_webdataset(ds, tmp_path / "a-%d.tar")
    assert done.samples == 0 and members(*done.paths) == [] and len(done.paths) == 1


# --- shards ---


def test_cuts(make, tmp_path):
    ds = make({"b": bytes(size)} for size in (10, 10, 30, 1, 1, 1, 1))
    counts = [shard["nsamples"] for shard in json.loads(export_webdataset(ds, tmp_path / "a-%d.tar", maxcount=3).index.read_text())["shardlist"]]
    assert counts == [3, 3, 1]
    counts = [shard["nsamples"] for shard in json.loads(export_webdataset(ds, tmp_path / "b-%d.tar", maxsize=20).index.read_text())["shardlist"]]
    assert counts == [2, 1, 4]


def test_cuts_are_webdatasets(make, tmp_path):
    wds = pytest.importorskip("webdataset")
    rows = [{"b": bytes(size)} for size in np.random.default_rng(0).integers(0, 50, 200)]
    done = export_webdataset(make(rows), tmp_path / "a-%04d.tar", maxcount=11, maxsize=300)
    with wds.ShardWriter(str(tmp_path / "w-%04d.tar"), maxcount=11, maxsize=300, verbose=0) as writer:
        for i, row in enumerate(rows):
            writer.write({"__key__": f"{i:09d}", **row})
    theirs = sorted(tmp_path.glob("w-*.tar"))
    assert len(theirs) > 10 and [members(path) for path in theirs] == [members(path) for path in done.paths]


def test_a_pattern_for_one_file(numbers, tmp_path):
    with pytest.raises(AtlasError, match=r"10 samples do not fit in one file of maxcount=9"):
        export_webdataset(numbers, tmp_path / "a.tar", maxcount=9)
    with pytest.raises(LimitError, match=r"the pattern is for one file"):
        export_webdataset(numbers, tmp_path / "a.tar", maxsize=10)
    assert visible(tmp_path) == ["ds"]


@pytest.mark.parametrize("pattern", ["a-%d-%d.tar", "a-%s.tar", "a-%.tar", "%d/a.tar", "a.zip", "a-%d", ".tar", ".a.tar", "a-%-3d.tar"])
def test_bad_patterns(pattern):
    with pytest.raises(AtlasError, match=re.escape(pattern)):
        parse_pattern(pattern)


@given(st.integers(0, 10**8), st.sampled_from(["a-%06d.tar", "%d.tar.gz", "50%%-%03d.tgz", "x%9d.tar.zst", "a%da.tar"]))
def test_pattern_is_printf(number, pattern):
    place = parse_pattern(pattern)
    assert place.name(number) == pattern % number and place.owns(pattern % number)
    assert not place.owns("0" * 9 + pattern % number)


@pytest.mark.parametrize(("pattern", "index"), [("o/train-%06d.tar", "train.json"), ("%d.tar", "shards.json"), ("a.tar.gz", "a.json"), ("a_%d_b.tgz", "a_b.json")])
def test_index_name(pattern, index):
    assert parse_pattern(pattern).index == index


# --- bytes ---


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=120) | st.text("ab/.", min_size=95, max_size=105).filter(lambda n: n[-1] != "/")


@given(NAMES, st.integers(0, 1 << 34))
def test_headers_are_tarfiles(name, size):
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    assert member_header(name, size) == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 10240 - 1024 - 512, 10240 - 1024 - 511, 99999])
def test_archives_are_tarfiles(make, tmp_path, size):
    done = export_webdataset(make([{"b": bytes(size)}, {"b": b"x"}]), tmp_path / "a.tar")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("000000000.b", bytes(size)), ("000000001.b", b"x")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o444
            archive.addfile(info, io.BytesIO(data))
    assert done.paths[0].read_bytes() == out.getvalue()
    assert len(padding(size)) == -size % 512 and len(archive_end(0)) == 10240


def test_same_dataset_same_bytes(make, tmp_path, monkeypatch):
    ds = make({"key": f"k{i}" + "ü" * (i % 2), "x": i} for i in range(50))
    for suffix in ("tar", "tar.gz", "tar.zst"):
        first = [path.read_bytes() for path in export_webdataset(ds, tmp_path / f"a-%d.{suffix}", maxcount=20).paths]
        monkeypatch.setattr("time.time", lambda: 1.0)
        monkeypatch.setattr(shards_out, "HELD", 100)
        again = [path.read_bytes() for path in export_webdataset(ds.path, tmp_path / "deep" / f"b-%d.{suffix}", maxcount=20).paths]
        monkeypatch.undo()
        if suffix == "tar.zst":
            zstandard = pytest.importorskip("zstandard")
            first, again = ([zstandard.ZstdDecompressor().decompressobj().decompress(data) for data in datas] for datas in (first, again))
        if suffix == "tar.gz":
            assert all(data[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff" for data in first)
            first, again = ([gzip.decompress(data) for data in datas] for datas in (first, again))
        assert first == again and len(first) == 3


def test_compressed_twice_is_equal(numbers, tmp_path):
    for suffix in ("tgz", "tar.gz", "tar.zst"):
        one, two = (export_webdataset(numbers, tmp_path / f"{name}.{suffix}") for name in "ab")
        assert one.paths[0].read_bytes() == two.paths[0].read_bytes()
        assert one.index is None and any("wids does not read compressed" in note for note in one.notes)


# --- published together ---


def test_standing_shards(numbers, make, tmp_path):
    out = tmp_path / "out"
    export_webdataset(numbers, out / "a-%d.tar", maxcount=3)
    (out / "a-x.tar").write_bytes(b"not ours")
    (out / "a-07.tar").write_bytes(b"not ours")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(FileExistsError, match=r"a-0.tar: already exists"):
        export_webdataset(numbers, out / "a-%d.tar")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    done = export_webdataset(numbers, out / "a-%d.tar", maxcount=6, overwrite=True)
    assert visible(out) == ["a-0.tar", "a-07.tar", "a-1.tar", "a-x.tar", "a.json"] and len(done.paths) == 2
    assert (out / "a-07.tar").read_bytes() == b"not ours"
    export_webdataset(numbers, out / "a-%d.tar", overwrite=True, index=False)
    assert visible(out) == ["a-0.tar", "a-07.tar", "a-x.tar"]


def test_a_json_that_is_no_index_stays(numbers, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(AtlasError, match=r"a.json: has the name of the index, but is not an index"):
        export_webdataset(numbers, tmp_path / "a-%d.tar", overwrite=True)
    export_webdataset(numbers, tmp_path / "a-%d.tar", index=False)
    export_webdataset(numbers, tmp_path / "a-%d.tar", index=False, overwrite=True)
    assert (tmp_path / "a.json").read_text() == "{}"


def test_overlap(numbers, tmp_path):
    for pattern in (tmp_path / "ds" / "a-%d.tar", tmp_path / "ds" / "deep" / "a.tar"):
        with pytest.raises(AtlasError, match=r"inside the source"):
            export_webdataset(numbers, pattern, overwrite=True)
        with pytest.raises(AtlasError, match=r"inside the source"):
            export_webdataset(atlas.concat([numbers, numbers]), pattern)
    assert not (tmp_path / "ds" / "deep").exists()


def test_another_key_than_the_tars_had(tmp_path):
    with atlas.AtlasDatasetWriter(tmp_path / "ds") as writer:
        writer.extend({"__key__": f"k{i}", "txt": f"t{i}"} for i in range(3))
    for number, (options, name, fields) in enumerate([
        ({"key": "txt"}, "t0.txt", {"txt"}),
        ({"key": lambda example: "z" + example["__key__"]}, "zk0.txt", {"txt"}),
        ({"key": lambda example: "z" + example["txt"], "fields": {"__key__": "orig.txt"}}, "zt0.orig.txt", {"orig.txt", "txt"}),
    ]):  # fmt: skip
        if options["key"] == "txt":
            with pytest.raises(SchemaError, match="key is the only column"):
                export_webdataset(tmp_path / "ds", tmp_path / f"{number}.tar", **options)
            continue
        done = export_webdataset(tmp_path / "ds", tmp_path / f"{number}.tar", **options)
        assert set(done.fields.values()) == fields
        with tarfile.open(done.paths[0]) as archive:
            assert name in archive.getnames()


def test_options_of_the_wrong_kind(numbers, tmp_path):
    with pytest.raises(TypeError, match=r"fields=\['n'\]: must be a dict"):
        export_webdataset(numbers, tmp_path / "a.tar", fields=["n"])
    with pytest.raises(ValueError, match="maxcount=7"):
        export_webdataset(numbers, tmp_path / "a.tar", maxcount="7")
    for pattern in ("a-{:06d}.tar", "a-{000000..000003}.tar"):
        with pytest.raises(AtlasError, match="a shard's number is written %06d"):
            export_webdataset(numbers, tmp_path / pattern)
    assert visible(tmp_path) == ["ds"]


STEPS = ("writev", "fsync", "replace", "unlink", "link", "open")


@pytest.mark.parametrize("standing", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_an_error_anywhere_leaves_what_was(numbers, tmp_path, monkeypatch, step, kind, standing):
    """The nth call of a system function fails, for every n until none does."""
    out = tmp_path / "out"
    if standing:
        export_webdataset(numbers[:7], out / "a-%d.tar", maxcount=2)
    before = {path.name: path.read_bytes() for path in out.iterdir()} if standing else None
    real = getattr(os, step)
    for n in range(1000):
        calls = 0

        def failing(*args, n=n, **options):
            nonlocal calls
            calls += 1
            if calls == n + 1:
                raise kind("now")
            return real(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, failing)
            try:
                export_webdataset(numbers, out / "a-%d.tar", maxcount=4, overwrite=True)
            except (kind, AtlasError):
                failed = True
            else:
                failed = False
        if not failed:
            break
        if step == "unlink" and out.exists() and "a-2.tar" in visible(out) and (out / "a-2.tar").read_bytes() != (before or {}).get("a-2.tar"):
            break  # all had their names: only the old files' second names were still to go
        assert ({path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else None) == before
    assert n > 0 or step in ("unlink", "link")
    assert [name for name in visible(out) if not name.startswith(".")] == ["a-0.tar", "a-1.tar", "a-2.tar", "a.json"]


def test_unfinished_shards_of_the_dead_go(numbers, tmp_path):
    dead = f"{os.getpid()}.1.{here_mark()}"  # the number is another process's by now
    foreign = f"{os.getpid()}.1.00000000"  # of another machine: whether it has ended cannot be told
    names = [f".tmp-a-3.tar-{dead}-0", f".tmp-b-3.tar-{dead}-0", f".tmp-a-3.tar-{foreign}-0", temporary_name("a-3.tar")]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    export_webdataset(numbers, tmp_path / "a-%d.tar")
    assert visible(tmp_path) == sorted([*names[1:], "a-0.tar", "a.json", "ds"])


def test_missing_zstandard(numbers, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=r"atlas-ds\[tar\]"):
        export_webdataset(numbers, tmp_path / "out" / "a-%d.tar.zst")
    assert visible(tmp_path) == ["ds"]


def test_memory_does_not_grow_with_rows(make, tmp_path):
    peaks = []
    for count in (2_000, 40_000):
        ds = make(({"x": i, "t": f"text {i}"} for i in range(count)), name=f"ds{count}")
        tracemalloc.start()
        export_webdataset(ds, tmp_path / f"{count}-%d.tar")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + (1 << 20)


def test_bad_options(numbers, tmp_path):
    for options in ({"maxcount": 0}, {"maxcount": True}, {"maxsize": "much"}):
        with pytest.raises((ValueError, TypeError), match=r"max"):
            export_webdataset(numbers, tmp_path / "out" / "a-%d.tar", **options)
    assert visible(tmp_path) == ["ds"]
    assert export.KEY_DIGITS == 9
