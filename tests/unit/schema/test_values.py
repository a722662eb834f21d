"""Values at the edge: media types by signature, objects, bfloat16, Ragged, words for errors."""

import datetime

import msgpack
import numpy as np
import pytest
import torch

from atlas_ds import Media, Ragged, errors
from atlas_ds.schema.values import describe, narrow_bfloat16, pack, sniff, unpack
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
