"""Every type of column on every way to torch: its values exactly, or an error that names the column and what to do."""

import datetime
import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

import atlas_ds as atlas
from atlas_ds import AtlasDataset, Loader, Media
from atlas_ds.types import date, media, nullable, tensor, timestamp
from support import same, write

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128")
EXTREME = {"int64": [-(1 << 63), (1 << 53) + 1], "uint64": [(1 << 64) - 1, 1 << 63], "float64": [0.1, 1e300], "complex128": [0.1j, 1e300], "uint32": [(1 << 32) - 1, 0]}


def values_of(dtype):
    return np.array([1, 0, *EXTREME.get(dtype, [1, 0])], dtype)


def exact(given, wanted):
    """Tensor or number against a NumPy value, bit by bit."""
    given = given.numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
    return given.astype(wanted.dtype).tobytes() == wanted.tobytes() and (given.dtype.kind == wanted.dtype.kind or given.dtype.kind + wanted.dtype.kind in ("iu", "ui"))


@pytest.mark.parametrize("form", ["scalar", "numpy", "array", "struct"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers(tmp_path, dtype, form):
    values = values_of(dtype)
    make = {"scalar": lambda v: v.item(), "numpy": lambda v: v, "array": lambda v: np.array([v, v]), "struct": lambda v: {"y": v.item()}}[form]
    schema = {"scalar": {"x": dtype}, "struct": {"x": {"y": dtype}}}.get(form)
    dataset = AtlasDataset(write(tmp_path / "d", [{"x": make(v)} for v in values], schema=schema))
    wanted = np.stack([values, values], 1) if form == "array" else values
    strict = getattr(torch, dtype)

    def inner(x):
        return x["y"] if form == "struct" else x

    for i in range(4):
        one = inner(dataset.with_format("torch")[i]["x"])
        assert one.dtype == strict and exact(one, wanted[i])
        if form != "array":
            assert type(inner(dataset.with_format("numpy")[i]["x"])) is np.dtype(dtype).type
    for batch in (dataset.with_format("torch").batch(range(4)), next(iter(Loader(dataset, batch_size=4, shuffle=False)))):
        assert inner(batch["x"]).dtype == strict and exact(inner(batch["x"]), wanted)
    for source in (dataset, dataset.with_format("torch"), Subset(Subset(dataset, [0, 1, 2, 3]), range(4)), atlas.concat([dataset[:2], dataset[2:]])):
        for options in ({}, {"collate_fn": atlas.collate}):
            (batch,) = DataLoader(source, batch_size=4, **options)
            assert exact(inner(batch["x"]), wanted)
    batch = next(iter(Loader(dataset, batch_size=4, shuffle=False, transform_example=lambda example: example)))
    assert exact(inner(batch["x"]), wanted)


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("kind", [*(timestamp(unit) for unit in ("s", "ms", "us", "ns")), timestamp("us", "UTC"), date()], ids=str)
def test_times_stay_as_they_are(tmp_path, kind, null):
    unit = "D" if kind == date() else kind.unit
    wanted = np.array([0, "NaT" if null else 1, 2], f"M8[{unit}]")
    schema = {"x": nullable(kind), "s": {"x": nullable(kind)}} if null else {"x": kind, "s": {"x": kind}}
    days = [None if np.isnat(moment) else moment for moment in wanted]
    given = [moment.item().replace(tzinfo=datetime.UTC) if getattr(kind, "tz", None) and moment is not None else moment for moment in days]
    dataset = AtlasDataset(write(tmp_path / "d", [{"x": moment, "s": {"x": moment}, "i": i} for i, moment in enumerate(given)], schema={**schema, "i": int}))
    tensors = dataset.with_format("torch")
    assert [row["x"] for row in tensors] == [row["s"]["x"] for row in tensors] == [row["x"] for row in dataset]
    loaded = [next(iter(Loader(dataset, batch_size=3, shuffle=False, **options))) for options in ({}, {"num_threads": 2}, {"format": "numpy"})]
    joined = atlas.concat([tensors[:1], tensors[1:]])
    for batch in (*loaded, tensors.batch(range(3)), joined.batch(range(3))):
        assert same(batch["x"], wanted) and same(batch["s"]["x"], wanted)
    examples = [DataLoader(dataset, batch_size=3, collate_fn=atlas.collate, num_workers=workers) for workers in (0, 1)]
    for (batch,) in (*examples, Loader(dataset, batch_size=3, shuffle=False, transform_processes=1)):
        stacked = unit == "ns" and not null  # the others are datetimes, or None
        assert same(batch["x"], wanted if stacked else [row["x"] for row in dataset]) and batch["i"].tolist() == [0, 1, 2]
    for source in (dataset, tensors):
        with pytest.raises(TypeError, match=r"column '(s\.)?x' has .*collate_fn=atlas_ds.collate"):
            list(DataLoader(source, batch_size=3))


HARD = {  # values, schema: what default_collate refuses, changes, or takes by luck
    "number or None": ([1, None, 3], None),
    "uint64 or None": ([1 << 63, None, 3], nullable("uint64")),
    "array or None": ([np.ones(2), None, np.ones(2)], None),
    "struct or None": ([{"a": 1}, None, {"a": 2}], None),
    "text or None": ([None, "a", "b"], None),
    "bytes or None": ([b"a", None, b"c"], None),
    "media": ([Media(b"\xff\xd8\xff", "image/jpeg")] * 3, None),
    "media of any type": ([Media(b"\xff\xd8\xff", "image/jpeg"), Media(b"\x89PNG", "image/png")] * 2, media()),
    "dates": ([datetime.datetime(2020, 1, day + 1) for day in range(3)], None),
    "lists of different lengths": ([[1], [2, 3], []], "object"),
    "dicts of different keys": ([{"a": 1}, {"a": 2, "b": 3}, {"a": 4}], "object"),
    "ints and floats": ([1, 0.1, (1 << 53) + 1], "object"),
    "ints and text": ([1, "a", 2], "object"),
    "ints beyond int64 and below 0": ([1 << 63, -1, 2], "object"),
    "tensors": ([np.ones(1), np.ones(2), np.ones(3)], tensor("float64", 1)),
    "tensors of any rank": ([np.ones(1), np.ones((1, 1)), np.ones(())], tensor("float64")),
}


@pytest.mark.parametrize("where", ["x", "s.x"])
@pytest.mark.parametrize("name", HARD)
def test_what_default_collate_cannot_take_is_named(tmp_path, name, where):
    values, schema = HARD[name]
    if where == "s.x":
        values, schema = [{"x": value} for value in values], None if schema is None else {"x": schema}
    root = where[0]
    dataset = AtlasDataset(write(tmp_path / "d", [{root: value, "good": 1} for value in values], schema=None if schema is None else {root: schema, "good": int}))
    for source in (dataset, dataset.with_format("torch"), Subset(dataset, range(len(values))), atlas.concat([dataset[:1], dataset[1:]]), dataset.map(lambda e: e)):
        with pytest.raises(TypeError, match=rf"column '{re.escape(where)}(\.\w+)?' has .*collate_fn=atlas_ds.collate"):
            list(DataLoader(source, batch_size=len(values)))
    for workers in (0, 2) if where == "x" and name in ("media", "dates") else (0,):
        (batch,) = DataLoader(dataset, batch_size=len(values), collate_fn=atlas.collate, num_workers=workers)
        column = batch[root]["x"] if where == "s.x" else batch[root]
        assert isinstance(column, list) and batch["good"].tolist() == [1] * len(values)
        stored = [example[root]["x"] if where == "s.x" else example[root] for example in dataset]
        assert all(torch.equal(a, torch.from_numpy(b)) if isinstance(b, np.ndarray) else a == b for a, b in zip(column, stored, strict=True))


def test_default_collate_takes_the_rest_as_ever(tmp_path):
    rows = [{"i": i, "s": f"{i}", "b": bytes(i), "l": [i, 2], "d": {"k": 0.1}, "n": None} for i in range(4)]
    dataset = AtlasDataset(write(tmp_path / "d", rows, schema={"i": int, "s": str, "b": bytes, "l": "object", "d": "object", "n": nullable(int)}), columns=["i", "s", "b", "l", "d"])
    (batch,) = DataLoader(dataset, batch_size=4)
    assert batch["i"].tolist() == [0, 1, 2, 3] and batch["s"] == ["0", "1", "2", "3"] and batch["b"] == [bytes(i) for i in range(4)]
    assert [column.tolist() for column in batch["l"]] == [[0, 1, 2, 3], [2] * 4] and batch["d"]["k"].tolist() == [0.1] * 4


def test_numbers_of_several_types_are_not_rounded(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [{"i": i} for i in range(3)]))
    for numbers, dtype in [([1, 0.1, 2], torch.float64), ([0.1, 1, True], torch.float64), ([np.float64(0.1), 0.5, 3], torch.float64), ([True, 7, np.int8(3)], torch.int64), ([float("nan"), 1, 2], torch.float64)]:
        (batch,) = DataLoader(dataset.map(lambda e, numbers=numbers: {"c": numbers[e["i"]]}), batch_size=3)
        assert batch["c"].dtype == dtype and np.array_equal(batch["c"].numpy(), np.array([float(n) for n in numbers]), equal_nan=True)
    (batch,) = DataLoader(dataset.map(lambda e: {"c": "ab"[e["i"]] if e["i"] < 2 else np.str_("c")}), batch_size=3)
    assert batch["c"] == ["a", "b", "c"]


def test_a_collate_fn_of_ones_own_gets_what_is_stored(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [{"x": None}, {"x": 1 << 63}], schema={"x": nullable("uint64")}))
    assert list(DataLoader(dataset, batch_size=2, collate_fn=list)) == [[{"x": None}, {"x": 1 << 63}]]


@pytest.mark.parametrize("rows", [[1, None], [Media(b"fLaC", "audio/flac")] * 2], ids=["None", "media"])
def test_examples_without_names(tmp_path, rows):
    for number, (container, name) in enumerate(((lambda v: v, "a column"), (lambda v: (0, v), "column '1'"), (lambda v: [0, v], "column '1'"))):
        dataset = AtlasDataset(write(tmp_path / str(number), [container(v) for v in rows]))
        with pytest.raises(TypeError, match=name):
            list(DataLoader(dataset, batch_size=2))
        assert len(list(DataLoader(dataset, batch_size=2, collate_fn=atlas.collate))) == 1


def test_pictures(tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    rows = [{"p": Image.new("RGB", (2 + i, 2))} for i in range(2)]
    path = write(tmp_path / "d", rows)
    for decode in ("pil", "numpy", "torch"):
        with pytest.raises(TypeError, match=r"column 'p' has .*collate_fn"):
            list(DataLoader(AtlasDataset(path, decode=decode), batch_size=2))
        assert len(next(iter(DataLoader(AtlasDataset(path, decode=decode), batch_size=2, collate_fn=atlas.collate)))["p"]) == 2
        assert next(iter(DataLoader(AtlasDataset(path, decode=decode)[:1], batch_size=1, collate_fn=atlas.collate)))["p"] is not None
