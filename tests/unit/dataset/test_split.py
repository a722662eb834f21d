"""take and split: one number, lists, dicts, classes kept in proportion, and the warning of rows that are sorted by class."""

import inspect
import warnings

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds.dataset import sortedness
from atlas_ds.dataset.split import apportioned, largest_remainder
from support import write

CLASSES = ["ash", "elm", "fir", "oak"]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """240 rows in classes of 120, 60, 40 and 20, at random places."""
    kinds = np.random.default_rng(1).permutation(np.repeat(CLASSES, [120, 60, 40, 20])).tolist()
    return atlas.AtlasDataset(write(tmp_path_factory.mktemp("split") / "trees", [{"id": i, "kind": kind} for i, kind in enumerate(kinds)]))


def ids(dataset):
    return dataset.column("id").tolist()


def counts(dataset):
    kinds = dataset.column("kind")
    return [kinds.count(kind) for kind in CLASSES]


# --- take ---


def test_take(trees):
    assert ids(trees.take(3)) == [0, 1, 2] and len(trees.take(10**30)) == 240 and len(trees.take(0)) == 0
    assert ids(trees[::-1].take(np.int64(2))) == [239, 238] and ids(atlas.concat([trees[5:7], trees]).take(3)) == [5, 6, 0]
    assert type(trees.take(1)) is atlas.AtlasDataset and len(trees[:0].take(4)) == 0
    with pytest.raises(ValueError, match=r"take\(-2\): give 0 rows or more; ds\[-2:\]"):
        trees.take(-2)
    for wrong in (1.0, "3", [0, 1], True, None):
        with pytest.raises(TypeError, match="give a number of rows"):
            trees.take(wrong)


# --- how many ---


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        (0.75, [180, 60]), (200, [200, 40]), (np.float32(0.5), [120, 120]), (np.int64(1), [1, 239]), (0, [0, 240]), ([0.5, 0.25, 0.25], [120, 60, 60]),
        ([100, 140], [100, 140]), (np.array([0.1, 0.9]), [24, 216]), ((240, 0), [240, 0]), ([1.0], [240]),
    ],
)  # fmt: skip
def test_sizes(trees, parts, sizes):
    for seed in (None, 7):
        found = trees.split(parts, seed=seed)
        assert [len(part) for part in found] == sizes and sorted(row for part in found for row in ids(part)) == list(range(240))
        if seed is None:
            assert [row for part in found for row in ids(part)] == list(range(240))
        else:
            assert [ids(part) for part in found] == [ids(part) for part in trees.split(parts, seed=seed)]


def test_a_dict_gives_a_dict(trees):
    found = trees.split({"train": 0.8, "valid": 0.1, "test": 0.1}, seed=2)
    assert {name: len(part) for name, part in found.items()} == {"train": 192, "valid": 24, "test": 24}
    assert [ids(part) for part in found.values()] == [ids(part) for part in trees.split([0.8, 0.1, 0.1], seed=2)]
    assert list(trees.split({"a": 100, 2: 140}, seed=0)) == ["a", 2]


@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ([0.7, 0.2], ValueError, "must sum to 1, or be counts that sum to 240; their sum is 0.9"), ([100, 100], ValueError, "their sum is 200"),
        ({"a": 0.5}, ValueError, "must sum to 1"), ({}, ValueError, "at least one"), ([1.5, -0.5], ValueError, "positive"), ([float("nan")], ValueError, "sum to 1"),
        (1.5, ValueError, "between 0 and 1"), (1.0, ValueError, "between 0 and 1"), (-3, ValueError, "0 to 240"), (241, ValueError, "0 to 240"),
        ("train", TypeError, "AtlasDataset\\(path, split='train'\\)"), ({"a": "0.5", "b": 0.5}, TypeError, "'0.5' for 'a' is not a number"),
        (True, TypeError, "not a number"), (None, TypeError, "not a number"), ([0.5, None], TypeError, "not a number"),
    ],
)  # fmt: skip
def test_what_is_refused(trees, parts, error, words):
    for stratify in (None, "kind"):
        with pytest.raises(error, match=words):
            trees.split(parts, stratify=stratify)


def test_seeds_that_are_refused(trees):
    for wrong, error in ((-1, ValueError), (0.5, TypeError), ("a", TypeError), (True, TypeError)):
        with pytest.raises(error, match="give an integer"):
            trees.split(0.5, seed=wrong)


# --- classes in proportion ---


@pytest.mark.parametrize("seed", [None, 0, 5])
def test_stratify(trees, seed):
    train, test = trees.split(0.75, seed=seed, stratify="kind")
    assert counts(train) == [90, 45, 30, 15] and counts(test) == [30, 15, 10, 5]
    assert sorted(ids(train) + ids(test)) == list(range(240)) and ids(train) == sorted(ids(train))
    assert ids(trees.split(0.75, seed=seed, stratify="kind")[0]) == ids(train)
    named = trees.split({"a": 200, "b": 40}, seed=seed, stratify=trees.column("kind"))
    assert len(named["a"]) == 200 and counts(named["a"]) == [100, 50, 33, 17]
    both = atlas.concat([trees, trees]).split(0.5, seed=seed, stratify="kind")
    assert [counts(part) for part in both] == [[120, 60, 40, 20]] * 2


def test_another_seed_is_another_split(trees):
    assert ids(trees.split(0.5, seed=1, stratify="kind")[0]) != ids(trees.split(0.5, seed=2, stratify="kind")[0])


def test_stratify_of_numbers_nulls_and_views(tmp_path):
    ds = atlas.AtlasDataset(write(tmp_path / "d", [{"a": i, "n": None if i % 4 == 0 else i % 2} for i in range(80)]))
    for view in (ds, ds[::-1], ds.with_format("torch")):
        first, _ = view.split(0.25, stratify="n")
        found = [ds[row]["n"] for row in np.asarray(first.column("a")).tolist()]
        assert [found.count(value) for value in (None, 0, 1)] == [5, 5, 10]


def test_stratify_that_is_refused(trees, tmp_path):
    for wrong, error, words in (
        ("kinds", KeyError, "did you mean 'kind'"), ("id", ValueError, "not classes"), ([1, 2], ValueError, "2 labels for 240 rows"), (3, TypeError, "name of a column"),
        (np.zeros((240, 2)), TypeError, "does not have one value per row"), ([[1]] * 240, TypeError, "cannot be compared"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            trees.split(0.5, stratify=wrong)
    ragged = atlas.AtlasDataset(write(tmp_path / "r", [{"x": np.zeros(i % 3)} for i in range(20)]))
    with pytest.raises(TypeError, match="does not have one value per row"):
        ragged.split(0.5, stratify="x")


def test_shares_are_rounded_and_parts_are_full():
    rng = np.random.default_rng(3)
    for _ in range(300):
        sizes, fractions = rng.integers(0, 30, rng.integers(1, 12)), rng.dirichlet(np.ones(rng.integers(1, 7)))
        if rng.random() < 0.5:
            fractions = np.full(len(fractions), 1 / len(fractions))
        exact, found = np.round(sizes[:, None] * fractions, 9), apportioned(sizes, fractions)
        assert (found.sum(1) == sizes).all() and (found >= np.floor(exact)).all() and (found <= np.ceil(exact)).all()
        assert found.sum(0).tolist() == largest_remainder(int(sizes.sum()), fractions).tolist()


# --- the warning ---


def warned(dataset, parts=0.8, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = inspect.currentframe().f_lineno + 1
        dataset.split(parts, **options)
    assert all(one.filename == __file__ and one.lineno == line for one in caught)
    return [str(one.message) for one in caught]


SORTED = {
    "words": [{"label": CLASSES[i // 50]} for i in range(200)],
    "numbers": [{"x": 1, "Class": i // 500} for i in range(1500)],
    "floats": [{"y": i / 7} for i in range(300)],
    "many": [{"TARGET": f"c{i // 4:05d}"} for i in range(8000)],
    "few": [{"label": i // 5} for i in range(10)],
    "rare": [{"label": int(i >= 990)} for i in range(1000)],
    "nulls": [{"label": None if i < 50 else 3} for i in range(100)],
}


@pytest.mark.parametrize("null", [False, True])
def test_sorted_class_labels_warn(tmp_path, null):
    kind = atlas.types.class_label(CLASSES)
    rows = [{"label": CLASSES[i // 50]} for i in range(200)] + [{"label": None}] * (50 * null)
    ds = atlas.AtlasDataset(write(tmp_path / "d", rows, schema={"label": atlas.types.nullable(kind) if null else kind}))
    assert ["sorted by 'label'" in told for told in warned(ds)] == [True]


@pytest.mark.parametrize("name", SORTED)
def test_sorted_rows_warn(tmp_path, name):
    ds = atlas.AtlasDataset(write(tmp_path / "d", SORTED[name]))
    column = next(key for key in SORTED[name][0] if key != "x")
    for view in (ds, ds[::-1], ds.map(str), ds.with_format("numpy"), atlas.concat([ds])):
        told = warned(view)
        assert len(told) == 1 and f"sorted by {column!r}" in told[0] and "seed=0" in told[0] and f"stratify={column!r}" in told[0]
    assert warned(ds, seed=0) == warned(ds, [len(ds)]) == []
    if len({str(row[column]) for row in SORTED[name]}) <= 100:
        assert warned(ds, stratify=column) == []
    shuffled = ds[np.random.default_rng(0).permutation(len(ds))]
    assert warned(shuffled) == [] or name == "few"


NOT_SORTED = {
    "shuffled": [{"label": int(np.random.default_rng(i).integers(3))} for i in range(400)],
    "another name": [{"kind": i // 50} for i in range(200)],
    "in turn": [{"label": i % 3} for i in range(400)],
    "small groups": [{"label": i // 10 % 4} for i in range(2000)],
    "one class": [{"label": 1} for _ in range(100)],
    "arrays": [{"label": np.full(3, i // 50)} for i in range(200)],
    "no rows to speak of": [{"label": i // 2} for i in range(4)],
}


@pytest.mark.parametrize("name", NOT_SORTED)
def test_other_rows_do_not_warn(tmp_path, name):
    assert warned(atlas.AtlasDataset(write(tmp_path / "d", NOT_SORTED[name]))) == []


def test_a_recorded_icc_counts(tmp_path, monkeypatch):
    ds = atlas.AtlasDataset(write(tmp_path / "d", [{"kind": i // 250, "label": i % 2} for i in range(1000)], icc=["kind", "label"], block_size=50))
    assert "sorted by 'kind'" in warned(ds)[0] and warned(ds[np.random.default_rng(0).permutation(1000)]) == []
    assert "sorted by 'kind'" in warned(atlas.AtlasDataset(tmp_path / "d", columns=["label"]))[0]
    monkeypatch.setattr(sortedness, "may_look", lambda dataset: False)
    assert "sorted by 'kind'" in warned(ds)[0]


def test_nothing_is_read_over_a_network(tmp_path, monkeypatch):
    ds = atlas.AtlasDataset(write(tmp_path / "d", [{"label": i // 50} for i in range(200)]))
    monkeypatch.setattr(atlas.AtlasDataset, "_is_remote", True, raising=False)
    monkeypatch.setattr(atlas.AtlasDataset, "_columns", lambda *_: pytest.fail("it was read"))
    assert warned(ds) == []


def test_damage_does_not_stop_a_split(tmp_path):
    path = write(tmp_path / "d", [{"label": i // 50, "x": bytes(300)} for i in range(200)])
    shard = next(path.glob("*.atlas"))
    data = bytearray(shard.read_bytes())
    data[64:3000] = bytes(2936)
    shard.write_bytes(data)
    assert warned(atlas.AtlasDataset(path)) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda ds: ds.split(0.8, 0.2), r"give one list: ds\.split\(\[0\.8, 0\.2\]\)"),
        (lambda ds: ds.split(train=0.8, val=0.2), r"as a dict: ds\.split\(\{'train': 0\.8, 'val': 0\.2\}\)"),
        (lambda ds: ds.split(test_size=0.2, random_state=1), "no test_size=; use the share of the first part"),
        (lambda ds: ds.split(0.8, random_state=1), "no random_state=; use seed="),
        (lambda ds: ds.split(0.8, shuffle=True), "no shuffle=; use seed=0"),
        (lambda ds: ds.split(0.8, stratify_by_column="y"), "use stratify="),
        (lambda ds: ds.split(0.8, sed=1), "no argument 'sed'"),
        (lambda ds: ds.split(), "give the sizes of the parts"),
    ],
)
def test_split_as_other_libraries_call_it(tmp_path, call, said):
    with atlas.AtlasDatasetWriter(tmp_path / "d") as writer:
        writer.extend({"y": i} for i in range(10))
    with pytest.raises(TypeError, match=said):
        call(atlas.AtlasDataset(tmp_path / "d"))


@pytest.mark.parametrize("of", [lambda i: i // 20, lambda i: b"%d" % (i // 20)])
def test_rows_sorted_by_cls_warn(tmp_path, of):
    with atlas.AtlasDatasetWriter(tmp_path / "d") as writer:
        writer.extend({"cls": of(i)} for i in range(100))
    with pytest.warns(UserWarning, match="sorted by 'cls'"):
        atlas.AtlasDataset(tmp_path / "d").split(0.8)
