"""What is written is read back: every type and container, bit for bit."""

import datetime
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, types
from support import PNG, UTC, Point, rich_rows, round_trip, same, write

NAN_PAYLOAD = struct.unpack("<d", b"\x01\x02\x03\x04\x05\x06\xf8\x7f")[0]
DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip


def expect(path, values, expected=None, **options):
    got = round_trip(path, [{"v": value} for value in values], **options)
    wanted = [{"v": value} for value in (values if expected is None else expected)]
    assert same(got, wanted), (got, wanted)


@pytest.mark.parametrize(
    "values",
    [
        [True, False],
        [0, -1, 2**63 - 1, -(2**63)],
        [0, 2**64 - 1, 2**63],
        [0.0, -0.0, math.inf, -math.inf, math.nan, NAN_PAYLOAD, 5e-324, 1.7976931348623157e308],
        [complex(0.0, -0.0), complex(math.nan, math.inf), 1 + 2j],
        ["", "é", "日本", "a\0b", "🙂" * 100],
        [b"", b"\0", b"\xff" * 1000],
        [None, None],
        [1, None, 3],
        [None, 1.5],
        ["x", None, ""],
        [b"", None],
        [None, True],
        [[], [1, [2, None]], ["é", {"k": b"x"}]],
        [{"a": 1}, {"b": 2}],
        [{}, {"a": {}}],
        [datetime.datetime(2020, 1, 2, 3, 4, 5, 6), datetime.datetime.min],
        [datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC), datetime.datetime(1969, 1, 1, tzinfo=UTC)],
        [[datetime.datetime(2020, 1, 1)], [datetime.datetime(2020, 1, 1, tzinfo=UTC)]],
    ],
    ids=lambda values: repr(values)[:30],
)
@pytest.mark.parametrize("access", ["random", "scan"])
def test_python_values(tmp_path: Path, values, access):
    expect(tmp_path / "d", values * 3, access=access, block_size=4)


def test_ints_and_floats_mix_to_float(tmp_path):
    expect(tmp_path / "d", [1, 2.5], [1.0, 2.5])


def test_other_buffers_are_bytes(tmp_path):
    expect(tmp_path / "d", [bytearray(b"ab"), memoryview(b"cd"), memoryview(b"abcd")[::2]], [b"ab", b"cd", b"ac"])


def test_lists_of_tuples_come_back_as_lists(tmp_path):
    expect(tmp_path / "d", [[(1, 2)], []], [[[1, 2]], []])


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_and_scalars_of_every_dtype(tmp_path, dtype):
    base = np.array([0, 1, 1, 0, 1, 0]).astype(dtype).reshape(2, 3)
    rows = [{"scalar": base[0, 1], "zero_d": base[0, 0:1].reshape(()), "fixed": base, "none": base[:0], "ragged": base[:, : i % 4], "odd": base.reshape((6, 1) if i % 2 else (6,))} for i in range(7)]
    assert same(round_trip(tmp_path / "d", rows), [{k: np.ascontiguousarray(v) if k not in ("scalar", "zero_d") else v for k, v in row.items()} for row in rows])


@pytest.mark.parametrize("dtype", [">i4", ">f8", ">u2", ">c8"])
def test_big_endian_arrays_become_little(tmp_path, dtype):
    arrays = [np.arange(6).astype(dtype).reshape(2, 3), np.arange(6, 12).astype(dtype).reshape(2, 3)]
    expect(tmp_path / "d", arrays, [a.astype(a.dtype.newbyteorder("<")) for a in arrays])
    expect(tmp_path / "e", [arrays[0], arrays[1][:1]], [a.astype(a.dtype.newbyteorder("<")) for a in (arrays[0], arrays[1][:1])])


def test_other_memory_orders(tmp_path):
    base = np.arange(24, dtype=np.int32).reshape(4, 6)
    odd = [np.asfortranarray(base), base.T.copy().T, np.arange(96, dtype=np.int32).reshape(8, 12)[::2, ::2], base[::-1]]
    expect(tmp_path / "d", odd, [np.ascontiguousarray(a) for a in odd])
    expect(tmp_path / "e", [a[: 1 + i] for i, a in enumerate(odd)], [np.ascontiguousarray(a[: 1 + i]) for i, a in enumerate(odd)])


def test_nan_payloads_of_arrays(tmp_path):
    a = np.array([0x7FC12345, 0xFF800001, 0x80000000], np.uint32).view(np.float32)
    expect(tmp_path / "d", [a, a[::-1].copy(), a])


def test_ragged_tensors(tmp_path):
    rng = np.random.default_rng(0)
    expect(tmp_path / "one", [rng.random(n) for n in (0, 5, 1, 3)])
    expect(tmp_path / "two", [rng.random((n, 3)) for n in (0, 5, 1)])
    expect(tmp_path / "any", [rng.random((2,) * n) for n in (0, 3, 1)])
    expect(tmp_path / "zeros", [np.empty((0, 4)), np.empty((4, 0)), np.empty((0,))])
    expect(tmp_path / "nullable", [rng.random((2, 1)), None, rng.random((1, 2)), None])


def test_many_dimensions(tmp_path):
    expect(tmp_path / "fixed", [np.ones((1,) * 32, np.int8)] * 2)
    expect(tmp_path / "ragged", [np.ones((1,) * n, np.int8) for n in (32, 31)])


def test_torch_tensors(tmp_path):
    tensors = [torch.arange(4).reshape(2, 2), torch.arange(4, 8).reshape(2, 2).t()]
    expect(tmp_path / "d", tensors, [np.ascontiguousarray(t.numpy()) for t in tensors])
    grad = torch.ones(3, requires_grad=True)
    expect(tmp_path / "e", [grad, grad], [np.ones(3, np.float32)] * 2)
    expect(tmp_path / "f", [torch.ones(2, dtype=torch.complex64).conj()], [np.ones(2, np.complex64).conj()])


def test_bfloat16_keeps_its_bits(tmp_path):
    bits = torch.tensor([0x3F80, -0x8000, 0x7FC1, 0x7F80, 1], dtype=torch.int16)
    rows = [bits.view(torch.bfloat16), bits.flip(0).view(torch.bfloat16)]
    expect(tmp_path / "fixed", rows, [row.view(torch.int16).numpy().view(np.uint16).astype(np.uint32).__lshift__(16).view(np.float32) for row in rows])
    ragged = [row[: 2 + i] for i, row in enumerate(rows)]
    expect(tmp_path / "ragged", ragged, [row.view(torch.int16).numpy().view(np.uint16).astype(np.uint32).__lshift__(16).view(np.float32) for row in ragged])


def test_declared_bfloat16_rounds_to_even(tmp_path):
    got = round_trip(tmp_path / "d", [{"v": 1.00390625}, {"v": 1.01171875}, {"v": math.nan}, {"v": 3}], schema={"v": "bfloat16"})
    assert got[0]["v"] == 1.0 and got[1]["v"] == 1.015625 and math.isnan(got[2]["v"]) and got[3]["v"] == 3.0


def test_bfloat16_without_dimensions(tmp_path):
    expect(tmp_path / "d", [np.array(1.5, np.float32), np.array(-2, np.float32)], schema={"v": types.array("bfloat16", ())})


def test_declared_narrow_floats(tmp_path):
    got = round_trip(tmp_path / "d", [{"a": 0.1, "b": 1}], schema={"a": "float32", "b": "float16"})
    assert got == [{"a": float(np.float32(0.1)), "b": 1.0}]


def test_pil_images_are_png(tmp_path):
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    got = round_trip(tmp_path / "d", [{"v": image}])[0]["v"]
    assert got.type == "image/png" and np.array_equal(got.decode(), np.asarray(image)) and got.decode("pil").size == (2, 2)


def test_paths_to_media(tmp_path):
    files = {"a.png": PNG, "b.flac": b"fLaC1234", "c.mp4": b"\0\0\0\x20ftypisom", "d.mp3": b"no signature"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    got = round_trip(tmp_path / "d", [{"v": tmp_path / name} for name in files])
    assert [(m["v"].data, m["v"].type) for m in got] == list(zip(files.values(), ["image/png", "audio/flac", "video/mp4", "audio/mpeg"], strict=True))


def test_media_of_one_type_and_of_none(tmp_path):
    expect(tmp_path / "one", [Media(b"x", "image/x"), None, Media(b"", "image/x")])
    expect(tmp_path / "any", [Media(b"x", "image/x"), None, Media(b"y", "audio/é")])


def test_structs(tmp_path):
    expect(tmp_path / "d", [{"a": {"b": {"c": i, "d": None if i else "x"}}, "e": np.zeros(2)} for i in range(3)])


def test_absent_structs(tmp_path):
    expect(tmp_path / "inferred", [None, {"a": 1, "b": "x"}, None, {"a": 2, "b": ""}])
    schema = {"v": types.nullable(types.struct({"a": types.nullable("int64"), "b": types.nullable(types.struct({"c": types.media(), "t": types.tensor("int8", 2)}))}))}
    inner = {"c": Media(b"x", "image/x"), "t": np.ones((1, 2), np.int8)}
    expect(tmp_path / "declared", [None, {"a": None, "b": None}, {"a": 1, "b": inner}, None, {"a": 2, "b": None}], schema=schema)


def test_missing_keys_read_as_none(tmp_path):
    got = round_trip(tmp_path / "d", [{"a": 1}, {"a": 2, "b": "x"}])
    assert got == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_tuples(tmp_path):
    rows = [(i, "x", np.full(2, i)) for i in range(4)]
    assert same(round_trip(tmp_path / "d", rows), rows)


def test_lists(tmp_path):
    rows = [[i, None if i else 1.5] for i in range(4)]
    assert same(round_trip(tmp_path / "d", rows), rows)


def test_lists_of_different_lengths_are_single_values(tmp_path):
    rows = [[], [1], [1, "x"]]
    assert same(round_trip(tmp_path / "d", rows), rows)


@pytest.mark.parametrize("rows", [[1, 2], ["a", None], [np.ones(2), np.zeros(2)], [{"a": 1}, {"a": 2}], [b"", b"x"], [Media(b"x", "image/x")]], ids=repr)
def test_single_values(tmp_path, rows):
    assert same(round_trip(tmp_path / "d", rows), rows)


def test_dataclasses_come_back_as_dicts(tmp_path):
    assert round_trip(tmp_path / "d", [Point(1, "a"), Point(2, "b")]) == [{"x": 1, "label": "a"}, {"x": 2, "label": "b"}]
    assert AtlasDataset(tmp_path / "d").schema.name == "Point"


@pytest.mark.parametrize("options", [{}, {"access": "scan"}, {"compression": "lz4", "block_size": 3}, {"compression": "none"}, {"compression": "zstd", "level": 1, "shard_size": 7}], ids=repr)
def test_every_type_at_once(tmp_path, options):
    rows = rich_rows(40)
    assert same(round_trip(tmp_path / "d", rows, **options), rows)


def test_batches_of_columns(tmp_path):
    """add_batch is the mirror image of batch."""
    columns = {
        "i": np.arange(5), "f": np.arange(5, dtype=np.float32), "g": np.ones((5, 2, 2), np.uint8), "s": list("abcde"), "b": [b"x"] * 5,
        "o": [[i] for i in range(5)], "t": [np.ones(i) for i in range(5)], "n": [None, 1, 2, None, 3], "p": {"q": np.arange(5), "r": ["x"] * 5},
    }  # fmt: skip
    with AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
        writer.add_batch(columns)
        writer.add_batch(columns)
    rows = list(AtlasDataset(tmp_path / "d"))
    assert len(rows) == 10 and same(rows[:5], rows[5:])
    assert rows[3]["i"] == 3 and rows[3]["f"] == 3 and rows[4]["s"] == "e" and rows[3]["n"] is None and rows[2]["p"] == {"q": 2, "r": "x"}
    assert same(rows[4]["t"], np.ones(4)) and rows[4]["o"] == [4]


def test_batches_of_the_other_containers(tmp_path):
    with AtlasDatasetWriter(tmp_path / "t", workers=0) as writer:
        writer.add_batch((np.arange(3), ["a", "b", "c"]))
    assert [tuple(map(str, row)) for row in AtlasDataset(tmp_path / "t")] == [("0", "a"), ("1", "b"), ("2", "c")]
    with AtlasDatasetWriter(tmp_path / "v", workers=0) as writer:
        writer.add_batch(np.arange(6).reshape(3, 2))
    assert same(AtlasDataset(tmp_path / "v")[2], np.array([4, 5]))
    with AtlasDatasetWriter(tmp_path / "m", workers=0, schema={"a": types.nullable("int64")}) as writer:
        writer.add_batch({"a": np.ma.array([1, 2, 3], mask=[0, 1, 0])})
    assert [row["a"] for row in AtlasDataset(tmp_path / "m")] == [1, None, 3]


def test_no_rows_with_a_schema(tmp_path):
    write(tmp_path / "d", [], schema={"a": int, "b": types.tensor("int8")})
    dataset = AtlasDataset(tmp_path / "d")
    assert len(dataset) == 0 and list(dataset) == [] and dataset.shards == ()
    assert len(dataset.batch([])["a"]) == 0 and len(dataset.batch([])["b"]) == 0


def test_columns_come_in_the_order_of_the_schema(tmp_path):
    got = round_trip(tmp_path / "d", [{"b": 1, "a": {"y": 1, "x": 2}}, {"a": {"x": 1, "y": 2}, "b": 2}])
    assert [list(row) for row in got] == [["b", "a"]] * 2 and [list(row["a"]) for row in got] == [["y", "x"]] * 2
