"""AtlasDataset: indexing, iteration, batches, columns, formats, and what it says about itself."""

import gc
import pickle

import numpy as np
import pytest
import torch

from atlas_ds import AtlasDataset, Media, Ragged, errors
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import read_manifest
from atlas_ds.store.local import LocalStore
from support import fd_count, rich_rows, same, write

ROWS = 60
ORDER = [3, 59, 0, -1, 3, 17, 16, 33, -60]


def thaw(value):
    """Memoryviews as bytes, so that copy=False compares."""
    if isinstance(value, dict):
        return {k: thaw(v) for k, v in value.items()}
    if isinstance(value, Media):
        return Media(bytes(value.data), value.type)
    return bytes(value) if isinstance(value, memoryview) else value


def test_every_row(dataset):
    rows = rich_rows(ROWS)
    assert len(dataset) == ROWS
    for i in range(ROWS):
        assert same(thaw(dataset[i]), rows[i]) and same(thaw(dataset[i - ROWS]), rows[i])


def test_iteration_is_indexing(dataset):
    assert same([thaw(row) for row in dataset], rich_rows(ROWS))
    assert same([thaw(row) for row in dataset[50:3:-3]], rich_rows(ROWS)[50:3:-3])
    assert same([thaw(row) for row in dataset[[5, 5, 59, 0]]], [rich_rows(ROWS)[i] for i in (5, 5, 59, 0)])


def test_iteration_can_be_left_and_nested(numbers):
    for a in numbers:
        if a == 3:
            break
    assert [(a, b) for a, b in zip(numbers, numbers)] == [(i, i) for i in range(100)]


@pytest.mark.parametrize("i", [60, -61, 2**31, -(2**31), 2**62])
def test_out_of_range(dataset, i):
    for read in (dataset.__getitem__, lambda i: dataset[[0, i]], lambda i: dataset.batch([i]), lambda i: dataset.__getitems__([i]), lambda i: dataset[np.int64(i)]):
        with pytest.raises(IndexError, match="out of range for 60 rows"):
            read(i)


@pytest.mark.parametrize("i", [2**63, -(2**63) - 1, 10**30])
def test_out_of_range_beyond_64_bits(numbers, i):
    for read in (numbers.__getitem__, lambda i: numbers[[i]], lambda i: numbers.batch([i])):
        with pytest.raises((IndexError, TypeError)):
            read(i)


@pytest.mark.parametrize("key", [1.0, "1", None, True, [1.5], ["a"], [[1, 2]], (1, 2.5), np.ones((2, 2), bool)], ids=repr)
def test_keys_that_are_none(numbers, key):
    with pytest.raises((TypeError, IndexError)):
        numbers[key]


@pytest.mark.parametrize("key", [slice(None), slice(10, 20), slice(None, None, -1), slice(90, 5, -7), slice(-5, None), slice(5, 5), slice(200, 300), slice(0, 100, 99)], ids=str)
def test_slices(numbers, key):
    assert list(numbers[key]) == list(range(100))[key] and len(numbers[key]) == len(range(100)[key])


def test_lists_arrays_and_masks(numbers):
    assert list(numbers[[3, -1, 3]]) == [3, 99, 3] and list(numbers[[]]) == []
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, np.int64):
        assert list(numbers[np.array([3, 99, 0], dtype)]) == [3, 99, 0]
    assert list(numbers[range(5, 50, 7)]) == list(range(5, 50, 7)) and list(numbers[(1, 2)]) == [1, 2]
    mask = np.arange(100) % 7 == 0
    assert list(numbers[mask]) == list(numbers[list(mask)]) == list(range(0, 100, 7))
    assert numbers[np.int16(-1)] == numbers[np.uint64(99)] == 99
    with pytest.raises(IndexError, match="mask"):
        numbers[mask[:50]]
    assert numbers[torch.tensor(7)] == 7 and list(numbers[torch.tensor([7, 8])]) == [7, 8]


def test_views_of_views_stay_flat(numbers):
    """Fifty deep, a view still is one range or one array over the dataset: no chain."""
    rng = np.random.default_rng(0)
    view, model = numbers, list(range(100))
    for k in range(50):
        if k % 2:
            order = rng.permutation(len(model))
            view, model = view[order], [model[i] for i in order]
        else:
            view, model = view[::-1], model[::-1]
        assert view.shard_set is numbers.shard_set and (isinstance(view.rows, range) or view.rows.base is None)
    assert list(view) == model and [view[i] for i in range(len(view))] == model
    view = numbers
    for _ in range(50):
        view = view[1:]
        assert view.rows.__class__ is range and view.rows.step == 1
    assert list(view) == list(range(50, 100)) and view[-1] == 99
    with pytest.raises(IndexError):
        view[50]


def stack(rows, name):
    values = [row[name] for row in rows]
    if any(v is None for v in values):
        fill = next(v for v in values if v is not None)
        return np.ma.MaskedArray(np.array([np.zeros_like(fill) if v is None else v for v in values]), [np.full(np.shape(fill), v is None) for v in values])
    return np.array(values)


@pytest.mark.parametrize("indices", [ORDER, [0], [], list(range(60)), list(range(59, -1, -1)), [5] * 20], ids=len)
def test_batch_is_stacking(dataset, indices):
    batch, rows = dataset.batch(indices), [thaw(dataset[i]) for i in indices]
    for name in ("flag", "id", "signed", "real", "z", "small", "half", "grid", "big"):
        assert len(batch[name]) == len(indices)
        assert not indices or same(np.ascontiguousarray(batch[name]), stack(rows, name)), name
    assert same(batch["when"], np.array([row["when"] for row in rows], "datetime64[us]"))
    for name in ("text", "raw", "note", "photo", "sound", "meta"):
        assert isinstance(batch[name], list) and same(batch[name], [row[name] for row in rows]), name
    for name in ("wave", "image", "any"):
        assert isinstance(batch[name], Ragged) and len(batch[name]) == len(indices)
        assert same([batch[name][i] for i in range(len(indices))], [row[name] for row in rows]), name
    for name in ("step", "gone"):
        for i, row in enumerate(rows):
            value = batch[name][i]
            assert (np.ma.getmaskarray(value).all() if row[name] is None else np.array_equal(value, row[name])), name
    assert not indices or same(batch["box"]["x"], np.array([row["box"]["x"] for row in rows]))
    assert batch["box"]["inner"]["name"] == [row["box"]["inner"]["name"] for row in rows]
    for i, row in enumerate(rows):
        if row["maybe"] is None:
            assert batch["maybe"]["a"].mask[i] and batch["maybe"]["b"][i] is None
        else:
            assert batch["maybe"]["a"][i] == row["maybe"]["a"] and batch["maybe"]["b"][i] == row["maybe"]["b"]


def test_batch_of_a_view_slice_and_mask(dataset):
    view = dataset[10:50:3]
    assert same(view.batch([0, -1])["id"], np.array([10, 49]))
    assert same(view.batch(slice(None, None, -1))["id"], np.arange(10, 50, 3)[::-1].copy())
    mask = np.zeros(len(view), bool)
    mask[4] = True
    assert view.batch(mask)["id"].tolist() == [22]


def test_batch_columns_and_unknown_ones(dataset):
    batch = dataset.batch([1, 2], columns=["text", "id"])
    assert list(batch) == ["text", "id"] and batch["id"].tolist() == [1, 2]
    with pytest.raises(KeyError, match="no column 'nope'"):
        dataset.batch([1], columns=["nope"])
    with pytest.raises(ValueError, match="at least one"):
        dataset.batch([1], columns=[])


def test_batch_into_given_arrays(dataset):
    ids, grid, inner = np.empty(9, np.int64), np.empty((9, 2, 3), np.int16), np.empty(9)
    batch = dataset.batch(ORDER, out={"id": ids, "grid": grid, "box.x": inner})
    assert batch["id"] is ids and batch["grid"] is grid and batch["box"]["x"] is inner
    assert same(ids, dataset.batch(ORDER)["id"]) and same(grid, dataset.batch(ORDER)["grid"]) and same(inner, dataset.batch(ORDER)["box"]["x"])


@pytest.mark.parametrize("bad", [np.empty(8, np.int64), np.empty(9, np.int32), np.empty(18, np.int64)[::2], [0] * 9], ids=["shape", "dtype", "stride", "list"])
def test_out_must_fit(dataset, bad):
    with pytest.raises(ValueError, match="out\\['id'\\]"):
        dataset.batch(ORDER, out={"id": bad})
    frozen = np.empty(9, np.int64)
    frozen.flags.writeable = False
    with pytest.raises(ValueError):
        dataset.batch(ORDER, out={"id": frozen})


def test_columns_when_opened(rich):
    dataset = AtlasDataset(rich, columns=["text", "box"])
    assert list(dataset[3]) == ["text", "box"] and dataset.schema.names == ("text", "box")
    assert same(dataset[3]["box"], rich_rows(4)[3]["box"])
    with pytest.raises(KeyError, match="nope"):
        AtlasDataset(rich, columns=["nope"])
    with pytest.raises(ValueError):
        AtlasDataset(rich, columns=[])


def test_column(dataset, numbers):
    assert dataset.column("id").tolist() == list(range(60)) and dataset[::-2].column("id").tolist() == list(range(59, -1, -2))
    assert dataset.column("text") == [row["text"] for row in rich_rows(60)]
    assert numbers.column("value").tolist() == list(range(100))
    with pytest.raises(KeyError):
        dataset.column("nope")


def test_masked_columns(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [{"a": None if i % 2 else i, "t": None if i % 3 else np.ones(i)} for i in range(8)]))
    batch = dataset.batch([1, 2, 3])
    assert batch["a"].mask.tolist() == [True, False, True] and batch["a"].data.tolist() == [0, 2, 0] and batch["a"].filled(-1).tolist() == [-1, 2, -1]
    assert batch["t"].mask.tolist() == [True, True, False] and batch["t"][0] is None and len(batch["t"][2]) == 3
    whole = write(tmp_path / "e", [{"a": 1}] * 3, schema={"a": __import__("atlas_ds").types.nullable(int)})
    assert isinstance(AtlasDataset(whole).batch([0])["a"], np.ma.MaskedArray)


def test_ragged(dataset):
    ragged = dataset.batch([4, 5, 6])["wave"]
    assert ragged.offsets.tolist() == [0, 4, 9, 9] and len(ragged.values) == 9 and same(ragged[-1], np.empty(0, np.float32))
    with pytest.raises(IndexError):
        ragged[3]
    images = dataset.batch([4, 5])["image"]
    assert [tuple(map(int, s)) for s in images.shapes] == [(2, 2, 1), (3, 2, 2)] and images[1].shape == (3, 2, 2)


def test_numpy_format(dataset):
    row = dataset.with_format("numpy")[4]
    assert isinstance(row["id"], np.int64) and isinstance(row["flag"], np.bool_) and isinstance(row["real"], np.float64) and row["text"] == "éééérow 4"
    assert isinstance(row["box"]["x"], np.float64) and dataset.with_format("python")[4]["id"].__class__ is int
    with pytest.raises(ValueError, match="format"):
        dataset.with_format("jax")


def test_map_and_formats_in_a_chain(numbers):
    view = numbers.map(lambda x: x + 1).map(lambda x: x * 10)[5:8]
    assert list(view) == [60, 70, 80] and view[0] == 60 and view.__getitems__([0, 1]) == [60, 70]
    assert view.batch([0]).tolist() == [5]
    assert list(numbers.with_format("torch").map(lambda t: t.item() + 1)[:2]) == [1, 2]


def test_split_by_fraction(numbers):
    parts = numbers.split([0.8, 0.2])
    assert [len(p) for p in parts] == [80, 20] and [x for p in parts for x in p] == list(range(100))
    shuffled = numbers.split([0.5, 0.3, 0.2], seed=7)
    again = numbers.split([0.5, 0.3, 0.2], seed=7)
    assert [list(p) for p in shuffled] == [list(p) for p in again] and sorted(x for p in shuffled for x in p) == list(range(100))
    assert list(shuffled[0]) != list(numbers.split([0.5, 0.3, 0.2], seed=8)[0]) and list(shuffled[0]) != list(range(50))
    assert [len(p) for p in numbers.split([99, 1])] == [99, 1] and [len(p) for p in numbers[:3].split([1 / 3] * 3)] == [1, 1, 1]
    for bad in ([0.5, 0.4], [], [-0.5, 1.5], [50, 49]):
        with pytest.raises(ValueError):
            numbers.split(bad)


def test_select_is_indexing(numbers):
    assert list(numbers.select([5, 4])) == [5, 4] and list(numbers[10:20].select(slice(None, None, 5))) == [10, 15]


def test_getitems(dataset):
    assert same([thaw(row) for row in dataset.__getitems__(ORDER)], [rich_rows(60)[i] for i in ORDER]) and dataset.__getitems__([]) == []


def test_read_only_views_outlive_the_dataset(rich):
    before = fd_count()
    dataset = AtlasDataset(rich, copy=False)
    row = dataset[33]
    big, raw, photo, wave = row["big"], row["raw"], row["photo"].data, row["wave"]
    del dataset, row
    gc.collect()
    wanted = rich_rows(34)[33]
    assert same(np.array(big), wanted["big"]) and bytes(raw) == wanted["raw"] and bytes(photo) == wanted["photo"].data and same(np.array(wave), wanted["wave"])
    assert not big.flags.writeable and raw.readonly
    with pytest.raises(ValueError):
        big[0] = 1
    with pytest.raises(TypeError):
        photo[0] = 1
    del big, raw, photo, wave
    gc.collect()
    assert fd_count() <= before


def test_copies_are_writable_and_do_not_change_the_file(rich):
    dataset = AtlasDataset(rich)
    dataset[3]["big"][:] = 0
    dataset.batch([3])["big"][:] = 0
    assert same(dataset[3]["big"], rich_rows(4)[3]["big"])


def test_pickles_are_small_and_open_again(dataset):
    for view in (dataset, dataset[5:50:2], dataset.with_format("numpy")):
        data = pickle.dumps(view)
        assert len(data) < 4096
        again = pickle.loads(data)
        assert len(again) == len(view) and same(thaw(again[4]), thaw(view[4]))
        assert type(again[0]["id"]) is type(view[0]["id"])
    picked = pickle.loads(pickle.dumps(dataset[[7, 3]]))
    assert [row["id"] for row in picked] == [7, 3]


def test_what_it_says(rich, dataset):
    assert "rows=60" in repr(dataset) and "id: int64" in repr(dataset) and rich.name in repr(AtlasDataset(rich))
    assert dataset.splits == {} and len(dataset.shards) == 4 and AtlasDataset(rich).metadata == {"a": 1}
    assert "id: int64" in str(dataset.schema) and dataset.schema["note"].nullable
    stats = dataset.stats()
    assert stats["rows"] == 60 and stats["columns"]["id"]["raw_bytes"] == 480 and stats["bytes"] == sum(s.bytes for s in dataset.shards)


def test_one_shard_file_is_a_dataset(rich):
    whole = AtlasDataset(rich)
    for k, shard in enumerate(whole.shards):
        part = AtlasDataset(rich / shard.path)
        assert len(part) == shard.rows and same(part[0], whole[17 * k]) and same(AtlasDataset(rich / shard.path, io="pread")[-1], part[-1])


@pytest.mark.parametrize("verify", ["first", "always", "never"])
def test_verify_modes_read_the_same(rich, verify):
    dataset = AtlasDataset(rich, verify=verify)
    assert same(list(dataset), rich_rows(60)) and same(dataset[5], rich_rows(6)[5])


def test_when_damage_is_seen(tmp_path):
    """first: at the first use of a page; always: also if it came later; never: values, not hashes, are what is trusted."""
    folder = write(tmp_path / "d", [bytes([65 + i]) * 100 for i in range(8)], block_size=8, compression="none")
    shard = folder / AtlasDataset(folder).shards[0].path
    good = shard.read_bytes()
    used = {mode: AtlasDataset(folder, verify=mode) for mode in ("first", "always")}
    for dataset in used.values():
        assert dataset[3] == b"D" * 100
    with shard.open("r+b") as file:
        file.seek(good.index(b"D" * 100))
        file.write(b"!")
    assert used["first"][3] == b"!" + b"D" * 99
    for dataset in (used["always"], AtlasDataset(folder), AtlasDataset(folder, verify="always")):
        with pytest.raises(errors.CorruptError, match=shard.name):
            dataset[3]
        with pytest.raises(errors.CorruptError):
            list(dataset)
        with pytest.raises(errors.CorruptError):
            dataset.batch([0])
    assert AtlasDataset(folder, verify="never")[3] == b"!" + b"D" * 99


@pytest.mark.parametrize("options", [{"verify": "x"}, {"io": "x"}], ids=repr)
def test_wrong_options(rich, options):
    with pytest.raises(ValueError):
        AtlasDataset(rich, **options)


def test_paths_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        AtlasDataset(tmp_path / "nope")
    with pytest.raises(FileNotFoundError, match=r"not an Atlas dataset: atlas\.json not found"):
        AtlasDataset(tmp_path)
    (tmp_path / "x.atlas").write_bytes(b"")
    with pytest.raises(errors.TruncatedError):
        AtlasDataset(tmp_path / "x.atlas")


@pytest.mark.parametrize("name", ["cat/1.jpg", "a.PNG", "train/dog/bark.wav", "x.mp4"])
def test_a_folder_of_pictures_is_to_be_converted(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match="atlas-ds convert"):
        AtlasDataset(tmp_path)


def test_a_folder_of_something_else_is_not(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "noext").touch()
    with pytest.raises(FileNotFoundError, match=r"not found$"):
        AtlasDataset(tmp_path)


def test_iteration_opens_the_shards_it_reads(tmp_path):
    path = write(tmp_path / "d", range(50), shard_size=10)
    for view, wanted in ((slice(25, 28), [2]), (slice(49, 38, -5), [3, 4]), ([31, 11], [1, 3])):
        dataset = AtlasDataset(path)
        assert list(dataset[view]) == list(np.arange(50)[view]) and dataset.shard_set.is_open == wanted


def test_a_missing_shard_is_named(tmp_path):
    folder = write(tmp_path / "d", range(10), shard_size=5)
    gone = AtlasDataset(folder).shards[1].path
    (folder / gone).unlink()
    for io in ("mmap", "pread"):
        dataset = AtlasDataset(folder, io=io)
        assert dataset[4] == 4
        with pytest.raises(FileNotFoundError, match=gone):
            dataset[5]


def test_splits(tmp_path):
    from atlas_ds import AtlasDatasetWriter

    with AtlasDatasetWriter(tmp_path / "d", shard_size=3, workers=0) as writer:
        for i in range(10):
            writer.add_example(i, split="train" if i % 2 else "test")
    assert list(AtlasDataset(tmp_path / "d", split="train")) == [1, 3, 5, 7, 9] and AtlasDataset(tmp_path / "d").splits == {"test": 5, "train": 5}
    with pytest.raises(KeyError, match="test, train"):
        AtlasDataset(tmp_path / "d", split="x")


def test_a_split_of_no_ranges(tmp_path):
    path = write(tmp_path / "d", range(5))
    manifest = read_manifest(LocalStore(path))
    manifest.splits["none"] = ()
    commit(LocalStore(path), manifest, expected=read_current(LocalStore(path)).version)
    assert list(AtlasDataset(path, split="none")) == [] and AtlasDataset(path).splits == {"none": 0}
