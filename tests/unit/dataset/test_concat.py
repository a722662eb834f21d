"""atlas.concat: several datasets as one, views of it, batches across the seams."""

import numpy as np
import pytest

import atlas_ds as atlas
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
