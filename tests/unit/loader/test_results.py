"""What transform, transform_example and collate may return: its values exactly, in every format, or an error that names the column."""

import collections
import enum
import os

import numpy as np
import pytest
import torch

from atlas_ds import AtlasDataset, Loader
from support import same, write
from unit.loader import parts

Pair = collections.namedtuple("Pair", "x y")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rows = [{"x": i, "img": np.arange(6, dtype=np.int16).reshape(2, 3) + i} for i in range(40)]
    return AtlasDataset(write(tmp_path_factory.mktemp("results") / "d", rows))


def first(dataset, **options):
    return next(iter(Loader(dataset, **{"batch_size": 4, "shuffle": False, "num_threads": 1} | options)))


def column(dataset, make, **options):
    """What the loader makes of transform=lambda batch: {"c": make(batch)}."""
    return first(dataset, transform=lambda batch: {"c": make(batch)}, **options)["c"]


# --- transform ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize(
    "make",
    [
        lambda b: b["x"][::-1],
        lambda b: b["img"][:, ::-1, ::-1],
        lambda b: b["img"][:, :, 1],
        lambda b: b["x"][:1][::-1],
        lambda b: b["x"].astype(">i8"),
        lambda b: b["x"].astype(">f4")[::-1],
        lambda b: np.broadcast_to(np.float32(3), (4, 2)),
        lambda b: np.array(7.5),
        lambda b: b["x"].astype(np.uint64) + np.uint64((1 << 64) - 40),
        lambda b: b["x"].astype(np.float16),
        lambda b: b["x"] * 1j,
        lambda b: np.matrix(b["x"]),
        lambda b: np.zeros((4, 0)),
        lambda b: np.array([(1, 2.5)] * 4, [("a", "i1"), ("b", "f8")])["b"],
        lambda b: np.frombuffer(b"0" + b["x"].tobytes(), np.uint8)[1:].view(np.int64),
    ],
)
def test_arrays_as_they_are(dataset, make):
    wanted = np.asarray(make(dataset.batch(range(4))))
    got = column(dataset, make)
    assert isinstance(got, torch.Tensor) and same(got.numpy(), np.array(wanted, wanted.dtype.newbyteorder("=")))
    assert np.array_equal(column(dataset, make, format="numpy"), wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda b: np.array(["a", "bc", "", "é"]),
        lambda b: np.array([b"a", b"bc", b"", b"d"]),
        lambda b: np.array([None, 1, "x", 2.5], object),
        lambda b: np.array([1, 1 << 70, 3, 4], object),
    ],
)
def test_text_and_objects_are_lists(dataset, make):
    assert column(dataset, make) == make(None).tolist()
    assert same(column(dataset, make, format="numpy"), make(None))


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (lambda b: b["x"].astype("m8[s]"), r"astype\('int64'\)"),
        (lambda b: np.timedelta64(3, "ns"), r"astype\('int64'\)"),
        (lambda b: b["x"].astype(np.longdouble), "float64"),
        (lambda b: np.zeros(4, [("a", "i4")]), "leave it out"),
        (lambda b: np.ma.masked_equal(b["x"], 2), "nulls.*filled"),
        (lambda b: [np.ma.masked_equal(b["x"], 2)], "nulls.*filled"),
    ],
)
def test_what_has_no_tensor_form_is_named(dataset, make, cure):
    with pytest.raises(TypeError, match=f"column 'c' .*{cure}"):
        column(dataset, make)
    with pytest.raises(TypeError, match=r"column 's\.c' "):
        first(dataset, transform=lambda b: {"s": {"c": make(b)}})
    with pytest.raises(TypeError, match="column '1' "):
        first(dataset, transform=lambda b: (b["x"], make(b)))
    column(dataset, make, format="numpy")


def test_numbers(dataset):
    for value, dtype in [(0.1, torch.float64), (1e300, torch.float64), (3, torch.int64), (1 << 63, torch.uint64), (True, torch.bool), (0.1j, torch.complex128), (np.uint64((1 << 64) - 1), torch.uint64), (np.float32(0.1), torch.float32)]:
        got = column(dataset, lambda b, value=value: value)
        assert got.dtype == dtype and got.item() == value
    for value in (1 << 64, -(1 << 63) - 1, None, "text", b"bytes", np.str_("text")):
        assert column(dataset, lambda b, value=value: value) == value


def test_tensors(dataset):
    half, grown = torch.ones(4, dtype=torch.bfloat16), torch.ones(4, requires_grad=True)
    assert column(dataset, lambda b: half) is half and column(dataset, lambda b: grown) is grown
    assert same(column(dataset, lambda b: half, format="numpy"), np.ones(4, np.float32))
    assert same(column(dataset, lambda b: grown, format="numpy"), np.ones(4, np.float32))


def test_containers(dataset):
    got = first(dataset, transform=lambda b: Pair(b["x"], {"deep": b["x"][::-1]}))
    assert type(got) is Pair and torch.equal(got.x, torch.arange(4)) and got.y["deep"].tolist() == [3, 2, 1, 0]
    got = first(dataset, transform=lambda b: Pair(b["x"], b["img"]), format="numpy", batch_size=3, prefetch="1MB")
    assert type(got) is Pair and same(got.x, np.arange(3))
    got = first(dataset, transform=lambda b: [b["x"], "text", [b["x"]]])
    assert torch.equal(got[0], torch.arange(4)) and got[1] == "text" and torch.equal(got[2][0], torch.arange(4))
    assert first(dataset, transform=lambda b: None) is None and first(dataset, transform=lambda b: {}) == {}


# --- transform_example and collate -----------------------------------------------------


def rows(dataset, make, **options):
    return first(dataset, transform_example=lambda example: {"c": make(example)}, **options)["c"]


@pytest.mark.parametrize("processes", [0, 1])
def test_examples_of_tensors(dataset, processes):
    for example, dtype in ((parts.bfloat16, torch.bfloat16), (parts.with_grad, torch.float32)):
        got = first(dataset, transform_example=example, transform_processes=processes)["c"]
        assert got.dtype == dtype and not got.requires_grad and got.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
        assert same(first(dataset, transform_example=example, transform_processes=processes, format="numpy")["c"], np.repeat(np.arange(4, dtype=np.float32), 2).reshape(4, 2))


@pytest.mark.parametrize("processes", [0, 1])
def test_masks_survive(dataset, processes):
    got = first(dataset, transform_example=parts.masked_rows, transform_processes=processes, format="numpy")["c"]
    assert isinstance(got, np.ma.MaskedArray) and got.mask.tolist() == [[i == 0, i == 1, i == 2] for i in range(4)]
    with pytest.raises(TypeError, match="column 'c' has nulls"):
        first(dataset, transform_example=parts.masked_rows, transform_processes=processes)
    mixed = rows(dataset, lambda e: np.ma.masked_equal(np.arange(3), 1) if e["x"] else np.arange(3), format="numpy")
    assert np.ma.getmaskarray(mixed).tolist() == [[False] * 3] + [[False, True, False]] * 3


@pytest.mark.parametrize("make", [parts.texts_only, parts.masked_rows, parts.nothing])
def test_batches_without_plain_arrays_from_processes(dataset, make):
    stood = os.fstat(0)
    for batch in Loader(dataset, batch_size=4, shuffle=False, transform_example=make, transform_processes=1, format="numpy"):
        assert len(batch["c"] if isinstance(batch, dict) else batch) == 4
    assert os.path.samestat(os.fstat(0), stood), "standard input is open still"


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_rows_that_are_no_plain_arrays(dataset):
    assert same(rows(dataset, lambda e: np.matrix([[e["x"], 2]]), format="numpy"), np.array([[[i, 2]] for i in range(4)]))
    assert rows(dataset, lambda e: np.matrix([[e["x"], 2]])).shape == (4, 1, 2)
    assert same(rows(dataset, lambda e: np.datetime64(e["x"], "D"), format="numpy"), np.arange(4).astype("M8[D]"))
    assert same(rows(dataset, lambda e: np.datetime64(e["x"], "D")), np.arange(4).astype("M8[D]"))
    with pytest.raises(TypeError, match="column 'c' is timedelta64"):
        rows(dataset, lambda e: np.timedelta64(e["x"], "D"))
    units = rows(dataset, lambda e: np.datetime64(e["x"], "ns" if e["x"] else "Y"), format="numpy")
    assert units == [np.datetime64(0, "Y"), *(np.datetime64(i, "ns") for i in (1, 2, 3))]
    assert rows(dataset, lambda e: np.array(e["x"])).tolist() == [0, 1, 2, 3], "0-d"
    assert rows(dataset, lambda e: np.str_("a" * e["x"])) == ["", "a", "aa", "aaa"]
    assert rows(dataset, lambda e: np.bytes_(b"a\0")) == [b"a\0"] * 4
    assert rows(dataset, lambda e: np.array(["a", None], object)) == [["a", None]] * 4
    ragged = rows(dataset, lambda e: np.arange(e["x"])[::-1])
    assert [one.tolist() for one in ragged] == [[], [0], [1, 0], [2, 1, 0]] and isinstance(ragged[0], torch.Tensor)
    assert rows(dataset, lambda e: e["img"][::-1].astype(">i2")).tolist() == [(np.arange(6).reshape(2, 3)[::-1] + i).tolist() for i in range(4)]


def test_numbers_of_rows(dataset):
    class Whole(enum.IntEnum):
        A = 1 << 62

    assert rows(dataset, lambda e: 1.5 if e["x"] else 1) == [1, 1.5, 1.5, 1.5], "never rounded: a list"
    assert rows(dataset, lambda e: 2**70) == [2**70] * 4
    assert rows(dataset, lambda e: (1 << 64) - 1 - e["x"]).tolist() == [(1 << 64) - 1 - i for i in range(4)]
    assert rows(dataset, lambda e: -1 if e["x"] else 1 << 63) == [1 << 63, -1, -1, -1]
    assert rows(dataset, lambda e: Whole.A).tolist() == [1 << 62] * 4
    assert rows(dataset, lambda e: 0.1).dtype == torch.float64 and rows(dataset, lambda e: np.float32(0.1)).dtype == torch.float32
    assert rows(dataset, lambda e: bool(e["x"])).dtype == torch.bool and rows(dataset, lambda e: True if e["x"] else 0) == [0, True, True, True]
    assert rows(dataset, lambda e: None) == [None] * 4 and rows(dataset, lambda e: e["x"] or None) == [None, 1, 2, 3]


def test_rows_of_tuples_and_dicts(dataset):
    got = first(dataset, transform_example=lambda e: Pair(e["x"], e["img"]))
    assert type(got) is Pair and got.x.tolist() == [0, 1, 2, 3] and got.y.shape == (4, 2, 3)
    fresh = first(dataset, transform_example=lambda e: collections.namedtuple("Other", "a b")(e["x"], 1))
    assert fresh.a.tolist() == [0, 1, 2, 3], "a class of its own for each row"
    assert first(dataset, transform_example=lambda e: (1, 2)[: 1 + e["x"] % 2]) == [(1,), (1, 2), (1,), (1, 2)]
    keys = first(dataset, transform_example=lambda e: {"a": e["img"]} if e["x"] % 2 else {"b": 1})
    assert keys[0] == {"b": 1} and torch.equal(keys[1]["a"], torch.arange(6, dtype=torch.int16).reshape(2, 3) + 1)
    assert type(first(dataset, transform_example=parts.as_pair, transform_processes=1)).__name__ == "Pair"


def test_collate_of_ones_own(dataset):
    assert first(dataset, collate_fn=lambda examples: Pair(len(examples), [e["img"][::-1] for e in examples])).y[0].shape == (2, 3)
    assert list(first(dataset, collate_fn=lambda examples: (e["x"] for e in examples))) == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("kind", [StopIteration, GeneratorExit, KeyError, IndexError, KeyboardInterrupt])
@pytest.mark.parametrize("how", ["transform", "transform_example", "collate_fn", "map"])
def test_no_error_ends_the_epoch_in_silence(dataset, how, kind, threads):
    """An error that Python itself takes for the end of a loop is no end of the epoch."""

    def fail(batch):
        raise kind("here")

    source, options = (dataset.map(fail), {}) if how == "map" else (dataset, {how: fail})
    loader = Loader(source, batch_size=4, num_threads=threads, format="numpy", **options)
    seen = 0
    with pytest.raises(BaseException) as found:  # noqa: PT011
        for _ in loader:
            seen += 1
    assert seen == 0 and kind in (type(found.value), type(found.value.__cause__)) and loader.epoch == 0
