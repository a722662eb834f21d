"""batch(out=): arrays are filled, or an error says why not and what is possible; never nothing."""

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset
from support import write

SCHEMA = {
    "x": "int64", "a": atlas.types.array("float32", (2,)), "st": {"y": "int16", "deep": {"z": "bool"}}, "n": atlas.types.nullable("int64"),
    "na": atlas.types.nullable(atlas.types.array("int64", (2,))), "s": "str", "b": "bytes", "o": "object", "t": atlas.types.tensor("float64", 1),
    "m": atlas.types.media("image/png"), "h": "bfloat16", "ns": atlas.types.nullable({"q": "int64"}),
}  # fmt: skip
POSSIBLE = "out= takes 'x', 'a', 'st.y', 'st.deep.z'"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    row = {"s": "", "b": b"", "o": None, "t": np.ones(1), "m": atlas.Media(b"", "image/png"), "h": 1.0, "n": 1, "na": np.ones(2, np.int64), "ns": {"q": 1}}
    rows = [{**row, "x": i, "a": np.full(2, i, np.float32), "st": {"y": i, "deep": {"z": i % 2 == 0}}} for i in range(6)]
    return AtlasDataset(write(tmp_path_factory.mktemp("out") / "d", rows, schema=SCHEMA))


def test_what_is_possible(dataset):
    out = {"x": np.full(2, -7), "a": np.empty((2, 2), np.float32), "st.y": np.empty(2, np.int16), "st.deep.z": np.empty(2, np.bool_)}
    batch = dataset.batch([4, 1], out=out)
    assert batch["x"] is out["x"] and batch["st"]["deep"]["z"] is out["st.deep.z"]
    assert out["x"].tolist() == [4, 1] and out["a"].tolist() == [[4, 4], [1, 1]] and out["st.y"].tolist() == [4, 1] and out["st.deep.z"].tolist() == [True, False]
    assert dataset.batch([4], out={})["x"].tolist() == [4]


def test_labels_are_int64(tmp_path):
    label = atlas.types.class_label(["cat", "dog", "cow"])
    schema = {"l": label, "s": {"l": label}, "n": atlas.types.nullable(label)}
    dataset = AtlasDataset(write(tmp_path / "d", [{"l": i, "s": {"l": 2 - i}, "n": None if i else 1} for i in range(3)], schema=schema))
    out = {"l": np.full(2, -7), "s.l": np.full(2, -7)}
    batch = dataset.batch([2, 0], out=out)
    assert batch["l"] is out["l"] and batch["s"]["l"] is out["s.l"] and out["l"].tolist() == [2, 0] and out["s.l"].tolist() == [0, 2]
    with pytest.raises(ValueError, match=r"out\['n'\]: a nullable column \(class_label.*out= takes 'l', 's.l'"):
        dataset.batch([2, 0], out={"n": np.full(2, -7)})


@pytest.mark.parametrize("name", ["X", "y", "st.", "st.Y", "x.y", "", 0, None])
def test_no_such_column(dataset, name):
    with pytest.raises(KeyError) as found:
        dataset.batch([1, 2], out={name: np.full(2, -7)})
    assert f"out[{name!r}]: no such column" in found.value.args[0] and POSSIBLE in found.value.args[0]


@pytest.mark.parametrize(
    ("name", "what"),
    [("st", "a struct"), ("st.deep", "a struct"), ("ns", "a struct"), ("ns.q", "nullable"), ("n", "nullable"), ("na", "nullable"), ("s", "str"), ("b", "bytes"), ("o", "object"), ("t", "tensor"), ("m", "media"), ("h", "bfloat16")],
)
def test_columns_without_an_array(dataset, name, what):
    with pytest.raises(ValueError, match=what) as found:
        dataset.batch([1, 2], out={name: np.full(2, -7)})
    assert str(found.value).startswith(f"out[{name!r}]: a ") and POSSIBLE in str(found.value)


def test_a_column_that_is_not_asked_for(dataset):
    with pytest.raises(KeyError, match="out= takes 'a'"):
        dataset.batch([1, 2], columns=["a"], out={"x": np.full(2, -7)})
    with pytest.raises(KeyError, match="none of these columns"):
        dataset.batch([1, 2], columns=["s"], out={"x": np.full(2, -7)})


def test_arrays_that_do_not_fit(dataset):
    shared = np.empty(4, np.int64)
    unaligned = np.zeros(17, np.uint8)[1:].view(np.int64)
    for bad, kind in [(None, ValueError), ([0, 0], ValueError), (np.empty(2, ">i8"), ValueError), (np.empty((2, 1), np.int64), ValueError), (np.ma.zeros(2, np.int64), ValueError), (unaligned, ValueError)]:
        with pytest.raises(kind, match=r"out\['x'\]"):
            dataset.batch([1, 2], out={"x": bad})
    for bad in ([shared], np.empty(2), "x"):
        with pytest.raises(TypeError, match="dict of column names"):
            dataset.batch([1, 2], out=bad)
    with pytest.raises(ValueError, match="share memory"):
        dataset.batch([1, 2], columns=["x", "a"], out={"x": shared[:2], "a": shared[:2].view(np.float32).reshape(2, 2)})


def test_other_containers(tmp_path):
    for number, (rows, name) in enumerate([([1, 2, 3], "value"), ([(0, 1), (0, 2), (0, 3)], "1")]):
        dataset, out = AtlasDataset(write(tmp_path / str(number), rows)), np.zeros(2, np.int64)
        dataset.batch([2, 0], out={name: out})
        assert out.tolist() == [3, 1]
        with pytest.raises(KeyError, match=f"'{name}'"):
            dataset.batch([2, 0], out={1: out})
