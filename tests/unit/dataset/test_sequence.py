"""What datasets and concats have in common, what they say of names they do not have, and what is shown of them."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import Media
from atlas_ds.dataset import show
from atlas_ds.dataset.sequence import INSTEAD
from atlas_ds.text import closest, printable, quoted
from support import PNG, write

ROWS = [{"n": i, "word": f"w{i}", "vector": np.full(2, i, np.float32)} for i in range(30)]
OF_A_FOLDER = {"splits", "icc", "path", "shards", "chunk_rows", "chunk_bytes", "open_bytes", "decodes_blocks", "default_shuffle"}


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return atlas.AtlasDataset(write(tmp_path_factory.mktemp("sequence") / "d", ROWS, metadata={"by": "me"}))


def double(example):
    return {**example, "n": 2 * example["n"]}


# --- names ---


def test_dir_is_what_is_public(ds):
    listed = dir(ds)
    documented = [name for name in dir(atlas.AtlasDataset) if name[0] != "_" and name in vars(atlas.AtlasDataset)]
    assert set(documented) | {"take", "split"} == set(listed) and all(hasattr(ds, name) for name in listed)
    assert dir(ds[3:]) == listed and "shard_set" not in listed and "rows_at" not in listed


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_names_of_other_libraries(ds, name):
    for dataset in (ds, ds[1:], atlas.concat([ds, ds])):
        assert not hasattr(dataset, name)
        with pytest.raises(AttributeError, match=f"no {name}; use instead: ") as caught:
            getattr(dataset, name)
        assert INSTEAD[name] in str(caught.value)


def test_columns_are_not_attributes(ds):
    for dataset in (ds, atlas.concat([ds])):
        assert not hasattr(dataset, "word")
        with pytest.raises(AttributeError, match=r'ds.column\("word"\) reads it'):
            dataset.word  # noqa: B018


def test_names_of_the_package():
    cures = {"Dataset": "; use AtlasDataset", "DataLoader": "; use Loader", "AtlasDatset": "; did you mean 'AtlasDataset'?", "zzzzz": ""}
    for name, cure in cures.items():
        with pytest.raises(AttributeError) as caught:
            getattr(atlas, name)
        assert str(caught.value) == f"module 'atlas_ds' has no attribute '{name}'{cure}"


def test_other_names_fail_as_usual(ds):
    for name in ("colum", "_private", "__array__", "_repr_png_"):
        assert not hasattr(ds, name)
        with pytest.raises(AttributeError, match=f"'AtlasDataset' object has no attribute '{name}'"):
            getattr(ds, name)
    same = copy.copy(ds), pickle.loads(pickle.dumps(ds[2:4])), copy.deepcopy(ds)
    assert [one[0]["n"] for one in same] == [0, 2, 0]


def test_an_error_in_a_property_is_its_own(ds, monkeypatch):
    monkeypatch.setattr(atlas.AtlasDataset, "fingerprint", property(lambda self: self.shards.nonsense))
    with pytest.raises(AttributeError, match="nonsense"):
        ds.fingerprint  # noqa: B018


# --- a concat has what a dataset has ---


@pytest.mark.parametrize("name", [name for name in dir(atlas.AtlasDataset) if name[0] != "_" and name not in ("shard_set", "projection", "convert", "rows", "rows_at")])
def test_concat_has_it_or_says_why_not(ds, name):
    both = atlas.concat([ds, ds[:10]])
    if name in OF_A_FOLDER:
        with pytest.raises(AttributeError, match=f"a Concat has no {name}: .*(for ds in concat.datasets|Mix)"):
            getattr(both, name)
        return
    assert name in dir(both)
    theirs, own = getattr(ds, name), getattr(both, name)
    if inspect.ismethod(theirs):
        wanted = [one.name for one in inspect.signature(theirs).parameters.values()]
        assert [one.name for one in inspect.signature(own).parameters.values()] == [one for one in wanted if one != "out"]


def test_what_a_concat_gives(ds, tmp_path):
    other = atlas.AtlasDataset(write(tmp_path / "other", ROWS[:4], metadata={"by": "you"}))
    both = atlas.concat([ds, other])
    assert both.schema == ds.schema and both.column("n").tolist() == [*range(30), *range(4)] and both.column("word")[-1] == "w3"
    assert both[28:32].column("vector").shape == (4, 2)
    assert [example["n"] for example in both.map(double)[29:31]] == [58, 0] and both.map(double).function is double
    assert both.with_format("numpy")[30]["n"].dtype == np.int64 and both.map(double).raw()[2]["n"] == 2
    assert both.stats()["rows"] == 34 and set(both.stats()["columns"]) == {"n", "word", "vector"}
    assert both.stats()["bytes"] == ds.stats()["bytes"] + other.stats()["bytes"] and atlas.concat([ds, ds[3:]]).stats() == ds.stats()
    assert both.decode is None and atlas.concat([ds, ds]).metadata == {"by": "me"} and both.row_bytes > 0
    with pytest.raises(AttributeError, match=r"differ in metadata: \[ds.metadata for"):
        both.metadata  # noqa: B018
    names = [both.fingerprint, both[1:].fingerprint, atlas.concat([other, ds]).fingerprint, both[[0, 1]].fingerprint, both[[1, 0]].fingerprint]
    assert len(set(names)) == 5 and atlas.concat([ds, other]).fingerprint == names[0]
    with pytest.raises(KeyError, match="did you mean 'word'"):
        both.column("words")


def test_a_concat_of_others(ds):
    class Plain:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return {"n": i}

        def __getitems__(self, rows):
            return [{"n": int(row)} for row in rows]

    both = atlas.concat([ds, Plain()])
    assert not hasattr(both, "schema") and not hasattr(both, "fingerprint") and len(both.take(31)) == 31 and repr(both) == "Concat(rows=32, of 2 datasets)"
    with pytest.raises(TypeError, match=r"dataset 1 of the concat, a Plain, has no map\(\)"):
        both.map(double)


def test_concat_of_what_is_not_a_list(ds):
    for wrong, words in (((ds, ds), r"atlas.concat\(\[a, b\]\)"), ((ds,), "not one AtlasDataset"), (({"a": ds},), "values"), ((ds.path,), "atlas.AtlasDataset"), (([ds.path],), "open the paths")):
        with pytest.raises(TypeError, match=words):
            atlas.concat(*wrong)
    assert len(atlas.concat(part for part in (ds, ds))) == 60


def test_keys_that_are_no_rows(ds):
    for dataset in (ds, atlas.concat([ds])):
        for wrong, words in ((1.5, r"ds\[1.5\]: rows are integers below 30"), (None, r"ds\[None\]"), (..., "Ellipsis"), (True, "True"), ((0, "n"), "row alone"), ("n", r'ds.column\("n"\)')):
            with pytest.raises(TypeError, match=words):
                dataset[wrong]
    with pytest.raises(TypeError, match="give a function"):
        ds.map("n")


# --- what is shown ---


def test_html_of_everything(tmp_path):
    rows = [{"photo": Media(PNG, "image/png"), "drawing": Media(b"<svg onload='x()'>", "image/svg+xml"), "text": "<b>\x1b[31m\u202e", "array": np.zeros((3, 4))} for _ in range(9)]
    ds = atlas.AtlasDataset(write(tmp_path / "d", rows))
    for dataset, count in ((ds, 5), (ds[7:], 2), (atlas.concat([ds, ds]), 5), (ds.with_format("numpy"), 5), (atlas.Mix([(ds, 1)]), 5)):
        shown = dataset._repr_html_()
        assert shown.count("<tr><th>") == count + 1 and shown.count('<img src="data:image/png;base64,') == count
        assert "<svg" not in shown and "image/svg+xml, 18 bytes" in shown and "&lt;b&gt;\\u001b[31m\\u202e" in shown and "array(float64, 3x4)" in shown
    assert "4 more rows" in ds._repr_html_() and "<table>" not in ds[:0]._repr_html_()


def test_html_names_classes(tmp_path):
    rows = [{"label": 1, "n": 1}, {"label": None, "n": 1}]
    ds = atlas.AtlasDataset(write(tmp_path / "d", rows, schema={"label": atlas.types.nullable(atlas.types.class_label(["cat", "<dog>"])), "n": "int64"}))
    for dataset in (ds, atlas.concat([ds, ds])):
        assert "<td>1 (&lt;dog&gt;)</td><td>1</td>" in dataset._repr_html_() and "<td>None</td>" in dataset._repr_html_()
    assert "dog" not in ds.map(lambda row: row)._repr_html_().partition("<table>")[2]


def test_html_is_bounded(tmp_path, monkeypatch):
    wide = {f"column {i}": "x" * 5000 for i in range(60)}
    big = Media(b"\xff\xd8\xff" + bytes(show.IMAGE_BYTES), "image/jpeg")
    ds = atlas.AtlasDataset(write(tmp_path / "d", [{"big": big, **wide}] * 6))
    shown = ds._repr_html_()
    assert len(shown) < 20_000 and "... 49 more" in shown and "<img" not in shown and "image/jpeg, 65,539 bytes" in shown
    small = atlas.AtlasDataset(write(tmp_path / "s", [{"im": Media(PNG, "image/png")}] * 6))
    monkeypatch.setattr(show, "TABLE_BYTES", 3 * len(PNG))
    assert small._repr_html_().count("<img") == 3


def test_html_of_rows_that_fail(tmp_path):
    ds = atlas.AtlasDataset(write(tmp_path / "d", [{"n": i} for i in range(3)]))
    shown = ds.map(lambda example: 1 // example["n"])._repr_html_()
    assert "ZeroDivisionError: " in shown and "<td>0</td>" in shown
    assert "<td>&lt;i&gt;</td>" in ds.map(lambda example: (1, "<i>"))._repr_html_()
    assert "read over a network, so none are shown" in show.html_of(type("Far", (), {"_is_remote": True, "__len__": lambda self: 5, "__repr__": lambda self: "Far"})())


def test_html_of_media():
    assert Media(PNG, "image/png")._repr_html_().startswith('<img src="data:image/png;base64,iVBOR')
    assert Media(memoryview(PNG), "image/png")._repr_html_() == Media(PNG, "image/png")._repr_html_()
    for media, words in (
        (Media(b"<svg>", "image/svg+xml"), "image/svg+xml, 5 bytes"), (Media(b"x", '"><script>'), "&quot;&gt;&lt;script&gt;, 1 bytes"),
        (Media(bytes(2 << 20), "image/png"), "image/png, 2,097,152 bytes"), (Media(b"ab", "audio/wav"), "audio/wav, 2 bytes"), (Media(b"", "image/png"), "image/png, 0 bytes"),
    ):  # fmt: skip
        assert media._repr_html_() == words


def test_reprs_are_short_and_printable(tmp_path):
    rows = {f"c{i}\x1b\u202e" + "x" * 300: i for i in range(100)}
    ds = atlas.AtlasDataset(write(tmp_path / "d", [rows] * 3))
    with atlas.AtlasDatasetWriter(tmp_path / "w", workers=0) as writer:
        writer.add_example(1)
        shown = [repr(writer)]
    mix = atlas.Mix([(ds, 3), (ds, 1)])
    ragged = atlas.Ragged(np.arange(5), np.array([0, 2, 5]))
    things = [ds, ds.take(1), atlas.concat([ds, ds]), mix, atlas.Sampler(ds, batch_size=2), atlas.Loader(mix, 2, format="numpy"), ds.schema, ragged, atlas.verify(ds.path)]
    things += [Media(b"abc", "image/\x1bpng" + "x" * 999)]
    for text in (*shown, *map(repr, things)):
        assert text.isprintable() and len(text) < 2000 and not re.search(r" at 0x[0-9a-f]+>", text), text
    assert repr(ds).startswith(f"AtlasDataset({ds.path!r}, rows=3, c0\\u001b\\u202exxx") and "92 more" in repr(ds)
    assert repr(ragged) == "Ragged(2 rows, 5 values of int64)" and "2 batches" not in repr(things[4]) and "1 batches of 2 rows" in repr(things[4])
    assert "open, 1 examples" in shown[0] and "weights 3, 1" in repr(mix)


def test_text():
    assert printable("plain ü") == "plain ü" and printable("a\nb\x9b\ud800\u2066") == "a\\u000ab\\u009b\\ud800\\u2066" and printable("x" * 300, 10) == "xxxxxxx..."
    assert quoted("a b") == '"a b"' and quoted('a"\n') == "'a\"\\n'" and closest("Lable", ["label", "x"]) == ["label"]
