"""What is refused leaves no trace: no rows of a batch, no split, no schema, no longer time of the first examples."""

import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, types

BATCHES = {
    "int": ("int8", [1] * 5000 + [300]),
    "object": ("object", [1] * 5000 + [{1, 2}]),
    "str": ("str", ["a"] * 5000 + ["\ud800"]),
    "media": (types.nullable(types.media()), [None] * 3000 + [Path("/nowhere.jpg")]),
    "no schema": (None, [1] * 2000 + ["a"]),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_refused_batch(tmp_path, name):
    kind, values = BATCHES[name]
    with AtlasDatasetWriter(tmp_path / "d", schema=None if kind is None else {"x": kind}, workers=0) as writer:
        with pytest.raises(errors.SchemaError, match=r"examples 0 to \d+: row \d+ of the batch: column 'x'"):
            writer.add_batch({"x": values})
        assert writer.position == 0
        writer.add_batch({"x": values[:-1]})
    assert len(AtlasDataset(tmp_path / "d")) == len(values) - 1


def test_a_batch_over_the_ends_of_shards(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", 7, workers=0) as writer:
        writer.add_batch({"i": np.arange(40), "s": [f"row {i}" for i in range(40)], "m": np.ma.MaskedArray(np.arange(40), np.arange(40) % 3 == 0)})
    assert [row["i"] for row in AtlasDataset(tmp_path / "d")] == list(range(40)) and len(AtlasDataset(tmp_path / "d").shards) == 6
    assert [(row["s"], row["m"]) for row in AtlasDataset(tmp_path / "d")] == [(f"row {i}", None if i % 3 == 0 else i) for i in range(40)]


@pytest.mark.parametrize("schema", [{"x": "int8"}, None], ids=["schema", "no schema"])
@pytest.mark.parametrize("first", [None, "tset"])
def test_the_split_of_a_refused_example(tmp_path, schema, first):
    bad = {"x": "a"} if schema else {"x": {1, 2}}
    with AtlasDatasetWriter(tmp_path / "d", schema=schema) as writer:
        with pytest.raises(errors.SchemaError):
            writer.add_example(bad, split=first)
        with pytest.raises(errors.SchemaError):
            writer.add_batch({"x": [1, {1, 2}]}, split=first)
        for split in ("train", "test"):
            writer.add_example({"x": 1}, split=split)
    assert AtlasDataset(tmp_path / "d").splits == {"train": 1, "test": 1}


def test_an_empty_batch_names_no_split(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", schema={"x": "int8"}) as writer:
        writer.add_batch({"x": []}, split="e")
        writer.add_example({"x": 1})
    assert list(AtlasDataset(tmp_path / "d")) == [{"x": 1}]


def test_the_schema_of_a_refused_batch(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d") as writer:
        with pytest.raises(ValueError, match="split="):
            writer.add_batch({"x": [1, 2]}, split=5)
        writer.add_example({"z": "other"})
    assert list(AtlasDataset(tmp_path / "d")) == [{"z": "other"}]


@pytest.mark.parametrize("batch", [{"x": ["a"]}, {"x": [1], "y": [1]}], ids=["value", "column"])
def test_a_refused_batch_among_the_first_examples(tmp_path, batch):
    with AtlasDatasetWriter(tmp_path / "d") as writer:
        writer.add_example({"x": 1})
        with pytest.raises(errors.SchemaError):
            writer.add_batch(batch)
        writer.add_example({"x": 1.5})
    assert list(AtlasDataset(tmp_path / "d")) == [{"x": 1.0}, {"x": 1.5}]


def test_paths_that_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    paths = [tmp_path / "pipe.jpg", Path("a\0b.jpg"), Path("\ud800.jpg"), tmp_path]
    with AtlasDatasetWriter(tmp_path / "d", schema={"x": types.media()}) as writer:
        for path in paths:
            with pytest.raises(errors.SchemaError, match="example 0: column 'x'"):
                writer.add_example({"x": path})


def test_images_that_are_closed(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    image = Image.open(tmp_path / "a.jpg")
    image.close()
    with AtlasDatasetWriter(tmp_path / "d", schema={"x": types.nullable(types.media())}) as writer:
        with pytest.raises(errors.SchemaError, match="example 0: column 'x'"):
            writer.add_example({"x": image})
        writer.add_example({"x": None})


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG"])
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("how", ["putpalette", "dirty"])
def test_a_palette_that_was_changed(tmp_path, form, loaded, how):
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((20, 20), 90).convert("P").save(file, form)

    def changed():
        image = Image.open(io.BytesIO(file.getvalue()))
        if loaded:
            image.load()
        if how == "putpalette":
            image.putpalette([255 - i for i in range(256)] * 3)
        else:
            image.palette.palette = bytes(255 - i for i in range(256)) * 3
            image.palette.dirty = 1
        return image

    with AtlasDatasetWriter(tmp_path / "d") as writer:
        writer.add_example({"x": changed()})
    back = Image.open(io.BytesIO(AtlasDataset(tmp_path / "d")[0]["x"].data))
    assert np.array_equal(np.asarray(back.convert("RGB")), np.asarray(changed().convert("RGB")))


@pytest.mark.parametrize("many", [np.array(5), dict, 5], ids=repr)
def test_what_is_not_many_examples(tmp_path, many):
    with pytest.raises(errors.SchemaError, match="extend expects many examples"):
        AtlasDatasetWriter(tmp_path / "d", schema=int).extend(many)


def test_a_dataclass_without_a_value(tmp_path):
    @dataclasses.dataclass
    class Point:
        x: int
        y: int = dataclasses.field(init=False)

    writer = AtlasDatasetWriter(tmp_path / "d")
    with pytest.raises(errors.SchemaError, match="example 0: column 'y': the Point has no value there"):
        writer.add_example(Point(1))
    writer.abort()
