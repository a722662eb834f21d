"""atlas.concat: several datasets as one, views of it, batches across the seams."""

import datetime
import json

import numpy as np
import pytest
import rfc8785

import atlas_ds as atlas
from atlas_ds.dataset import manifest
from atlas_ds.errors import CorruptError, SchemaError
from support import same, write


@pytest.fixture
def parts(tmp_path):
    rows = [{"i": i, "s": f"row {i}", "t": np.ones(i % 4), "n": None if i % 3 == 0 else i} for i in range(30)]
    cuts = [0, 7, 7, 20, 30]
    paths = [write(tmp_path / str(k), rows[a:b], schema={"i": int, "s": str, "t": atlas.types.tensor("float64", 1), "n": atlas.types.nullable(int)}, shard_size=4) for k, (a, b) in enumerate(zip(cuts, cuts[1:]))]
    return [atlas.AtlasDataset(path) for path in paths], rows


def test_reading(parts):
    datasets, rows = parts
    whole = atlas.concat(datasets)
    assert len(whole) == 30 and same(list(whole), rows) and same([whole[i] for i in range(-30, 30)], rows * 2)
    assert same(whole.__getitems__([29, 0, 7, 6, -1]), [rows[i] for i in (29, 0, 7, 6, -1)])
    for i in (30, -31):
        with pytest.raises(IndexError):
            whole[i]


def test_views_and_nesting(parts):
    datasets, rows = parts
    whole = atlas.concat([atlas.concat(datasets[:2]), datasets[2], datasets[3][::-1]])
    model = rows[:20] + rows[20:][::-1]
    assert same(list(whole), model) and same(list(whole[5:25:4]), model[5:25:4]) and same(list(whole.select([3, 28])), [model[3], model[28]])
    view = whole[::-1][2:]
    assert same(list(view), model[::-1][2:]) and same(view[0], model[::-1][2]) and same(list(atlas.concat([view, whole[:1]])), model[::-1][2:] + model[:1])


def test_batches_across_seams(parts):
    datasets, rows = parts
    order = [29, 0, 8, 6, 7, 29, 19, 20]
    batch = atlas.concat(datasets).batch(order)
    assert batch["i"].tolist() == order and batch["s"] == [rows[i]["s"] for i in order]
    assert [None if m else int(v) for v, m in zip(batch["n"].data, batch["n"].mask)] == [rows[i]["n"] for i in order]
    assert all(same(np.asarray(batch["t"][k]), rows[i]["t"]) for k, i in enumerate(order))
    assert list(atlas.concat(datasets).batch([1], columns=["s"])) == ["s"]


def test_nothing_to_join():
    with pytest.raises(ValueError, match="at least one"):
        atlas.concat([])


# --- columns that differ -----------------------------------------------------------


@pytest.fixture
def make(tmp_path):
    made = iter(range(99))

    def make(rows, schema=None):
        return atlas.AtlasDataset(write(tmp_path / f"d{next(made)}", rows, schema=schema))

    return make


REFUSED = {
    "a column less": ([{"y": 1}], [{"y": 2, "z": 3}], ["column 'z' is in", "columns=['y']"]),
    "nothing in common": ([{"y": 1}], [{"z": 3}], ["column 'y' is in", "column 'z' is in", "no column in common"]),
    "int and float": ([{"y": 1, "k": 1}], [{"y": 2.5, "k": 2}], ["column 'y' is int64 in", "but float64 in", "columns=['k']"]),
    "text and bytes": ([{"y": "a"}], [{"y": b"a"}], ["column 'y' is str in", "but bytes in"]),
    "number and array": ([{"y": 1}], [{"y": np.ones(2, np.int64)}], ["column 'y' is int64", "array(int64, 2)"]),
    "arrays of other dtypes": ([{"y": np.ones(2)}], [{"y": np.ones(2, np.float32)}], ["array(float64, 2)", "array(float32, 2)"]),
    "struct with less": ([{"s": {"a": 1, "b": 2}}], [{"s": {"a": 1}}], ["column 's.b' is in"]),
    "struct and number": ([{"s": {"a": 1}}], [{"s": 1}], ["column 's' is {a: int64} in"]),
    "tuple and dict": ([(1,)], [{"0": 1}], ["a tuple", "a dict"]),
    "tuple and list": ([(1,)], [[1]], ["a tuple", "a list"]),
    "tuples of other lengths": ([(1,)], [(1, 2)], ["column '1' is in", "columns=['0']"]),
    "single values": ([1], ["a"], ["column 'value' is int64"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_differ_are_refused(make, name):
    one, other, words = REFUSED[name]
    a, b = make(one * 3), make(other * 2)
    for first, second in ((a, b), (b, a), (a, atlas.concat([b, b])[1:]), (atlas.concat([a, a])[::-1], b)):
        for ask in (lambda x, y: atlas.concat([x, y]), lambda x, y: atlas.Mix([(x, 1), (y, 1)])):
            with pytest.raises(SchemaError) as found:
                ask(first, second)
            said = str(found.value)
            assert all(word in said for word in words) or (first is not a and "in dataset" in said) or "a concat" in said
            assert "dataset 0" in said and "dataset 1" in said


def test_the_cure_cures(make):
    a, b = make([{"y": 1, "z": 1}] * 2), make([{"y": 2, "z": 2.5}] * 2)
    with pytest.raises(SchemaError, match=r"columns=\['y'\]"):
        atlas.concat([a, b])
    alike = [atlas.AtlasDataset(one.path, columns=["y"]) for one in (a, b)]
    assert atlas.concat(alike).batch(slice(None))["y"].tolist() == [1, 1, 2, 2]


def test_what_map_makes_of_columns_counts(make):
    a, b = make([{"x": 1}] * 2), make([{"z": 2}] * 2)
    both = atlas.concat([a.map(lambda e: {"q": e["x"]}), b.map(lambda e: {"q": e["z"]})])
    assert [row["q"] for row in both] == [1, 1, 2, 2] and both[3] == {"q": 2}
    for view in (both, both[1:], atlas.concat([both[1:], both])):
        with pytest.raises(SchemaError, match="column 'x' is in"):
            view.batch([0])
    loader = atlas.Loader(both, batch_size=4, shuffle=False, format="numpy")
    assert next(iter(loader))["q"].tolist() == [1, 1, 2, 2]


def nulls(column):
    return np.ma.getmaskarray(column).tolist()


def joined(make, first, second, kind, other):
    """Two datasets of one column of two types, as one."""
    return atlas.concat([make([{"c": value} for value in values], {"c": spec}) for values, spec in ((first, kind), (second, other))])


@pytest.mark.parametrize("kind", [atlas.types.timestamp("ms", "UTC"), atlas.types.timestamp("ns"), atlas.types.date()])
def test_a_null_of_a_time_is_not_a_time_where_one_is_nullable(make, kind):
    moment, nat = np.datetime64("2020-01-02", "D"), np.datetime64("NaT")
    whole = joined(make, [moment], [None, moment], kind, atlas.types.nullable(kind))
    for rows in ([0], [1], [0, 1, 2]):
        seen = whole.batch(rows)["c"]
        assert type(seen) is np.ndarray and same(seen, np.array([moment, nat, moment])[rows].astype(seen.dtype))


def test_labels_of_which_one_has_more(make):
    fewer, more = atlas.types.class_label(["cat", "dog"]), atlas.types.class_label(["cat", "dog", "cow"])
    for first, second in ((fewer, more), (more, fewer)):
        whole = joined(make, ["dog"], ["cat"], first, second)
        assert whole.schema["c"].type == more and whole.batch([0, 1])["c"].tolist() == [1, 0]
    with pytest.raises(SchemaError, match="class_label"):
        joined(make, ["dog"], ["cat"], atlas.types.class_label(["dog", "cat"]), more)


def test_timestamps_of_two_units(make):
    moments = [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)]
    whole = joined(make, moments[:1], moments[1:], atlas.types.timestamp("s"), atlas.types.timestamp("us"))
    assert [row["c"] for row in whole] == moments and whole.schema["c"].type == atlas.types.timestamp("us")
    assert all(same(whole.batch(rows)["c"], np.array(moments, "M8[us]")[rows]) for rows in ([0], [1], [1, 0]))
    for other in (atlas.types.timestamp("us", "UTC"), atlas.types.timestamp("ns")):
        with pytest.raises(SchemaError, match="timestamp"):
            joined(make, moments[:1], [np.datetime64("2020-01-01")], atlas.types.timestamp("s"), other)


def test_nullable_in_one(make):
    a, b = make([{"x": i} for i in range(3)]), make([{"x": None}, {"x": 7}])
    for both, rows in ((atlas.concat([a, b]), [0, 3, 4]), (atlas.concat([b, a]), [2, 0, 1])):
        x = both.batch(rows)["x"]
        assert isinstance(x, np.ma.MaskedArray) and nulls(x) == [False, True, False] and x.data[[0, 2]].tolist() == [0, 7]
        seen = both.batch(rows[:1])["x"]
        assert isinstance(seen, np.ma.MaskedArray) and seen.mask.tolist() == [False], "in the same form whichever rows are asked for"
        (loaded,) = atlas.Loader(both, batch_size=5, shuffle=False, format="numpy")
        assert nulls(loaded["x"]) == [value is None for value in (row["x"] for row in both)]
    mixed = atlas.Loader(atlas.Mix([(a, 1), (b, 1)], shuffle=False), batch_size=4, format="numpy")
    batch = next(iter(mixed))["x"]
    assert sorted((batch.filled(-1)).tolist()) == sorted([0, 1, -1, 7])


def test_structs_in_another_order_and_absent(make):
    a = make([{"s": {"a": 1, "b": "x"}, "k": 0}] * 2)
    b = make([{"k": 1, "s": {"b": "y", "a": 2}}, {"k": 2, "s": None}])
    batch = atlas.concat([a, b]).batch([3, 2, 0])
    assert list(batch) == ["s", "k"] and list(batch["s"]) == ["a", "b"]
    assert nulls(batch["s"]["a"]) == [True, False, False] and batch["s"]["a"].tolist() == [None, 2, 1] and batch["s"]["b"] == [None, "y", "x"]
    assert atlas.concat([b, a]).batch([2])["k"].tolist() == [0]


SHAPES = {
    "one dimension": ([np.ones(2)], [np.zeros(3)], None),
    "two dimensions": ([np.ones((2, 3))], [np.zeros((1, 3)), np.zeros((1, 3))], None),
    "another rank": ([np.ones(2)], [np.zeros((3, 1))], None),
    "fixed and ragged": ([np.ones(2)], [np.zeros(1), np.zeros(4)], None),
    "ragged and absent": ([np.ones((2, 2))], [None, np.zeros((3, 1))], atlas.types.nullable(atlas.types.tensor("float64"))),
    "fixed and absent": ([np.ones(2)], [None, np.zeros(3)], atlas.types.nullable(atlas.types.array("float64", (3,)))),
    "0-d": ([np.array(1.0)], [np.zeros(3)], None),
}


@pytest.mark.parametrize("name", SHAPES)
def test_arrays_of_other_shapes(make, name):
    one, other, schema = SHAPES[name]
    a, b = make([{"x": value} for value in one * 2]), make([{"x": value} for value in other], None if schema is None else {"x": schema})
    for both in (atlas.concat([a, b]), atlas.concat([b, a])):
        rows = [row["x"] for row in both]
        order = [*range(len(rows) - 1, -1, -1), 0]
        for batch in (both.batch(order)["x"], atlas.concat([both[1:], both[:1]]).batch([i - 1 for i in order])["x"]):
            assert isinstance(batch, atlas.Ragged) and all(same(batch[k], rows[i]) for k, i in enumerate(order))
        for i, row in enumerate(rows):
            assert same(both.batch([i])["x"][0], row)
        (loaded,) = atlas.Loader(both, batch_size=len(rows), shuffle=False, format="numpy")
        assert all(same(loaded["x"][i], row) for i, row in enumerate(rows))


def test_lists_stay_lists(make):
    a, b = make([{"x": [1, 2]}], {"x": atlas.types.list("int64", 2)}), make([{"x": [3]}])
    both = atlas.concat([a, b])
    assert str(both.schema["x"].type) == "list(int64)" and list(both) == [{"x": [1, 2]}, {"x": [3]}]
    with pytest.raises(SchemaError, match=r"column 'x' is list\(int64\) in .* but array\(int64, 2\)"):
        atlas.concat([b, make([{"x": np.array([1, 2])}])])


def test_media_and_numpy_scalars(make):
    a, b = make([{"m": atlas.Media(b"1", "image/jpeg"), "n": 1}]), make([{"m": atlas.Media(b"2", "image/png"), "n": np.int64(2)}])
    batch = atlas.concat([a, b]).batch([1, 0])
    assert [media.type for media in batch["m"]] == ["image/png", "image/jpeg"] and same(batch["n"], np.array([2, 1]))


def test_tuples_and_lists(make):
    for kind in (tuple, list):
        both = atlas.concat([make([kind((1, 2))]), make([kind((3, None)), kind((5, 6))])])
        batch = both.batch([1, 0])
        assert type(batch) is kind and batch[0].tolist() == [3, 1] and nulls(batch[1]) == [True, False]
        assert type(both.batch([0], columns=["1"])) is kind


def test_formats(make):
    torch = pytest.importorskip("torch")
    dataset = make([{"x": i} for i in range(3)]).with_format("torch")
    both = atlas.concat([dataset, dataset])
    assert torch.equal(both.batch([4, 0])["x"], torch.tensor([1, 0]))
    assert isinstance(atlas.concat([dataset, dataset.with_format("python")]).batch([4, 0])["x"], np.ndarray)
    seen = []
    next(iter(atlas.Loader(both, batch_size=6, transform=lambda batch: seen.append(type(batch["x"])) or batch)))
    assert seen == [np.ndarray], "transform gets NumPy columns"


def test_other_sequences_are_as_they_were(make):
    class Rows:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

        def __getitem__(self, i):
            return {"other": i}

    both = atlas.concat([make([{"x": 1}]), Rows(2)])
    assert [both[i] for i in range(3)] == [{"x": 1}, {"other": 0}, {"other": 1}]


@pytest.mark.parametrize("cut", [lambda ds: ds.split(0.5), lambda ds: ds.split(0.5, seed=1), lambda ds: ds.split(0.5, seed=0, stratify="n")])
def test_a_split_of_a_dataset_whose_manifest_lies_about_rows_raises(tmp_path, cut):
    """Rows of two shards that add up as before, under a right hash: no part may have other rows than its numbers say."""
    good, lies = (write(tmp_path / name, [{"n": i % 5} for i in range(30)], shard_size=10) for name in ("good", "lies"))
    body = json.loads((lies / "atlas.json").read_bytes())
    del body["hash"]
    for shard, rows in zip(body["shards"], (9, 11, 10), strict=True):
        shard["rows"] = rows
    (lies / "atlas.json").write_bytes(rfc8785.dumps(body | {"hash": manifest.digest(rfc8785.dumps(body))}))
    both = atlas.concat([atlas.AtlasDataset(good), atlas.AtlasDataset(lies)])
    with pytest.raises(CorruptError, match=r"lies.*rows do not match the manifest"):
        for part in cut(both):
            list(part)
