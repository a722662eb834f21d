"""Values at the edge: media types by signature, objects, bfloat16, Ragged, words for errors."""

import collections
import datetime
import decimal
import enum

import msgpack
import numpy as np
import pytest
import torch

from atlas_ds import Media, Ragged, errors
from atlas_ds.schema.bfloat16 import narrow_bfloat16
from atlas_ds.schema.describe import describe
from atlas_ds.schema.media import sniff
from atlas_ds.schema.objects import pack, unpack
from support import PNG


@pytest.mark.parametrize(
    "data, name, wanted",
    [
        (PNG, "", "image/png"), (b"\xff\xd8\xff\xe0", "x.png", "image/jpeg"), (b"GIF89a", "", "image/gif"), (b"RIFF1234WEBP", "", "image/webp"), (b"RIFF1234WAVE", "", "audio/wav"), (b"RIFF1234xxxx", "", None),
        (b"\0\0\0\x18ftypavif", "", "image/avif"), (b"\0\0\0\x18ftypisom", "", "video/mp4"), (b"OggS", "", "audio/ogg"), (b"", "x.mp3", "audio/mpeg"), (b"text", "x.txt", None), (b"", "", None),
    ],
)  # fmt: skip
def test_media_types(data, name, wanted):
    assert sniff(data, name) == wanted


def test_media():
    assert repr(Media(b"abc", "image/png")) == "Media(image/png, 3 bytes)" and Media(PNG, "image/png").decode().shape == (1, 1)
    with pytest.raises(errors.SchemaError, match="audio/ogg"):
        Media(b"", "audio/ogg").decode()
    with pytest.raises(ValueError, match="format"):
        Media(PNG, "image/png").decode("jax")


@pytest.mark.parametrize("value", [None, True, -(2**63), 2**64 - 1, 1.5, "é", b"\0", [], {}, [[{"a": [None]}]], datetime.datetime(2020, 1, 1, 2, 3, 4, 5), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], ids=str)
def test_objects(value):
    again = unpack(pack(value, "v"))
    assert again == value and type(again) is type(value)


def test_aware_datetimes_keep_their_moment():
    zone = datetime.timezone(datetime.timedelta(hours=5))
    assert unpack(pack(datetime.datetime(2020, 1, 1, tzinfo=zone), "v")) == datetime.datetime(2020, 1, 1, tzinfo=zone)


def test_numpy_numbers_in_objects_become_plain():
    assert unpack(pack([np.int8(3), np.float32(0.5), np.bool_(True)], "v")) == [3, 0.5, True]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01", b"\x01\x02", msgpack.packb({1: 2}), msgpack.packb(msgpack.ExtType(5, b"x")), msgpack.packb(msgpack.ExtType(1, b"x")), msgpack.packb(msgpack.ExtType(1, b"2020-01-01T00:00:00+00:00")), b"\xa1\xff"], ids=repr)
def test_bytes_that_are_no_object(data):
    with pytest.raises(errors.CorruptError, match="MessagePack"):
        unpack(data)


def test_objects_too_deep():
    with pytest.raises(errors.LimitError, match="too deep"):
        unpack(b"\x91" * 100_000 + b"\xc0")


def test_bfloat16_rounding_is_torch_s():
    values = np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32).view(np.float32)
    mine, theirs = narrow_bfloat16(values), torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    number = ~np.isnan(values)
    assert (mine == theirs)[number].all() and np.isnan((mine.astype(np.uint32) << 16).view(np.float32))[~number].all()


def test_ragged():
    ragged = Ragged(np.arange(6), np.array([0, 2, 2, 6]), [(2,), (0,), (2, 2)], np.array([False, True, False]))
    assert len(ragged) == 3 and ragged[0].tolist() == [0, 1] and ragged[1] is None and ragged[-1].tolist() == [[2, 3], [4, 5]]
    for i in (3, -4):
        with pytest.raises(IndexError):
            ragged[i]


def test_words_for_errors():
    assert describe(np.zeros((2, 3), np.int8)) == "array(int8, 2x3)" and describe(torch.zeros(2)) == "array(float32, 2)" and describe("x" * 100).endswith("...") and len(describe("x" * 100)) < 80


class Nowhere(datetime.tzinfo):
    def utcoffset(self, moment):
        return None


class Precise(datetime.datetime):
    nanosecond = 0


def precise(nanosecond):
    value = Precise(2020, 1, 1, 0, 0, 0, 5)
    value.nanosecond = nanosecond
    return value


def endless():
    value = []
    value.append({"a": value})
    return value


@pytest.mark.parametrize(
    "value, words",
    [
        (2**64, "str\\(value\\)"), ([-(2**63) - 1], "str\\(value\\)"), (datetime.date(2020, 1, 1), "isoformat"), (datetime.time(1), "isoformat"), (datetime.timedelta(1), "total_seconds"), (datetime.datetime(2020, 1, 1, tzinfo=Nowhere()), "without an offset"),
        (precise(7), "nanoseconds"), (datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))), "out of range"), ({1, 2}, "sorted"), (frozenset((1,)), "sorted"), (1j, "complex128"), ([np.complex64(1)], "complex64"),
        ([np.zeros(1, np.longdouble)], "tolist"), ({"a": torch.zeros(1, dtype=torch.bfloat16)}, "float"), (enum.Enum("E", "A").A, "value.name"), ({1: 2}, "key 1"), ({True: 1}, "key True"), ({None: 1}, "key None"), ({"a": {b"b": 1}}, "key b'b'"), ("\ud800", "surrogate"), ({"\ud800": 1}, "surrogate"),
        (endless(), "too deep"), (msgpack.ExtType(5, b"x"), "msgpack"), ([msgpack.Timestamp(1, 2)], "msgpack"), (memoryview(b"abcd")[::2], "contiguous"), (decimal.Decimal(1), "Decimal"), (object(), "object"), (np.datetime64("2020"), "datetime64"),
    ],
    ids=range(28),
)  # fmt: skip
def test_objects_that_cannot_be_stored(value, words):
    with pytest.raises(errors.SchemaError, match=f"column 'v': .*{words}"):
        pack(value, "v")


def test_datetimes_of_a_subclass_without_more_in_them():
    assert unpack(pack(precise(0), "v")) == datetime.datetime(2020, 1, 1, 0, 0, 0, 5) and type(unpack(pack(precise(0), "v"))) is datetime.datetime


def test_moments_are_exact():
    r = np.random.default_rng(0)
    for _ in range(1000):
        zone = datetime.timezone(datetime.timedelta(seconds=int(r.integers(-86399, 86399))))
        least, most = (2, 1, 1, 0, 0, 0, 0), (9999, 13, 29, 24, 60, 60, 10**6)
        moment = datetime.datetime(*map(int, r.integers(least, most)), tzinfo=zone)
        back = unpack(pack(moment, "v"))
        assert back == moment and back.tzinfo is datetime.UTC
        assert unpack(pack(moment.replace(tzinfo=None), "v")) == moment.replace(tzinfo=None)


def test_maps_keep_their_order_and_repeat_nothing():
    value = collections.OrderedDict([("z", 1), ("a", collections.defaultdict(list, k=[1])), (np.str_("m"), 2)])
    back = unpack(pack(value, "v"))
    assert list(back) == ["z", "a", "m"] and type(back) is dict and type(back["a"]) is dict and all(type(key) is str for key in back)
