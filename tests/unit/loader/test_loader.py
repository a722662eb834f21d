"""Batches are those of ds.batch, in the sampler's order: every container, type, way to read, view, last_batch and number of threads."""

import datetime

import numpy as np
import pytest
import torch

from atlas_ds import AtlasDataset, Loader, Ragged, Sampler, concat
from atlas_ds.loader.collate import join_examples
from atlas_ds.schema.tensors import to_torch
from support import Point, rich_rows, same, write
from unit.loader.parts import alike, as_it_is, ids, load

pytestmark = pytest.mark.filterwarnings("ignore:a window order")

CONTAINERS = {
    "dict": lambda i: {"a": i, "b": f"row {i}", "c": np.full((2, 2), i, np.int16)},
    "tuple": lambda i: (i, f"row {i}", np.full((2, 2), i, np.int16)),
    "list": lambda i: [i, f"row {i}", np.full((2, 2), i, np.int16)],
    "dataclass": lambda i: Point(i, f"row {i}"),
    "numbers": lambda i: i / 2,
    "arrays": lambda i: np.full((3,), i, np.float32),
    "ragged": lambda i: np.arange(i % 5),
    "texts": lambda i: f"row {i}",
    "moments": lambda i: datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=i),
    "optional": lambda i: None if i % 3 else i,
}


def expected(dataset, **options):
    """The batches by another way: the sampler's rows, read one batch after another."""
    options = {"batch_size": 7, "seed": 5, "last_batch": "short"} | options
    of_list = not isinstance(dataset, list) and getattr(dataset, "schema", None) is not None and dataset.schema.container == "list"
    batches = [dataset.batch(rows) for rows in Sampler(dataset, **options)]
    return [tuple(batch) for batch in batches] if of_list else batches


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("access", ["random", "scan"])
def test_containers(tmp_path, kind, access):
    dataset = AtlasDataset(write(tmp_path / "d", map(CONTAINERS[kind], range(100)), access=access, shard_size=30, block_size=8))
    batches = list(load(dataset))
    assert alike(batches, expected(dataset)) and len(batches) == 15
    if kind != "optional":
        assert alike(list(load(dataset, format="torch")), [to_torch(batch) for batch in expected(dataset)])
    window = {"shuffle": "window", "lanes": 2, "window": 2}
    assert alike(list(load(dataset, **window)), expected(dataset, **window))


@pytest.mark.parametrize("options", [{}, {"io": "pread", "memory_limit": 4096}, {"copy": False}], ids=["mmap", "pread", "views"])
@pytest.mark.parametrize("num_threads", [0, 2, 16])
def test_every_type(rich, options, num_threads):
    dataset = AtlasDataset(rich, **options)
    assert alike(list(load(dataset, num_threads=num_threads)), expected(dataset))
    nullable = {"step", "gone", "maybe", "box"}
    fine = AtlasDataset(rich, columns=[name for name in dataset.schema.names if name not in nullable], **options)
    assert alike(list(load(fine, format="torch", num_threads=num_threads)), [to_torch(batch) for batch in expected(fine)])


def test_nulls_have_no_torch_form(rich):
    with pytest.raises(TypeError, match="column 'step' has nulls, which have no torch form"):
        list(load(AtlasDataset(rich, columns=["step"]), format="torch"))


@pytest.mark.parametrize("lanes, window", [(1, 1), (3, 2), (192, 32)])
def test_every_type_out_of_open_chunks(rich_scan, lanes, window):
    dataset = AtlasDataset(rich_scan)
    assert dataset.decodes_blocks
    options = {"shuffle": "window", "lanes": lanes, "window": window}
    wanted = expected(dataset, **options)
    assert alike(list(load(dataset, **options)), wanted)
    assert isinstance(wanted[0]["wave"], Ragged) and all(isinstance(batch["wave"], Ragged) for batch in load(dataset, **options))
    dense = AtlasDataset(rich_scan, columns=["id", "wave", "image", "any"], copy=False, io="pread", memory_limit=1)
    assert alike(list(load(dense, format="torch", **options)), [to_torch(batch) for batch in expected(dense, **options)])


def test_chunks_are_read_again_once_they_were_evicted(rich_scan):
    dataset = AtlasDataset(rich_scan)
    options = {"shuffle": "window", "lanes": 4, "window": 3}
    loader = load(dataset, num_threads=0, **options)
    batches = iter(loader)
    first = next(batches)
    (run,) = loader._open
    run._fetch._most = 1
    while len(run._fetch._open) > 1:
        run._fetch._open.popitem()
    assert alike([first, *batches], expected(dataset, **options)) and len(run._fetch._open) == 1


@pytest.mark.parametrize("num_threads", [0, 1, 2, 16])
@pytest.mark.parametrize("prefetch", [1, "1GB"])
def test_views(rich, rich_scan, num_threads, prefetch):
    names = ["id", "text", "grid", "wave", "meta", "note", "photo"]
    for path in (rich, rich_scan):
        dataset = AtlasDataset(path, columns=names)
        for view in (dataset[5:50:3], dataset[::-1], dataset.select([3, 1, 1, 59, 40, 3]), dataset.split([0.5, 0.5], seed=1)[1], dataset[:0]):
            assert alike(list(load(view, num_threads=num_threads, prefetch=prefetch)), expected(view))
        both = concat([dataset[:20], dataset[::-1]])
        assert alike(list(load(both, num_threads=num_threads, prefetch=prefetch)), expected(both))
        assert alike(list(load(both[3:50:2], num_threads=num_threads)), expected(both[3:50:2]))


def test_steps_that_are_read_together_are_cut_apart(numbers, rich):
    """Groups of steps: more steps than 4 a thread, small ones."""
    dataset = AtlasDataset(numbers)
    for size, world in ((1, 1), (3, 1), (7, 2)):
        loader = load(dataset, batch_size=size, num_threads=1, last_batch="drop", world_size=world)
        batches = list(loader)
        assert alike(batches, expected(dataset, batch_size=size, last_batch="drop", world_size=world))
    tiny = AtlasDataset(rich)
    assert alike(list(load(tiny, batch_size=1, num_threads=1)), expected(tiny, batch_size=1))


def test_a_map_is_applied(numbers):
    dataset = AtlasDataset(numbers)
    twice = dataset.map(lambda row: {"i": row["i"], "twice": row["x"] * 2})
    for source in (twice, concat([twice, twice]), concat([concat([twice])])[:]):
        batches = list(load(source, batch_size=100))
        assert list(batches[0]) == ["i", "twice"]
        assert all((batch["twice"] == 2 * batch["i"][:, None]).all() for batch in batches)
        assert [batch["i"].tolist() for batch in batches] == [[source[i]["i"] for i in rows] for rows in Sampler(source, batch_size=100, seed=5, last_batch="short")]


def test_formats_of_the_dataset(numbers):
    dataset = AtlasDataset(numbers)
    plain = list(load(dataset, batch_size=100))
    for view in (dataset.with_format("torch"), dataset.with_format("numpy")):
        assert alike(list(load(view, batch_size=100)), plain)
        joined = list(load(concat([view[:500], view[500:]]), batch_size=100))
        assert all(same(a["x"], b["x"]) and a["i"].tolist() == b["i"].tolist() for a, b in zip(joined, load(concat([dataset[:500], dataset[500:]]), batch_size=100)))


def test_a_concat_of_lists(tmp_path):
    """Their batch is a list of columns, which is not a column of values."""
    dataset = AtlasDataset(write(tmp_path / "d", [[i, f"row {i}"] for i in range(60)]))
    both = concat([dataset[:20], dataset[20:]])
    assert same(both.batch([59, 0, 20]), dataset.batch([59, 0, 20]))
    batches = list(load(both, batch_size=1, num_threads=1))
    assert sorted(int(batch[0][0]) for batch in batches) == list(range(60))
    assert all(batch[1] == [f"row {batch[0][0]}"] for batch in batches)


def test_ragged_columns_of_a_concat(rich):
    dataset = AtlasDataset(rich, columns=["wave", "image", "any", "gone"])
    rows = [3, 59, 20, 21, 0, 44]
    joined = concat([dataset[:20], dataset[20:21], dataset[21:]]).batch(rows)
    assert alike(joined, dataset.batch(rows)) and isinstance(joined["any"], Ragged)


def test_datasets_of_others():
    """Anything with len() and [i]; a method that happens to be called batch means nothing."""

    class Foreign:
        def __len__(self):
            return 30

        def __getitem__(self, i):
            return {"i": i, "name": str(i)}

        def batch(self, batch_size):
            raise AssertionError

    for source in (Foreign(), [{"i": i, "name": str(i)} for i in range(30)]):
        batches = list(load(source))
        rows = list(Sampler(30, batch_size=7, seed=5, last_batch="short"))
        assert ids(batches) == rows and [batch["name"] for batch in batches] == [list(map(str, part)) for part in rows]
    assert sorted(int(i) for batch in load(range(30)) for i in batch) == list(range(30))
    assert [len(batch) for batch in load(["a", "b", "c"], batch_size=2)] == [2, 1]


def test_examples_are_put_together(rich):
    """By example or by column: the same, but for what only one of them can know."""
    dataset = AtlasDataset(rich, columns=["flag", "id", "real", "z", "text", "raw", "grid", "photo"])
    assert alike(list(load(dataset, transform_example=as_it_is)), expected(dataset))
    moments = AtlasDataset(rich, columns=["id", "when"])
    for got, rows in zip(load(moments, transform_example=as_it_is), expected(moments), strict=True):
        assert same(got["when"], rows["when"].tolist()), "datetimes as a list: their unit is of the column"
    metas = AtlasDataset(rich, columns=["id", "meta"])
    for got, rows in zip(load(metas, transform_example=as_it_is), expected(metas)):
        assert same(got["meta"], rows["meta"]), "objects of different keys"
    assert list(load(dataset, collate_fn=len, batch_size=25)) == [25, 25, 10]
    tensors = list(load(dataset, transform_example=lambda row: {"g": torch.from_numpy(row["grid"])}, format="torch"))
    assert all(isinstance(batch["g"], torch.Tensor) and batch["g"].shape[1:] == (2, 3) for batch in tensors)


def test_collate():
    assert same(join_examples([{"a": 1, "b": (1.5, "x")}, {"a": 2, "b": (2.5, "y")}]), {"a": np.array([1, 2]), "b": (np.array([1.5, 2.5]), ["x", "y"])})
    ragged = [np.zeros(2), np.zeros(3)]
    assert join_examples(ragged) == ragged and join_examples([1, 2.0]) == [1, 2.0] and join_examples([None, 1]) == [None, 1]
    assert same(join_examples([True, False]), np.array([True, False])) and join_examples([]) == []
    high = 2**63 + 1
    assert same(join_examples([high, 1]), np.array([high, 1], np.uint64)) and join_examples([high, -1]) == [high, -1] and join_examples([2**64]) == [2**64]
    assert same(join_examples([-(2**63), 2**63 - 1]), np.array([-(2**63), 2**63 - 1]))
    assert join_examples([{"a": 1}, {"b": 1}]) == [{"a": 1}, {"b": 1}] and join_examples([(1,), (1, 2)]) == [(1,), (1, 2)] and join_examples([{"a": 1}, None]) == [{"a": 1}, None]


# --- tails ----------------------------------------------------------------------


@pytest.mark.parametrize("by_example", [False, True])
@pytest.mark.parametrize("rows, world", [(100, 1), (100, 4), (5, 8), (1, 3), (28, 4), (0, 2)])
def test_tails(numbers, rows, world, by_example):
    dataset = AtlasDataset(numbers)[:rows]
    options = {"transform_example": as_it_is} if by_example else {}
    for last_batch in ("drop", "short", "pad"):
        ranks = [list(load(dataset, batch_size=7, last_batch=last_batch, rank=rank, world_size=world, **options)) for rank in range(world)]
        steps = -(-rows // (7 * world)) if last_batch != "drop" else rows // (7 * world)
        assert [len(batches) for batches in ranks] == [steps] * world
        seen = [int(i) for batches in ranks for batch in batches for i in batch["i"]]
        if last_batch == "pad":
            masks = np.concatenate([batch["mask"] for batches in ranks for batch in batches] or [np.empty(0, bool)])
            assert masks.dtype == np.bool_ and len(seen) == steps * 7 * world == len(masks)
            seen = [i for i, real in zip(seen, masks) if real]
        assert len(seen) == len(set(seen)) == (rows if last_batch != "drop" else steps * 7 * world)
        for batches in ranks:
            for batch in batches:
                assert batch["x"].shape == (len(batch["i"]), 8) and batch["x"].dtype == np.float32 and batch["i"].dtype == np.int64


def test_a_batch_larger_than_the_dataset(numbers):
    dataset = AtlasDataset(numbers)[:10]
    assert list(load(dataset, batch_size=64, last_batch="drop")) == []
    assert [len(batch["i"]) for batch in load(dataset, batch_size=64)] == [10]
    (batch,) = load(dataset, batch_size=64, last_batch="pad", format="torch")
    assert batch["mask"].dtype == torch.bool and batch["mask"].tolist() == [True] * 10 + [False] * 54
    assert batch["i"][10:20].tolist() == batch["i"][:10].tolist()


def test_a_mask_beside_columns_without_names(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [(i, str(i)) for i in range(10)]))
    (numbers, texts), mask = next(iter(load(dataset, batch_size=16, last_batch="pad")))
    assert texts == [str(i) for i in numbers] and mask.sum() == 10


def test_a_column_mask_and_padding(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [{"mask": i} for i in range(10)]))
    with pytest.raises(ValueError, match="last_batch='pad' adds a column 'mask', which the dataset already has"):
        list(load(dataset, last_batch="pad"))
    assert len(list(load(dataset))) == 2


# --- arguments --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"format": "jax"}, ValueError, "'torch' or 'numpy'"),
        ({"on_error": "ignore"}, ValueError, "'raise', 'skip' or 'replace'"),
        ({"transform_processes": 1, "start_method": "fork"}, ValueError, "may hang"),
        ({"transform_processes": -1}, ValueError, "transform_processes -1 is not in"),
        ({"num_threads": -1}, ValueError, "num_threads -1 is not in"),
        ({"num_threads": "4"}, TypeError, "num_threads must be an int"),
        ({"prefetch": "much"}, ValueError, "prefetch='much'"),
        ({"pin_memory": True, "format": "numpy"}, ValueError, "pin_memory is for format='torch'"),
        ({"timeout": 0}, ValueError, "timeout=0: must be seconds above 0"),
        ({"timeout": float("nan")}, ValueError, "timeout=nan"),
        ({"batch_size": 0}, ValueError, "batch_size 0"),
        ({"batch_size": None}, ValueError, "give batch_size"),
    ],
)
def test_bad_arguments(numbers, options, error, says):
    with pytest.raises(error, match=says):
        Loader(AtlasDataset(numbers), **({"batch_size": 8} | options))


@pytest.mark.filterwarnings("default")
def test_a_window_order_that_mixes_badly(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [{"i": i} for i in range(4000)], access="scan", block_size=200))
    with pytest.warns(UserWarning, match=r"mixes badly, .* atlas-ds shuffle SRC DST"):
        loader = load(dataset, batch_size=256, shuffle="window", lanes=2, window=1)
    assert loader.stats().quality > 1.5 and loader.stats().quality_is_worst
    assert "window order: the mean of a batch varies" in str([*loader, loader.stats()][-1])


def test_stats(numbers):
    loader = load(AtlasDataset(numbers), batch_size=100, transform=lambda batch: batch)
    assert str(loader.stats()) == "no batches yet"
    for _ in loader:
        pass
    stats = loader.stats()
    assert (stats.batches, stats.rows, stats.threads, stats.skipped) == (10, 1000, 2, 0) and stats.bytes >= 1000 * 40
    assert stats.bottleneck in ("consumer", "reading", "transforming") and "10 batches, 1,000 rows" in str(stats)


def test_rows_of_every_type_are_all_there(rich):
    dataset = AtlasDataset(rich)
    wanted = {row["id"]: row for row in rich_rows(60)}
    for batch in load(dataset):
        for k, i in enumerate(batch["id"].tolist()):
            assert same(batch["grid"][k], wanted[i]["grid"]) and batch["text"][k] == wanted[i]["text"] and same(batch["meta"][k], wanted[i]["meta"])
            assert same(np.asarray(batch["wave"][k]), wanted[i]["wave"]) and bytes(batch["photo"][k].data) == bytes(wanted[i]["photo"].data)


def test_a_loader_opens_no_more_shards_than_it_must(tmp_path):
    path = write(tmp_path / "d", range(100), shard_size=10)
    dataset = AtlasDataset(path)
    loader = load(dataset, shuffle="exact")
    assert dataset.shard_set.is_open == [0], "a dataset may have ten thousand"
    Sampler(dataset, batch_size=4, shuffle=False)
    assert dataset.shard_set.is_open == [0]
    assert sorted(int(i) for batch in loader for i in batch) == list(range(100))
