"""What others make of exported tars: the real webdataset and the real wids read back what was written; what is refused would have been damaged."""

import datetime
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, types
from atlas_ds.bridge.files.listing import list_folder
from atlas_ds.bridge.tar.header import archive_end, member_header, padding
from atlas_ds.bridge.values.by_extension import decode_value
from atlas_ds.bridge.webdataset.exporting import export_webdataset
from atlas_ds.bridge.webdataset.names_out import field_fault, key_fault
from support import same

WIDS = Path(sys.prefix) / "peers" / "wids"
READ_WIDS = """
import json, sys, wids
ds = wids.ShardListDataset(sys.argv[1], cache_dir=sys.argv[2], transformations=[lambda sample: sample], keep=True)
for i in range(len(ds)):
    print(json.dumps({k: v if isinstance(v, str) else v.read().hex() for k, v in ds[i].items() if k == "__key__" or k[:2] != "__"}))
"""
HOW_WIDS_READS = """
import json, sys
from wids.wids import IndexedTarSamples
samples = IndexedTarSamples(path=sys.argv[1])
for i in range(len(samples)):
    print(json.dumps({k: v if isinstance(v, str) else v.read().hex() for k, v in samples[i].items()}))
"""
Samples = list[tuple[str, dict[str, bytes]]]


def by_webdataset(*paths: Path) -> Samples:
    samples = wds.WebDataset([str(path) for path in paths], shardshuffle=False, empty_check=False)
    return [(s["__key__"], {k: v for k, v in s.items() if k not in ("__key__", "__url__", "__local_path__")}) for s in samples]


class WidsFailed(Exception):
    pass


def run_wids(code: str, *args: Path) -> Samples:
    """Its packages have the names of the newer webdataset's, so it runs by itself."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(WIDS)}, cwd=args[-1].parent)
    if done.returncode:
        raise WidsFailed(done.stderr)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [(row.pop("__key__"), {k.removeprefix("."): bytes.fromhex(v) for k, v in row.items()}) for row in rows]


def by_wids(index: Path, cache: Path) -> Samples:
    cache.mkdir(exist_ok=True)
    return run_wids(READ_WIDS, index, cache)


def tar_of(path: Path, samples: Samples) -> Path:
    """The same bytes that an export makes, with no name refused."""
    parts = [part for key, fields in samples for field, data in fields.items() for part in (member_header(f"{key}.{field}", len(data)), data, padding(len(data)))]
    path.write_bytes(b"".join(parts) + archive_end(sum(map(len, parts))))
    return path


def picture(seed: int, format: str) -> bytes:
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 9, 3), np.uint8)).save(out, format)
    return out.getvalue()


SCHEMA = {
    "key": "str",
    "label": "int64",
    "caption": types.nullable("str"),
    "score": "float64",
    "meta": "object",
    "packed": "object",
    "image": types.media(),
    "seg.png": types.media("image/png"),
    "vector": types.array("float16", (2, 3)),
    "any": types.tensor("int32"),
    "arrays": types.struct({"a": types.tensor("uint8", 1), "b": types.array("bool", (2,))}),
    "raw": "bytes",
    "ten": types.tensor("float32", 2),
    "count": "uint8",
    "tokens": types.list("uint16"),
    "pair": types.list("float32", 2),
    "class": types.nullable(types.class_label(["cat", "dog"])),
    "when": types.timestamp("us", "UTC"),
    "box": types.struct({"day": "date", "flags": types.list("bool")}),
}


def every_kind(i: int) -> dict:
    rng = np.random.default_rng(i)
    jpeg, png = picture(i, "JPEG"), picture(i, "PNG")
    return {
        "key": f"d.{i % 3}/k{i}",
        "label": i - 3,
        "caption": None if i % 4 == 1 else f"grüße {i}",
        "score": i / 3,
        "meta": {"a": [i, None, "ü"], "b": {"c": 1e300}},
        "packed": [b"\0" * i, i],
        "image": Media(jpeg, "image/jpeg") if i % 2 else Media(png, "image/png"),
        "seg.png": Media(png, "image/png"),
        "vector": rng.random((2, 3)).astype(np.float16),
        "any": rng.integers(0, 9, (2,) * (i % 3)).astype(np.int32),
        "arrays": {"a": np.arange(i, dtype=np.uint8), "b": np.array([True, False])},
        "raw": rng.bytes(i * 100),
        "ten": rng.random((i, 2)).astype(np.float32),
        "count": i,
        "tokens": list(range(i)),
        "pair": [i, 0.5],
        "class": None if i % 5 == 0 else i % 2,
        "when": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
        "box": {"day": datetime.date(2024, 2, 29), "flags": [True] * (i % 3)},
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "ds"
    with AtlasDatasetWriter(path, schema=SCHEMA) as writer:
        writer.extend(every_kind(i) for i in range(12))
    return AtlasDataset(path)


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export_webdataset(source, tmp_path_factory.mktemp("out") / "all-%04d.tar", maxcount=5, fields={"ten": "matrix.ten"})


def equal(got, wanted) -> bool:
    if isinstance(wanted, dict):
        return isinstance(got, dict) and list(got) == list(wanted) and all(equal(got[name], wanted[name]) for name in wanted)
    if isinstance(wanted, np.ndarray):
        return got.dtype == wanted.dtype and got.shape == wanted.shape and np.array_equal(got, wanted)
    return type(got) is type(wanted) and got == wanted


def check(samples: Samples, source: AtlasDataset, exported) -> None:
    """Keys, order and every value; no field more or less."""
    assert len(samples) == len(source)
    column_of = {field: column for column, fields in exported.fields.items() for field in fields.split(", ")}
    for (key, fields), row in zip(samples, source, strict=True):
        row = dict(row)
        assert key == row.pop("key")
        got = {column_of[field]: decode_value(field, data, field) for field, data in fields.items()}
        assert list(got) == [name for name, value in row.items() if value is not None]
        row |= {"when": "2024-02-29T12:00:00+00:00", "box": row["box"] | {"day": "2024-02-29"}}  # as the notes say
        for name, value in got.items():
            assert equal(value[0] if name == "ten" else value, row[name]), name


def test_webdataset_reads_all(source, exported):
    assert len(exported.paths) == 3
    check(by_webdataset(*exported.paths), source, exported)


def test_wids_reads_all(source, exported, tmp_path):
    check(by_wids(exported.index, tmp_path / "cache"), source, exported)


def test_webdataset_decodes(source, exported):
    samples = list(wds.WebDataset([str(path) for path in exported.paths], shardshuffle=False).decode("rgb8"))
    for got, row in zip(samples, source, strict=True):
        assert got["label.cls"] == row["label"] and got["count"] == b"%d" % row["count"] and got["score.json"] == row["score"]
        assert got["meta.json"] == row["meta"] and got["packed.mp"] == row["packed"] and got.get("caption.txt") == row["caption"]
        assert equal(got["vector.npy"], row["vector"]) and equal(got["any.npy"], row["any"])
        assert {name: equal(got["arrays.npz"][name], value) for name, value in row["arrays"].items()} == {"a": True, "b": True}
        (matrix,) = got["matrix.ten"]
        assert equal(matrix, row["ten"]) and got["raw"] == row["raw"]
        assert np.array_equal(got["seg.png"], row["seg.png"].decode())
        assert got["tokens.json"] == row["tokens"] and got["pair.json"] == row["pair"] and got.get("class") == (None if row["class"] is None else b"%d" % row["class"])
        assert datetime.datetime.fromisoformat(got["when.txt"]) == row["when"] and got["box.json"] == {"day": "2024-02-29", "flags": row["box"]["flags"]}


@pytest.mark.parametrize("suffix", ["tar.gz", "tgz"])
def test_webdataset_reads_compressed(source, tmp_path, suffix):
    done = export_webdataset(source, tmp_path / f"a-%d.{suffix}", maxcount=5, fields={"ten": "matrix.ten"})
    check(by_webdataset(*done.paths), source, done)


def test_zstd_is_zstd(source, exported, tmp_path):
    zstandard = pytest.importorskip("zstandard")
    done = export_webdataset(source, tmp_path / "a-%d.tar.zst", maxcount=5, fields={"ten": "matrix.ten"})
    plain = [zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()) for path in done.paths]
    assert plain == [path.read_bytes() for path in exported.paths]


# --- names ---

KEYS = ("a", "0", "-", "a/b", "a.b/c", "__a__", "__a", "_/x", "__/x", "___/x", "a/__m__/x", "a b", " a", "a ", "~", "#", "%", "a:b", "\\", "*", "a,b", "{0,3}")
WIDE_KEYS = ("grüße", "日本/語", "x" * 99, "x" * 300, "d/" * 90 + "x", "\u2028", "e\u0301")
BAD_KEYS = ("", "a.b", "d/a.b", "a/", "/a", "./a", "a//b", "../a", "a/../b", "a/./b", "..", ".", "a\0b", "a\nb", "__m__/x", "____/x", "__a.b__/x", "\ud800")
FIELDS = ("bin", "a.b.bin", ".a", "a.", "_x", "-", "a b", "ü", "1", "x__y", "a:b")
BAD_FIELDS = ("", "a/b", "TXT", "Ü", "a\0b", "a\nb", "__url__", "__x.json", "x__", "\ud800")


def dataset_of(tmp_path, count):
    with AtlasDatasetWriter(tmp_path / "ds") as writer:
        writer.extend({"x": i, "b": b"%d" % i} for i in range(count))
    return AtlasDataset(tmp_path / "ds")


@pytest.mark.parametrize("read", ["webdataset", "wids"])
def test_allowed_names_come_back(tmp_path, read):
    keys = KEYS + (WIDE_KEYS if read == "webdataset" else ())
    fields = [field for field in FIELDS if read == "webdataset" or field.isascii()]
    with AtlasDatasetWriter(tmp_path / "ds") as writer:
        writer.extend({str(n): b"%d %d" % (i, n) for n in range(len(fields))} | {"key": key} for i, key in enumerate(keys))
    named = {str(n): field for n, field in enumerate(fields)}
    done = export_webdataset(tmp_path / "ds", tmp_path / "a.tar", fields=named)
    got = by_webdataset(*done.paths) if read == "webdataset" else by_wids(done.index, tmp_path / "cache")
    assert got == [(key, {field: b"%d %d" % (i, n) for n, field in enumerate(fields)}) for i, key in enumerate(keys)]
    assert bool(done.notes) == (read == "webdataset")


def test_wide_names_are_told_since_wids_cannot_read_them(tmp_path):
    ds = dataset_of(tmp_path, len(WIDE_KEYS))
    done = export_webdataset(ds, tmp_path / "a.tar", key=lambda row: WIDE_KEYS[row["x"]])
    assert done.notes == (f"{2 * len(WIDE_KEYS)} members have names over 100 bytes or not ASCII: webdataset reads them, wids does not",)
    assert [key for key, _ in by_webdataset(*done.paths)] == list(WIDE_KEYS)
    with pytest.raises(WidsFailed):
        by_wids(done.index, tmp_path / "cache")


def decoded(path: Path) -> Samples:
    """With a decoder that knows no extension; it still turns what it takes for metadata into text."""
    decoder = wds.autodecode.Decoder([], pre=[], post=[])
    return [(key, decoder(fields)) for key, fields in by_webdataset(path)]


def rewritten(path: Path) -> Samples:
    """Read and written once more by webdataset."""
    again = path.with_name("again.tar")
    with wds.TarWriter(str(again)) as writer:
        for key, fields in by_webdataset(path):
            writer.write({"__key__": key, **fields})
    return by_webdataset(again)


JUDGES = {"webdataset": by_webdataset, "decoder": decoded, "writer": rewritten, "wids": lambda path: run_wids(HOW_WIDS_READS, path)}


def differs(act, path: Path, wanted: Samples) -> bool:
    try:
        return act(path) != wanted
    except (ValueError, IndexError, WidsFailed):
        return True


def damaged(tmp_path: Path, wanted: Samples) -> str | None:
    """The first that loses or changes something of these samples: webdataset, its decoder, its writer, wids, or whoever unpacks the tar."""
    try:
        path = tar_of(tmp_path / "bad.tar", wanted)
    except (UnicodeEncodeError, ValueError):
        return "tar"
    for name, act in JUDGES.items():
        if (name != "wids" or WIDS.is_dir()) and differs(act, path, wanted):
            return name
    folder = tmp_path / "unpacked"
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.FilterError, ValueError, OSError):
        return "unpacked"
    names = {str(file) for file in list_folder(folder).files}  # not hidden ones: "a/.txt" is one
    return None if names == {f"{key}.{field}" for key, fields in wanted for field in fields} else "unpacked"


def test_the_judge_finds_no_fault_in_good_names(tmp_path):
    assert damaged(tmp_path, [("a", {"txt": b"1"}), ("b", {"txt": b"2", "json": b"3"})]) is None


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_refused_keys_would_be_damaged(tmp_path, key):
    assert key_fault(key)
    assert damaged(tmp_path, [("0", {"txt": b"0"}), (key, {"txt": b"1", "json": b"2"})])


@pytest.mark.parametrize("name", ["a.txt", "a/b.c.txt", "a b.x"])
def test_the_judges_agree_with_allowed_names(tmp_path, name):
    key, _, field = name.partition(".")
    assert damaged(tmp_path, [(key, {field: b"1"})]) is None


@pytest.mark.parametrize("field", BAD_FIELDS, ids=ascii)
def test_refused_fields_would_be_damaged(tmp_path, field):
    assert field_fault(field)
    assert damaged(tmp_path, [("__a", {field: b"0"})])


@pytest.mark.parametrize("samples", [
    [("a", {"txt": b"0"}), ("a", {"txt": b"1"})],
    [("a", {"txt": b"0"}), ("b", {"txt": b"1"}), ("a", {"txt": b"2"})],
    [("a", {"txt": b"0"}), ("b", {})],
], ids=["key twice", "key again", "no member"])  # fmt: skip
def test_refused_samples_would_be_damaged(tmp_path, samples):
    assert damaged(tmp_path, samples)


def test_cbor_and_concat(source, tmp_path):
    both = atlas.concat([AtlasDataset(source.path, columns=["key", "meta"])[:3], AtlasDataset(source.path, columns=["key", "meta"])[5:7]])
    done = export_webdataset(both, tmp_path / "a.tar", fields={"meta": "cbor"})
    got = by_webdataset(*done.paths)
    assert [(key, decode_value("cbor", fields["cbor"], "here")) for key, fields in got] == [(row["key"], row["meta"]) for row in both]


def written_by_webdataset(folder: Path) -> str:
    """Shards of ShardWriter with a field of every kind that its writer encodes."""
    folder.mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (8, 9, 3), np.uint8)
    with wds.ShardWriter(str(folder / "in-%06d.tar"), maxcount=7, verbose=0) as writer:
        for i in range(20):
            sample = {"__key__": f"dir{i % 3}/s{19 - i:05d}", "txt": f"text é {i}", "text": "", "transcript": "x" * i, "cls": i, "cls2": -i, "index": i, "inx": i, "id": i}
            sample |= {"json": {"a": [i, None, 0.1]}, "jsn": [i], "mp": {"x": [b"1", i]}, "msg": i, "npy": np.arange(i, dtype=np.float32).reshape(-1, 1), "npz": {"a": np.ones(i)}}
            sample |= {"ten": [np.arange(i + 1, dtype=np.float32), np.ones((2, 2), np.int64)], "tb": [np.ones(1, np.int32)], "jpg": picture, "png": picture, "ppm": picture, "seg.png": picture}
            sample |= {"pyd": {"x": i}, "pickle": [i], "pth": {"x": 2}, "bin": bytes(range(i)), "mp4": b"\0\0\0\x18ftypisom" + bytes(i)}
            if i % 4 == 0:
                sample["sometimes.json"] = {"i": i}
            writer.write(sample)
    return str(folder / "in-{000000..000002}.tar")


def test_through_atlas_and_back(tmp_path):
    """webdataset's ShardWriter -> import -> export -> webdataset and wids: equal keys, order and bytes for every kind of field."""
    urls = written_by_webdataset(tmp_path / "in")
    before = by_webdataset(*map(Path, sorted((tmp_path / "in").glob("*.tar"))))
    told = atlas.import_webdataset(urls, tmp_path / "ds")
    assert told.rows == 20 and told.skipped == {} and set(told.fields) == {field for _, fields in before for field in fields} and told.fields["sometimes.json"] == 5
    done = export_webdataset(tmp_path / "ds", tmp_path / "out" / "out-%06d.tar", maxcount=7)
    assert by_webdataset(*done.paths) == before
    assert by_wids(done.index, tmp_path / "cache") == before
    assert [(row["__key__"], {k: bytes(getattr(v, "data", v)) for k, v in row.items() if k != "__key__" and v is not None}) for row in atlas.open_tar(urls)] == before


def test_decoded_and_encoded_again(tmp_path):
    """What export writes, import reads to equal values, for the extensions that are decoded."""
    urls = written_by_webdataset(tmp_path / "in")
    fields = ["txt", "text", "transcript", "cls", "cls2", "index", "inx", "id", "json", "jsn", "mp", "msg", "npy", "jpg", "png", "seg.png", "ppm", "bin", "mp4", "sometimes.json"]
    atlas.import_webdataset(urls, tmp_path / "ds", fields=fields, decode=True)
    ds = AtlasDataset(tmp_path / "ds")
    done = export_webdataset(ds, tmp_path / "out" / "out-%06d.tar", maxcount=7)
    assert sorted(done.fields.values()) == sorted(fields)
    atlas.import_webdataset(list(done.paths), tmp_path / "again", decode=True)
    again = AtlasDataset(tmp_path / "again", columns=list(ds.schema.names))
    assert same(list(again), list(ds)) and len(ds) == 20 and ds[3]["cls"] == 3 and ds[3]["json"] == {"a": [3, None, 0.1]}
