"""convert: detection, all or nothing, splits, appending, writing a dataset anew."""

import os
import pickle
import shutil

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, bridge, types, verify
from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, UnsupportedError
from unit.bridge.tars import write_tar


def table(path, text="a,b\n1,x\n2,y\n"):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"[1, 2]", "JSON array"),
        (b"just words", "neither a table nor JSON lines of objects; if each line is a row, in Python: writer.extend"),
        (b"\1\2\3\0\4", "not a known format"),
        (b"\x28\xb5\x2f\xfdxxx", "zstd"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "tar"),
        (pickle.dumps({"a": 1}), "not a known format"),
    ],
)
def test_strangers(tmp_path, data, words):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises((UnsupportedError, CorruptError), match=words) as caught:
        detect(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)


def test_paths_that_cannot_be(tmp_path):
    with pytest.raises(AtlasError, match="no such file"):
        open_source(tmp_path / "none")
    with pytest.raises(AtlasError, match="not a format that can be read"):
        open_source(table(tmp_path / "t.csv"), "xml")
    with pytest.raises(AtlasError, match="give the file"):
        open_source(tmp_path, "npz")
    with pytest.raises(AtlasError, match="give the folder"):
        open_source(tmp_path / "t.csv", "samples")


def test_destination_in_source(tmp_path, pets):
    for dst in (pets, pets / "out", pets.parent):
        with pytest.raises(AtlasError, match="another folder"):
            convert(pets, dst)


def test_split_append_overwrite(tmp_path):
    src, out = table(tmp_path / "t.csv"), tmp_path / "out"
    convert(src, out, split="train")
    with pytest.raises(FileExistsError):
        convert(src, out)
    convert(src, out, split="test", append=True)
    assert AtlasDataset(out).splits == {"train": 2, "test": 2}
    convert(src, out, overwrite=True)
    assert len(AtlasDataset(out)) == 2 and AtlasDataset(out).splits == {}


def test_append_keeps_the_standing_schema(tmp_path):
    out = tmp_path / "out"
    convert(table(tmp_path / "1.csv", "a,b\n1,\n"), out)
    convert(table(tmp_path / "2.csv", "a,b\n2,x\n"), out, append=True)
    assert list(AtlasDataset(out)) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    with pytest.raises(SchemaError):
        convert(table(tmp_path / "3.csv", "a,b\nword,x\n"), out, append=True)
    assert len(AtlasDataset(out)) == 2


def test_append_does_not_change_the_meaning_of_labels(tmp_path, pets):
    """dog is 1 in the dataset and 0 in the folder; zebra is new."""
    convert(pets, tmp_path / "out")
    (pets / "cat").rename(pets / "zebra")
    done = convert(pets, tmp_path / "out", append=True)
    ds = AtlasDataset(tmp_path / "out")
    assert ds.schema["label"].type.names == ("cat", "dog", "zebra") and [row["label"] for row in ds] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert "label: 1 new class, after the existing ones: zebra" in done.notes
    assert not any("new" in note for note in convert(pets, tmp_path / "out", append=True).notes)
    verify(tmp_path / "out")


def test_append_of_fewer_classes(tmp_path, pets):
    convert(pets, tmp_path / "out")
    shutil.rmtree(pets / "cat")
    convert(pets, tmp_path / "out", append=True)
    ds = AtlasDataset(tmp_path / "out")
    assert ds.schema["label"].type.names == ("cat", "dog") and [row["label"] for row in ds] == [0, 0, 0, 1, 1, 1, 1]


def test_append_of_labels_to_plain_numbers(tmp_path, pets):
    with AtlasDatasetWriter(tmp_path / "out") as writer:
        writer.add_example({"image": pets / "cat/0.jpg", "label": 3, "file_name": "x"})
    with pytest.raises(SchemaError, match=r"out: column 'label' is int64, but the rows to append have class_label\(cat, dog\)"):
        convert(pets, tmp_path / "out", append=True)


def test_append_to_nothing_keeps_the_types(tmp_path, pets):
    convert(pets, tmp_path / "out", append=True)
    assert AtlasDataset(tmp_path / "out").schema["label"].type == types.class_label(["cat", "dog"])


def test_append_of_labels_in_dicts(tmp_path):
    def dataset(path, names, label):
        schema = {"box": types.nullable(types.struct({"kind": types.nullable(types.class_label(names)), "n": "int64"}))}
        with AtlasDatasetWriter(path, schema=schema) as writer:
            writer.extend([{"box": {"kind": label, "n": 1}}, {"box": None}, {"box": {"kind": None, "n": 2}}])
        return path

    out = dataset(tmp_path / "out", ["a", "b"], "b")
    convert(dataset(tmp_path / "more", ["b", "c"], "c"), out, append=True)
    ds = AtlasDataset(out)
    assert [row["box"] and row["box"]["kind"] for row in ds] == [1, None, None, 2, None, None]
    assert ds.schema["box"].type.fields[0].type.names == ("a", "b", "c")


def test_append_of_tuples_with_other_classes(tmp_path):
    for name, classes in (("out", ["a", "b"]), ("more", ["b", "c"])):
        with AtlasDatasetWriter(tmp_path / name, schema=("int64", types.class_label(classes))) as writer:
            writer.add_example((1, "b"))
    with pytest.raises(SchemaError, match="the classes of column '1' differ"):
        convert(tmp_path / "more", tmp_path / "out", append=True)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, CorruptError("x: torn"), OSError(5, "I/O error", "x")])
def test_nothing_is_published_on_a_stop(tmp_path, monkeypatch, stop):
    out = tmp_path / "out"
    convert(table(tmp_path / "t.csv"), out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def torn():
        yield {"a": 1, "b": "x"}, None
        raise stop

    source = bridge.Source("csv", torn, 2)
    monkeypatch.setattr("atlas_ds.bridge.conversion.open_choice", lambda *_: source)
    with pytest.raises(type(stop) if isinstance(stop, BaseException) else stop):
        convert(tmp_path / "t.csv", out, overwrite=True)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.name in before} == before
    assert len(AtlasDataset(out)) == 2
    with pytest.raises(type(stop) if isinstance(stop, BaseException) else stop):
        convert(tmp_path / "t.csv", tmp_path / "new")
    assert not (tmp_path / "new" / "atlas.json").exists()


def test_source_that_shrinks(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "atlas_ds.bridge.conversion.open_choice", lambda *_: bridge.Source("csv", lambda: iter([({"a": 1}, None)]), 2)
    )
    (tmp_path / "t").write_text("a,b\n1,2\n")
    with pytest.raises(AtlasError, match="returned 1 rows, but 2"):
        convert(tmp_path / "t", tmp_path / "out")
    assert not (tmp_path / "out" / "atlas.json").exists()


def test_dataset_anew(tmp_path):
    with AtlasDatasetWriter(tmp_path / "one", metadata={"who": "me"}) as writer:
        for i in range(50):
            writer.add_example({"i": i, "t": f"text {i}"}, split="train" if i % 2 else "test")
    assert detect(tmp_path / "one") == "atlas"
    convert(tmp_path / "one", tmp_path / "two", compression="none", shard_size=10)
    one, two = AtlasDataset(tmp_path / "one"), AtlasDataset(tmp_path / "two")
    assert list(one) == list(two) and one.splits == two.splits and two.metadata == {"who": "me"}
    assert len(two.shards) > len(one.shards)


def test_same_source_same_bytes(tmp_path, pets):
    for name in ("1", "2"):
        convert(pets, tmp_path / name)
    assert sorted(os.listdir(tmp_path / "1")) == sorted(os.listdir(tmp_path / "2"))
    assert (tmp_path / "1" / "atlas.json").read_bytes() == (tmp_path / "2" / "atlas.json").read_bytes()


@pytest.mark.parametrize("name", ["loop", "loop.csv", "loop.tar"])
def test_a_link_to_itself_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / name).symlink_to(name)
    with pytest.raises(AtlasError, match=rf"{name}: cannot be read: Too many levels of symbolic links"):
        convert(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_split_for_all_tars_is_not_noted_as_splits_by_name(tmp_path):
    for name in ("train", "val"):
        (tmp_path / "tars" / name).mkdir(parents=True)
        write_tar(tmp_path / "tars" / name / "0.tar", [(f"{name}.txt", b"x")])
    done = convert(tmp_path / "tars", tmp_path / "out", split="all")
    assert not [note for note in done.notes if "splits" in note] and AtlasDataset(tmp_path / "out").splits == {"all": 2}
    by_name = convert(tmp_path / "tars", tmp_path / "other")
    assert "splits by name: train (1 tar), val (1 tar)" in by_name.notes and AtlasDataset(tmp_path / "other").splits == {"train": 1, "val": 1}
