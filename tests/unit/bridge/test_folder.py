"""Folders: told apart by shape, read in a fixed order, every bad file named."""

import io
import json
import os

import msgpack
import numpy as np
import pytest

from atlas_ds import AtlasDataset, types
from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError
from atlas_ds.schema.media import sniff


def rows(source):
    return [example for example, _ in source.examples()]


def test_classes(pets, tmp_path, make_picture):
    assert detect(pets) == "classes"
    source = open_source(pets)
    assert (source.total, source.schema["label"]) == (5, types.class_label(["cat", "dog"]))
    assert [(r["image"].name, r["label"]) for r in rows(source)] == [
        ("0.jpg", 0), ("1.jpg", 0), ("2.jpg", 0), ("0.jpg", 1), ("1.jpg", 1)]  # fmt: skip
    convert(pets, tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert ds.schema["label"].type.names == ("cat", "dog") and not ds.schema["label"].nullable
    assert bytes(ds[1]["image"].data) == make_picture(1)
    assert ds[1]["image"].type == "image/jpeg"
    assert [int(r["label"]) for r in ds] == [0, 0, 0, 1, 1]


def test_classes_with_splits(tmp_path, jpeg):
    for part in ("train/cat/1", "train/dog/1", "test/cat/1"):
        path = tmp_path / "pets" / f"{part}.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(jpeg)
    source = open_source(tmp_path / "pets")
    assert [(e["label"], split) for e, split in source.examples()] == [(0, "test"), (0, "train"), (1, "train")]
    convert(tmp_path / "pets", tmp_path / "out")
    assert AtlasDataset(tmp_path / "out").splits == {"train": 2, "test": 1}
    assert len(AtlasDataset(tmp_path / "out", split="train")) == 2


def test_samples(tmp_path, jpeg):
    root = tmp_path / "samples"
    (root / "deep").mkdir(parents=True)
    for key in ("b", "a", "deep/c"):
        (root / f"{key}.jpg").write_bytes(jpeg)
        (root / f"{key}.json").write_text(json.dumps({"caption": key, "n": [1, 2.5, None]}))
        (root / f"{key}.cls").write_text("7\n")
        np.save(root / f"{key}.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    (root / "a.txt").write_text("grüße", encoding="utf-8")
    (root / "a.weights.bin").write_bytes(b"\1\2")
    (root / "README").write_text("left out")
    assert detect(root) == "samples"
    done = convert(root, tmp_path / "out")
    assert done.rows == 3
    assert any("README" in note for note in done.notes) and any("no .txt" in note for note in done.notes)
    ds = AtlasDataset(tmp_path / "out")
    assert [r["key"] for r in ds] == ["a", "b", "deep/c"]
    first = ds[0]
    assert list(first) == ["key", "cls", "jpg", "json", "npy", "txt", "weights.bin"]
    assert first["json"] == {"caption": "a", "n": [1, 2.5, None]}
    assert (first["cls"], first["txt"], first["weights.bin"]) == (7, "grüße", b"\1\2")
    assert np.array_equal(first["npy"], np.arange(6, dtype=np.float32).reshape(2, 3)) and first["npy"].dtype == np.float32
    assert bytes(first["jpg"].data) == jpeg
    assert ds[1]["txt"] is None and ds[1]["weights.bin"] is None


def test_other_extensions(tmp_path):
    root = tmp_path / "s"
    root.mkdir()
    out = io.BytesIO()
    np.savez(out, a=np.arange(3))
    files = {"id": b"7", "transcript": b"x", "mp": msgpack.packb([1, b"x"]), "npz": out.getvalue(), "pkl": b"N.", "ppm": b"P6\n1 1\n255\nabc"}
    for extension, data in files.items():
        (root / f"a.{extension}").write_bytes(data)
    convert(root, tmp_path / "out")
    row = AtlasDataset(tmp_path / "out")[0]
    assert (row["id"], row["transcript"], row["mp"]) == (7, "x", [1, b"x"])
    assert (row["npz"], row["pkl"]) == (files["npz"], b"N."), "no column holds several arrays, and pickles are not read"
    assert bytes(row["ppm"].data) == files["ppm"] and row["ppm"].type == "image/x-portable-pixmap"


def test_json_of_differing_shape(tmp_path):
    (tmp_path / "s").mkdir()
    for i, text in enumerate(('{"a": 1}', "[1, 2]", '"x"', "null")):
        (tmp_path / "s" / f"{i}.json").write_text(text)
    convert(tmp_path / "s", tmp_path / "out")
    assert [r["json"] for r in AtlasDataset(tmp_path / "out")] == [{"a": 1}, [1, 2], "x", None]


@pytest.mark.parametrize("shapes", [((2, 3), (4, 3)), ((2,), (2, 2)), ((), ())])
def test_arrays_of_differing_shape(tmp_path, shapes):
    (tmp_path / "s").mkdir()
    for i, shape in enumerate(shapes):
        np.save(tmp_path / "s" / f"{i}.npy", np.full(shape, i, np.int16))
    convert(tmp_path / "s", tmp_path / "out")
    assert [np.shape(r["npy"]) for r in AtlasDataset(tmp_path / "out")] == list(shapes)


@pytest.mark.parametrize(
    ("name", "data", "error", "words"),
    [
        ("a.jpg", b"", CorruptError, "empty"),
        ("a.png", b"<html>not found</html>", CorruptError, "begins with 3c 68"),
        ("a.json", b'{"a": \n oops}', CorruptError, "line 2, column 2"),
        ("a.json", b"\xff", CorruptError, "UTF-8"),
        ("a.txt", b"ab\xe9", CorruptError, "byte 2"),
        ("a.cls", b"cat", CorruptError, "'cat'"),
        ("a.npy", b"no", CorruptError, "npy"),
        ("a.npy", b"", CorruptError, "npy"),
    ],
)
def test_bad_file_is_named(tmp_path, name, data, error, words):
    root = tmp_path / "s"
    root.mkdir()
    (root / "0.txt").write_text("good")
    (root / name).write_bytes(data)
    with pytest.raises(error, match=words) as caught:
        convert(root, tmp_path / "out", source_format="samples")
    assert str(root / name) in str(caught.value)
    assert not (tmp_path / "out" / "atlas.json").exists()


def test_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(CorruptError, match=r"a\.npy"):
        open_source(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(AtlasError, match=r"a\.txt: cannot be read"):
        rows(open_source(tmp_path))


def test_file_that_vanishes_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    source = open_source(tmp_path)
    (tmp_path / "a.txt").unlink()
    [refused] = rows(source)
    assert "a.txt: no such file" in str(refused.error)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.jpg", "a.JPG"], "same key"),
        (["a.key"], "column of the samples"),
        (["README"], "no file has an extension"),
        ([".hidden"], "no files"),
        ([f"x.e{i}" for i in range(70)], "70 different extensions"),
    ],
)
def test_impossible_folders(tmp_path, names, words):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SchemaError, match=words):
        open_source(tmp_path, "samples")


def test_forced_classes_with_strangers(tmp_path, jpeg):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").write_bytes(jpeg)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    source = open_source(tmp_path, "classes")
    assert (source.total, source.left_out) == (1, ("cat/notes.txt: not an image, audio or video file",))
    with pytest.raises(SchemaError, match="--from classes"):
        detect(tmp_path)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_sniff_pictures(make_picture, format):
    assert sniff(make_picture(0, format)[:64]) == f"image/{format.lower()}"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"), (b"\xff\xfb\x90\x00", "audio/mpeg"), (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"\0\0\0\x20ftypisom", "video/mp4"), (b"\0\0\0\x20ftypavif", "image/avif"), (b"hello world!", None), (b"", None),
    ],
)  # fmt: skip
def test_sniff_others(head, kind):
    assert sniff(head) == kind


