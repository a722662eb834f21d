"""Hugging Face's own datasets against import_huggingface, to_huggingface and export_parquet. Run by test_huggingface.py, in a process of its own.

Each case_ function makes its assertions here; what failed, by name, is left in expected.pickle.
"""

import datetime
import io
import os
import pickle
import sys
import traceback
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(Path(sys.argv[1]) / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
import datasets
import numpy as np
from datasets import Array2D, Array3D, Audio, ClassLabel, Dataset, DatasetDict, Features, Image, IterableDataset, List, Sequence, Value
from PIL import Image as Pictures

import atlas_ds as atlas
from atlas_ds.errors import AtlasError, SchemaError

ROOT = Path(sys.argv[1])
ROWS = 2500  # more than two batches
NOON = datetime.datetime(2024, 2, 29, 12)
UTC = NOON.replace(tzinfo=datetime.UTC)
FEATURES = Features(
    {
        "i": Value("int64"), "small": Value("int8"), "f": Value("float32"), "half": Value("float16"), "s": Value("string"), "b": Value("binary"),
        "ok": Value("bool"), "maybe": Value("int32"), "when": Value("timestamp[ms]"), "utc": Value("timestamp[us, tz=UTC]"), "label": ClassLabel(names=["cat", "dog"]),
        "zone": Value("timestamp[us, tz=Asia/Tokyo]"), "fine": Value("timestamp[ns]"), "day": Value("date32"), "none": ClassLabel(names=["no", "yes"]),
        "flags": List(Value("bool")), "answers": {"text": List(Value("string")), "start": List(Value("int32"))},
        "image": Image(), "sound": Audio(), "pair": Sequence(Value("float32"), length=2), "list": List(Value("int16")), "words": List(Value("string")),
        "grid": Array2D(shape=(2, 3), dtype="int32"), "long": Array3D(shape=(None, 2, 2), dtype="uint8"), "box": {"x": Value("int64"), "inner": {"y": Value("string")}},
    }
)  # fmt: skip


def png(i):
    out = io.BytesIO()
    Pictures.fromarray(np.full((3, 4, 3), i % 256, np.uint8)).save(out, "PNG")
    return out.getvalue()


PNGS = [png(i) for i in range(5)]
(ROOT / "picture.png").write_bytes(PNGS[0])


def row(i):
    return {
        "i": i, "small": i % 100, "f": i / 3, "half": 0.5, "s": f"é{i}", "b": b"x" * (i % 5), "ok": i % 2 == 0, "maybe": None if i % 3 else i, "when": NOON,
        "utc": UTC, "label": i % 2, "zone": UTC, "fine": NOON, "day": NOON.date(), "none": i % 3 - 1, "flags": [i % 2 == 0] * (i % 4),
        "answers": {"text": ["a"] * (i % 3), "start": [i] * (i % 3)}, "image": {"bytes": None, "path": str(ROOT / "picture.png")} if i == 7 else {"bytes": PNGS[i % 5], "path": None},
        "sound": {"bytes": b"fLaC" + bytes(i % 4), "path": None}, "pair": [i, 0.5], "list": list(range(i % 4)), "words": ["a"] * (i % 3),
        "grid": np.arange(6, dtype=np.int32).reshape(2, 3).tolist(), "long": np.full((1 + i % 3, 2, 2), i % 200, np.uint8).tolist(), "box": {"x": i, "inner": {"y": f"y{i}"}},
    }  # fmt: skip


def whole():
    plain = Features(FEATURES | {"sound": {"bytes": Value("binary"), "path": Value("string")}})  # torchcodec, which encodes sound, is not there
    return Dataset.from_dict({name: [row(i)[name] for i in range(ROWS)] for name in FEATURES}, features=plain).cast_column("sound", Audio())


def check(ours, i):
    wanted = row(i)
    for name in ("i", "small", "s", "b", "ok", "maybe", "when", "utc", "label", "words", "box", "zone", "day", "pair", "list", "flags", "answers"):
        assert ours[name] == wanted[name], (name, ours[name])
    assert ours["fine"] == np.datetime64(NOON, "ns") and ours["none"] == (None if i % 3 == 0 else i % 3 - 1)
    assert type(ours["list"]) is type(ours["pair"]) is list and ours["zone"].utcoffset() == datetime.timedelta(hours=9)
    assert ours["f"] == np.float32(i / 3) and ours["f"].dtype == np.float32 and ours["half"].dtype == np.float16
    assert bytes(ours["image"].data) == (PNGS[0] if i == 7 else PNGS[i % 5]) and ours["image"].type == "image/png" and ours["sound"].type == "audio/flac"
    for name, dtype in (("grid", "int32"), ("long", "uint8")):
        assert ours[name].dtype == dtype and ours[name].tolist() == np.array(wanted[name], dtype).tolist(), (name, ours[name])


def check_all(path):
    ds = atlas.AtlasDataset(path)
    assert len(ds) == ROWS and ds.schema["label"].type.names == ("cat", "dog")
    for i in range(ROWS):
        check(ds[i], i)
    types = {name: str(ds.schema[name].type) for name in ds.schema.names}
    assert types["pair"] == "list(float32, 2)" and types["grid"] == "array(int32, 2x3)" and types["long"] == "tensor(uint8, 3d)" and types["half"] == "float16"
    assert types["list"] == "list(int16)" and types["answers"] == "{text: object, start: list(int32)}" and types["none"] == "class_label(no, yes)"
    assert types["zone"] == "timestamp(us, Asia/Tokyo)" and types["when"] == "timestamp(ms)" and types["day"] == "date"


def case_dataset():
    done = atlas.import_huggingface(whole(), ROOT / "dataset", workers=0)
    assert done.rows == ROWS and done.format == "huggingface"
    check_all(ROOT / "dataset")
    schema = atlas.AtlasDataset(ROOT / "dataset").schema
    assert not schema["i"].nullable and not schema["label"].nullable and schema["none"].nullable


def case_selected_rows():
    chosen = whole().select([9, 3, 5])
    atlas.import_huggingface(chosen, ROOT / "chosen", split="some", compression="none")
    ds = atlas.AtlasDataset(ROOT / "chosen", split="some")
    assert [example["i"] for example in ds] == [9, 3, 5]


def case_splits():
    data = whole()
    atlas.import_huggingface(DatasetDict({"train": data.select(range(5)), "test": data.select(range(5, 8))}), ROOT / "splits")
    ds = atlas.AtlasDataset(ROOT / "splits")
    assert ds.splits == {"train": 5, "test": 3} and [example["i"] for example in ds] == list(range(8))
    other = DatasetDict({"train": data.select(range(5)), "test": data.select(range(5)).remove_columns("i")})
    refused(SchemaError, "split 'test'", other, ROOT / "no")
    names = DatasetDict({"train": data.select([0]), "test": data.select([0]).cast_column("label", ClassLabel(names=["dog", "cat"]))})
    refused(SchemaError, "split 'test': column 'label' is ClassLabel of", names, ROOT / "no")


def case_nulls_in_lists():
    data = Dataset.from_dict({"a": [[1, None], [2]], "b": [{"c": [None, 0.5]}, None], "d": [[1], None]})
    done = atlas.import_huggingface(data, ROOT / "holes")
    assert list(atlas.AtlasDataset(ROOT / "holes")) == [data[0], data[1]]
    assert [note for note in done.notes if "nulls inside its lists" in note] and str(atlas.AtlasDataset(ROOT / "holes").schema["d"].type) == "list(int64)"


def case_stream():
    atlas.import_huggingface(whole().to_iterable_dataset(), ROOT / "stream")
    check_all(ROOT / "stream")
    bare = IterableDataset.from_generator(lambda: ({"n": i, "s": f"s{i}"} for i in range(3000)))
    atlas.import_huggingface({"train": bare}, ROOT / "bare")
    assert [example["n"] for example in atlas.AtlasDataset(ROOT / "bare", split="train")] == list(range(3000))
    changing = IterableDataset.from_generator(lambda: ({"n": i if i < 2000 else f"text {i}"} for i in range(3000)))
    refused(SchemaError, "columns differ from the first ones", changing, ROOT / "no")


def refused(kind, words, data, path):
    try:
        atlas.import_huggingface(data, path)
    except kind as error:
        assert words in str(error), str(error)
    else:
        raise AssertionError("it was not refused")
    assert not path.exists()


def case_refusals():
    lost = Dataset.from_dict({"image": [{"bytes": None, "path": "/none/at/all.png"}]}, features=Features({"image": Image()}))
    refused(AtlasError, "/none/at/all.png", lost, ROOT / "no")
    refused(TypeError, "list", [1, 2], ROOT / "no")


def case_saved():
    """The folders are read without datasets, too: test_huggingface.py does it."""
    data = whole().map(lambda example: example, batched=False).cast_column("image", Image(decode=False)).cast_column("image", Image())
    data.save_to_disk(str(ROOT / "saved"), num_shards=3)
    DatasetDict({"train": data.select([4, 2]), "test": data.select([1])}).save_to_disk(str(ROOT / "saved-dict"))
    from atlas_ds.bridge import convert

    convert(ROOT / "saved", ROOT / "from-saved")
    check_all(ROOT / "from-saved")


def back(data):
    """The features of what came back, and its rows undecoded."""
    expected = dict(FEATURES) | {"pair": List(Value("float32"), length=2), "box": {"x": Value("int64"), "inner": {"y": Value("string")}}}
    for name in ("image", "sound", "label", "grid", "i", "f", "half", "list", "words", "pair", "box", "when", "utc", "zone", "fine", "day", "none", "flags"):
        assert data.features[name] == expected[name], (name, data.features[name])
    assert np.asarray(data.select_columns("image")[3]["image"]).tolist() == np.full((3, 4, 3), 3, np.uint8).tolist()
    raw = data.cast_column("sound", Audio(decode=False)).cast_column("image", Image(decode=False))
    for i in range(0, ROWS, 97):
        ours, wanted = raw[i], row(i)
        for name in ("i", "small", "s", "b", "ok", "maybe", "label", "list", "words", "grid", "long", "box", "pair", "when", "utc", "zone", "fine", "day", "flags"):
            assert ours[name] == wanted[name], (name, ours[name], wanted[name])
        assert ours["none"] == (None if i % 3 == 0 else wanted["none"]), ours["none"]
        assert ours["image"]["bytes"] == (PNGS[0] if i == 7 else PNGS[i % 5]) and ours["sound"]["bytes"] == wanted["sound"]["bytes"]


def atlas_rows():
    if not (ROOT / "source").exists():
        atlas.import_huggingface(whole(), ROOT / "source")
    return atlas.AtlasDataset(ROOT / "source")


def exported():
    """Without answers: a list of text in a dict is an object, which has no type in Arrow."""
    return atlas.AtlasDataset(ROOT / "source", columns=[name for name in atlas_rows().schema.names if name != "answers"])


def case_to_huggingface():
    back(atlas.to_huggingface(exported()))
    mapped = atlas.to_huggingface(atlas_rows()[10:13], columns=["i", "grid"], file=ROOT / "rows.arrow")
    assert mapped["i"][:] == [10, 11, 12] and mapped.cache_files and mapped.features["grid"] == Array2D(shape=(2, 3), dtype="int32")


def case_exported_parquet():
    atlas.export_parquet(exported(), ROOT / "out.parquet", row_group_size=1000)
    back(datasets.load_dataset("parquet", data_files=str(ROOT / "out.parquet"), split="train"))


def main():
    failed = {}
    cases = [(name, function) for name, function in globals().items() if name.startswith("case_")]
    for name, function in cases:
        try:
            function()
        except BaseException:
            failed[name] = traceback.format_exc()
    (ROOT / "expected.pickle").write_bytes(pickle.dumps({name: failed.get(name) for name, _ in cases}))


if __name__ == "__main__":
    main()
