"""docs/guide/write.md lists what comes back differently from how it went in: each bullet has an example here, and what is not listed comes back exactly."""

import collections
import dataclasses
import datetime
import enum
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, Ragged
from atlas_ds.types import array, class_label, date, media, nullable, struct, tensor, timestamp
from support import PNG, same

WRITE = Path(__file__).parents[3] / "docs" / "guide" / "write.md"
UTC = datetime.UTC


class Colour(enum.StrEnum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int


def image(mode="RGB", **info):
    out = Image.frombytes(mode, (2, 2), bytes(range(4 * len(Image.new(mode, (1, 1)).tobytes()))))
    out.info.update(info)
    return out


def encoded(kind, frames=1):
    file = io.BytesIO()
    options = {"save_all": True, "append_images": [Image.new("L", (3, 3), 40 * k) for k in range(1, frames)]} if frames > 1 else {}
    Image.new("L", (3, 3), 9).save(file, kind, **options)
    return file.getvalue()


JPEG = encoded("JPEG")
GIF = encoded("GIF", 3)


def second_frame():
    out = Image.open(io.BytesIO(GIF))
    out.seek(1)
    return out


class Pixels:
    """Equal to a Media of PNG with these pixels, EXIF and profile, and no other info."""

    def __init__(self, wanted):
        self.wanted = wanted

    def __eq__(self, given):
        got = Image.open(io.BytesIO(given.data))
        facts = [(one.mode, one.size, one.tobytes(), dict(one.getexif()), one.info.get("icc_profile"), getattr(one, "n_frames", 1)) for one in (got, self.wanted)]
        return given.type == "image/png" and facts[0][:5] == facts[1][:5] and facts[0][5] == 1 and "dpi" not in got.info


def turned():
    out = image(icc_profile=b"profile", dpi=(300, 300))
    out.getexif()[0x0112] = 6
    return out


def on_disk(tmp_path):
    (tmp_path / "one.png").write_bytes(PNG)
    return tmp_path / "one.png"


# bullet (its first words, up to where it is unique): examples as (given, back) or (given, back, schema of the column); "rows": several examples; "batch": columns
LISTED = {
    "A key that is missing": [{"rows": ([{"a": 1, "b": 2}, {"a": 3}], [{"a": 1, "b": 2}, {"a": 3, "b": None}])}],
    "The keys of an example": [
        {"order": ({"b": {"y": 1, "x": 2}, "a": 3}, ["a", "b"], ["x", "y"]), "schema": {"a": "int64", "b": struct({"x": "int64", "y": "int64"})}},
    ],
    "A tuple, as a column's value": [((1, 2), [1, 2]), ([(1, 2), {"a": ()}], [[1, 2], {"a": []}]), ((1, "a"), [1, "a"], "object")],
    "A dataclass comes back": [{"rows": ([Point(1)], [{"x": 1}])}],
    "An aware `datetime`": [
        (datetime.datetime(1969, 1, 1, 0, 0, 0, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=3661))), datetime.datetime(1968, 12, 31, 22, 58, 59, 1, tzinfo=UTC)),
        (datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ],
    "A `numpy.datetime64` in a column": [
        (np.datetime64("2020-01-02T03:04:05", "s"), datetime.datetime(2020, 1, 2, 3, 4, 5), timestamp("us")), (np.datetime64("2020-01-02"), datetime.date(2020, 1, 2), date()),
        (np.datetime64("2020-01-02T03", "h"), np.datetime64("2020-01-02T03", "ns"), timestamp("ns")),
    ],
    "NaT, of NumPy": [(np.datetime64("NaT"), None, nullable(timestamp("us"))), ([np.datetime64("NaT")], [None], "object"), (np.datetime64("NaT"), None, nullable(date()))],
    "A class that is given by name": [("dog", 1, class_label(["cat", "dog"])), (np.str_("cat"), 0, class_label(["cat", "dog"]))],
    "A naive `datetime` loses": [(datetime.datetime(2020, 1, 1, fold=1), datetime.datetime(2020, 1, 1, fold=0))],
    "A value of a subclass": [
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}, "object"), (np.str_("é"), "é", "str"), (Colour.RED, "red", "str"), ([Colour.RED], ["red"]),
        (np.bytes_(b"x"), b"x", "bytes"), (np.array([[1, 2]]).view(np.recarray), np.array([[1, 2]])), (collections.defaultdict(int, a=1), {"a": 1}, "object"),
    ],
    "`bytearray` and `memoryview`": [
        (bytearray(b"ab"), b"ab"), (memoryview(b"abcd")[::2], b"ac"), (memoryview(np.array([1.0])), np.array([1.0]).tobytes()), ([bytearray(b"x")], [b"x"]),
        (Media(bytearray(PNG), "image/png"), Media(PNG, "image/png")), (memoryview(np.asfortranarray(np.array([[1, 2], [3, 4]], np.uint8))), bytes([1, 2, 3, 4])),
    ],
    "`int` in a column of floats": [
        (2**53, float(2**53), "float64"), (2**60, float(2**60), "float64"), (256, 256.0, "bfloat16"), (3, 3 + 0j, "complex64"), (0.5, 0.5 + 0j, "complex128"),
        {"rows": ([{"v": 1}, {"v": 0.5}], [{"v": 1.0}, {"v": 0.5}])},
    ],
    "A float in a column of a narrower": [
        (0.1, float(np.float32(0.1)), "float32"), (np.float64(0.1), float(np.float16(0.1)), "float16"), (1.01, 1.0078125, "bfloat16"),
        ([0.1], np.array([0.1], np.float32), array("float32", (1,))), (np.array([1.01, np.inf]), np.array([1.0078125, np.inf], np.float32), tensor("bfloat16", 1)),
    ],
    "In a column of NumPy scalars": [{"rows": ([{"v": np.int8(1)}] * 2000 + [{"v": 5}], [{"v": np.int8(1)}] * 2000 + [{"v": np.int8(5)}])}],
    "In a column of Python numbers": [(np.int8(5), 5, "int64"), (np.array(5), 5, "int8"), (torch.tensor(0.5), 0.5, "float32"), (np.bool_(True), True, "bool")],
    "A NumPy scalar inside": [([np.int8(1), {"a": np.float32(0.5)}, np.uint64(2**64 - 1)], [1, {"a": 0.5}, 2**64 - 1])],
    "A number or array in a column of a wider": [
        (np.array([1], np.int8), np.array([1]), array("int64", (1,))), (np.array([2**53]), np.array([2.0**53]), array("float64", (1,))),
        ({"rows": ([{"v": np.int8(1)}, {"v": np.int16(2)}], [{"v": np.int16(1)}, {"v": np.int16(2)}])}),
    ],
    "An array comes back C-contiguous": [
        (np.asfortranarray([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]])), (np.arange(6)[::-2], np.array([5, 3, 1])), (np.array([1, 2], ">i4"), np.array([1, 2], np.int32)),
        (np.array([np.nan], ">f8"), np.array([np.nan])),
    ],
    "A list in a column of arrays": [([[1, 2]], np.array([[1, 2]], np.int8), array("int8", (1, 2))), ((True,), np.array([True]), tensor("bool", 1))],
    "A torch tensor comes back": [
        (torch.ones(2, requires_grad=True), np.ones(2, np.float32)), (torch.nn.Parameter(torch.ones(2)), np.ones(2, np.float32)),
        (torch.tensor([1 + 2j]).conj(), np.array([1 - 2j], np.complex64)), (torch.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
    ],
    "`bfloat16` comes back": [(torch.tensor([1.5, -0.0], dtype=torch.bfloat16), np.array([1.5, -0.0], np.float32)), (1.5, 1.5, "bfloat16")],
    "A masked array without masked": [
        (np.ma.MaskedArray([1, 2], mask=[0, 0]), np.array([1, 2]), array("int64", (2,))), (np.ma.MaskedArray([1, 2]), np.array([1, 2]), nullable(array("int64", (2,)))), (np.ma.MaskedArray([1, 2], mask=True), None, nullable(array("int64", (2,)))),
        (np.ma.masked, None, nullable("int64")), ([np.ma.masked], [None], "object"), (np.ma.masked, None, nullable("str")),
    ],
    "A file given by its path": [(on_disk, Media(PNG, "image/png"))],
    "A PIL image that was opened": [
        (lambda _: Image.open(io.BytesIO(JPEG)), Media(JPEG, "image/jpeg"), media()), (lambda _: Image.open(io.BytesIO(GIF)), Media(GIF, "image/gif"), media()),
    ],
    "Any other PIL image": [(lambda _: turned(), Pixels(turned()), media()), (lambda _: image("P"), Pixels(image("P")), media("image/png"))],
    "A PIL image that was moved": [(lambda _: second_frame(), Pixels(second_frame()), media())],
    "With `add_batch`, a nullable struct": [
        {"batch": ({"v": {"a": [1, None], "b": ["x", None]}}, [{"v": {"a": 1, "b": "x"}}, {"v": None}]), "schema": {"v": nullable(struct({"a": "int64", "b": nullable("str")}))}},
        {"batch": ({"v": {"a": [None]}}, [{"v": None}]), "schema": {"v": nullable(struct({"a": nullable("int64")}))}},
    ],
    "With `add_batch`, `None` in a column": [
        {"batch": ({"v": np.ma.MaskedArray(np.zeros((1, 0)), mask=True)}, [{"v": np.zeros(0)}]), "schema": {"v": nullable(array("float64", (0,)))}},
    ],
    "With `add_batch`, the numbers": [{"batch": ({"v": np.arange(2, dtype=np.int8)}, [{"v": np.int8(0)}, {"v": np.int8(1)}])}],
}  # fmt: skip

EXACT = [
    True, False, 0, -(2**63), 2**63 - 1, 2**64 - 1, 0.5, -0.0, float("inf"), float("nan"), 5e-324, 1.7976931348623157e308, 1 + 2j, complex("nan"), "", "é\0", "x" * 70_000, b"", b"\0x",
    None, [], {}, [None, True, 1, 0.5, "s", b"b", [], {"k": {}}], [-(2**63), 2**64 - 1], {"z": 1, "a": [2]}, [float("nan"), -0.0], datetime.datetime(1, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), [datetime.datetime(2020, 1, 1, 0, 0, 0, 1)], Media(PNG, "image/png"), Media(b"not an image", "audio/x-mine"),
    *(np.dtype(name).type(1) for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128")),
    np.array(5), np.zeros((0, 3), np.float16), np.zeros((2, 0)), np.array([[True, False]]), np.arange(24, dtype=np.uint64).reshape(2, 3, 4), np.array([2**64 - 1], np.uint64),
    np.array([0x7C01, 0xFE01], np.uint16).view(np.float16), np.array([0x7F800001, 0xFFC12345], np.uint32).view(np.float32), np.array([0x7FF0000000000001, 0xFFF8000000000002], np.uint64).view(np.float64),
    np.array([0x7F800001, 0x7FC00001], np.uint32).view(np.complex64), np.uint16(0x7C01).view(np.float16), np.uint32(0x7F800001).view(np.float32), np.uint64(0x7FF0000000000001).view(np.float64),
]  # fmt: skip


def written(path, examples, schema=None):
    with AtlasDatasetWriter(path, schema=schema, workers=0) as writer:
        writer.extend(examples)
    return list(AtlasDataset(path))


def bullets():
    text = WRITE.read_text().split("## What changes")[1].split("\n## ")[0].split("nothing else does:")[1].split("\n\nWhat cannot")[0]
    return [re.sub(r"\s+", " ", part).strip() for part in text.split("\n- ")[1:]]


def test_every_bullet_has_an_example():
    matched = [[start for start in LISTED if bullet.startswith(start)] for bullet in bullets()]
    assert all(len(starts) == 1 for starts in matched), [bullet for bullet, starts in zip(bullets(), matched, strict=True) if len(starts) != 1]
    assert sorted(start for starts in matched for start in starts) == sorted(LISTED)


@pytest.mark.parametrize("start, number", [(start, number) for start, cases in LISTED.items() for number in range(len(cases))])
def test_what_changes(tmp_path, start, number):
    case = LISTED[start][number]
    if isinstance(case, tuple):
        given, back, *schema = case
        if callable(given) and not isinstance(given, type):
            given = given(tmp_path)
        (row,) = written(tmp_path / "d", [{"v": given}], {"v": schema[0]} if schema else None)
        assert back == row["v"] if isinstance(back, Pixels) else same(row["v"], back)
    elif "rows" in case:
        given, back = case["rows"]
        assert same(written(tmp_path / "d", given), back)
    elif "order" in case:
        given, names, inner = case["order"]
        (row,) = written(tmp_path / "d", [given], case["schema"])
        assert row == given and list(row) == names and list(row["b"]) == inner
    else:
        columns, back = case["batch"]
        with AtlasDatasetWriter(tmp_path / "d", schema=case.get("schema"), workers=0) as writer:
            writer.add_batch(columns)
        assert same(list(AtlasDataset(tmp_path / "d")), back)


def test_folds_are_lost_and_zones_are_utc(tmp_path):
    """What == does not see of datetimes."""
    zone = datetime.timezone(datetime.timedelta(hours=2))
    row = written(tmp_path / "d", [{"a": datetime.datetime(2020, 1, 1, fold=1), "b": datetime.datetime(2020, 1, 1, tzinfo=zone)}])[0]
    assert row["a"].fold == 0 and row["a"].tzinfo is None and row["b"].tzinfo == UTC


@pytest.mark.parametrize("number", range(len(EXACT)), ids=[f"{type(value).__name__}-{number}" for number, value in enumerate(EXACT)])
def test_what_is_not_listed_comes_back_exactly(tmp_path, number):
    value = EXACT[number]
    assert same(written(tmp_path / "d", [{"v": value}, {"v": value}]), [{"v": value}] * 2)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim):
        assert same(AtlasDataset(tmp_path / "d").batch([1, 0, 1])["v"][2], value)


@pytest.mark.parametrize("number", [number for number, value in enumerate(EXACT) if getattr(value, "size", 1)])
def test_batches_of_a_dataset_come_back_exactly(tmp_path, number):
    """add_batch(ds.batch(...)), with nulls between, and with the schema of the first."""
    schema = AtlasDataset(tmp_path / "a").schema if written(tmp_path / "a", [{"v": EXACT[number]}, {}]) else None
    first = AtlasDataset(tmp_path / "a")
    with AtlasDatasetWriter(tmp_path / "b", schema=schema, workers=0) as writer:
        writer.add_batch(first.batch([0, 1, 0]))
    assert same(list(AtlasDataset(tmp_path / "b")), [first[0], first[1], first[0]])


def test_a_ragged_without_a_mask(tmp_path):
    ragged = Ragged(np.arange(5, dtype=np.int16), np.array([0, 2, 2, 5]))
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": tensor("int16", 1)}, workers=0) as writer:
        writer.add_batch({"v": ragged})
    assert same([row["v"] for row in AtlasDataset(tmp_path / "d")], [np.array([0, 1], np.int16), np.zeros(0, np.int16), np.array([2, 3, 4], np.int16)])
