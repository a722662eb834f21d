"""Values by extension: what is written comes back equal, what lies or is dangerous is refused before memory is taken."""

import datetime
import io
import json
import struct
import tracemalloc
import zipfile

import cbor2
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atlas_ds.bridge.values.by_extension import EXTENSIONS, REFUSED, decode_value, encode_value, kind_name, value_spec
from atlas_ds.bridge.values.nested import CBOR_TAGS, MAX_CBOR_DEPTH
from atlas_ds.bridge.values.npy import decode_npz
from atlas_ds.bridge.values.tenbin import CODES, UNREADABLE
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, UnsupportedError
from atlas_ds.schema.media import Media
from atlas_ds.schema.specs import media
from atlas_ds.schema.types import SCALARS

BILLION = 10**12


def again(extension, value):
    return decode_value(extension, encode_value(extension, value, "here"), "here")


def same_array(got, wanted):
    assert got.dtype == wanted.dtype.newbyteorder("=") and got.dtype.isnative and got.shape == wanted.shape
    assert got.flags.c_contiguous and got.flags.writeable
    np.testing.assert_array_equal(got, wanted)


DTYPES = sorted({dtype.name for dtype in SCALARS.values()})
ANY_ARRAY = st.sampled_from(DTYPES).flatmap(
    lambda name: hnp.arrays(st.sampled_from([np.dtype(name), np.dtype(name).newbyteorder(">")]), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)
DATES = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC)).map(lambda date: date.replace(fold=0))
PACKED = st.recursive(LEAF | st.binary(max_size=8) | DATES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)


@given(ANY_ARRAY, st.booleans())
def test_npy_comes_back(array, fortran):
    given_array = np.asfortranarray(array) if fortran and array.ndim else array
    same_array(again("npy", given_array), array)


@given(st.dictionaries(TEXT.filter(lambda name: "\0" not in name), ANY_ARRAY, max_size=3))
def test_npz_comes_back(arrays):
    got = again("npz", arrays)
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        same_array(got[name], array)


@given(st.lists(st.sampled_from([code for code in CODES if code != UNREADABLE]).flatmap(
    lambda code: hnp.arrays(st.sampled_from([np.dtype("<" + code), np.dtype(">" + code)]), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
), max_size=3))  # fmt: skip
def test_tenbin_comes_back(arrays):
    got = again("ten", arrays)
    assert len(got) == len(arrays)
    for one, wanted in zip(got, arrays):
        same_array(one, wanted)


@pytest.mark.parametrize("extension", [name for name, kind in EXTENSIONS.items() if kind.name == "json"])
@given(value=JSON)
def test_json_comes_back(extension, value):
    got = again(extension, value)
    assert got == value and repr(got) == repr(value)  # 1 is not True, 0.0 is not -0.0


@pytest.mark.parametrize("extension", ["msgpack", "mp", "msg", "cbor"])
@given(value=PACKED)
def test_packed_comes_back(extension, value):
    got = again(extension, value)
    assert got == value and repr(got) == repr(value)


@given(st.integers(-(10**400), 10**400))
def test_number_comes_back(number):
    assert again("cls", number) == number


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_comes_back(text):
    assert again("txt", text) == text


@given(st.binary())
def test_unknown_extensions_are_bytes(data):
    assert again("weights", data) == data == decode_value("WEIGHTS.bin", data, "here")


def test_nan_comes_back():
    got = again("json", {"a": [float("nan"), float("inf"), -float("inf")]})
    assert got["a"][0] != got["a"][0] and got["a"][1:] == [float("inf"), -float("inf")]


def test_last_part_decides_in_any_case():
    assert decode_value("seg.TXT", b"x", "here") == "x"
    assert decode_value("txt.seg", b"x", "here") == b"x"
    assert kind_name("a.b.JSON") == "json" and kind_name("x.pkl") is None


@pytest.mark.parametrize("name", ["cls", "cls2", "class", "count", "index", "id", "inx"])
def test_numbers(name):
    assert decode_value(name, b" 7\n", "here") == 7 and encode_value(name, np.int8(-3), "here") == b"-3"
    assert value_spec(name) == "int64"
    for bad in (b"", b"cat", b"1.0", b"1_000", "١".encode(), b"0x1"):
        with pytest.raises(CorruptError, match=r"^tar\.tar: a\.cls: .*one integer"):
            decode_value(name, bad, "tar.tar: a.cls")
    for bad in (True, 1.0, "1", None):
        with pytest.raises(SchemaError, match=r"here"):
            encode_value(name, bad, "here")


def test_specs():
    specs = {"txt": "str", "text": "str", "transcript": "str", "json": "object", "mp": "object", "cbor": "object", "jpg": media(), "x": "bytes", "": "bytes"}
    assert {name: value_spec(name) for name in specs} == specs
    assert all(value_spec(name) is None for name in ("npy", "npz", "ten", *REFUSED))


@pytest.mark.parametrize(("format", "extension", "kind"), [
    ("JPEG", "jpg", "image/jpeg"), ("PNG", "seg.png", "image/png"), ("WEBP", "webp", "image/webp"), ("PPM", "ppm", "image/x-portable-pixmap"),
])  # fmt: skip
def test_media_stay_encoded(make_picture, format, extension, kind):
    data = make_picture(1, format)
    got = decode_value(extension, data, "here")
    assert got == Media(data, kind)
    assert encode_value(extension, got, "here") == data


@pytest.mark.parametrize(("mode", "extension", "kind"), [("L", "pgm", "image/x-portable-graymap"), ("1", "pbm", "image/x-portable-bitmap")])
def test_netpbm(mode, extension, kind):
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new(mode, (4, 4)).save(out, "PPM")
    assert decode_value(extension, out.getvalue(), "here").type == kind


def test_media_that_is_none():
    for data in (b"", b"<html>"):
        with pytest.raises(CorruptError, match=r"here"):
            decode_value("jpg", data, "here")
        with pytest.raises(SchemaError, match=r"here"):
            encode_value("jpg", data, "here")


@pytest.mark.parametrize("extension", REFUSED)
def test_pickles_are_refused(extension):
    for act in (lambda: decode_value(f"x.{extension.upper()}", b"\x80\x04N.", "a.tar: 0.x"), lambda: encode_value(extension, b"", "a.tar: 0.x")):
        with pytest.raises(UnsupportedError, match=r"a\.tar: 0\.x: .*run code"):
            act()


def test_object_arrays_are_refused():
    out, archive = io.BytesIO(), io.BytesIO()
    np.save(out, np.array([{}], object), allow_pickle=True)
    np.savez(archive, good=np.arange(3), bad=np.array([{}], object))
    for extension, data in (("npy", out.getvalue()), ("npz", archive.getvalue())):
        with pytest.raises(UnsupportedError, match=r"here.*object array"):
            decode_value(extension, data, "here")
    for extension, value in (("npy", np.array([{}])), ("npz", {"a": np.array([{}])}), ("npy", [1, 2]), ("npz", {"a\0b": np.arange(2)}), ("npz", [1])):
        with pytest.raises(SchemaError, match=r"here"):
            encode_value(extension, value, "here")


def npy_claiming(shape, descr="<f8", data=b"x" * 8, fortran=False):
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def zip_of(members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def chunk(data, length=None):
    return b"~TenBin~" + struct.pack("<q", len(data) if length is None else length) + data + bytes(-len(data) % 64)


def ten_header(*dims, code=b"f8"):
    return chunk(code.ljust(8, b"\0") + bytes(8) + struct.pack(f"<{1 + len(dims)}q", len(dims), *dims))


LIES = [
    ("npy", npy_claiming((BILLION,)), CorruptError),
    ("npy", npy_claiming((2**62, 2**62, 2**62)), CorruptError),
    ("npy", npy_claiming((-1,)), CorruptError),
    ("npy", npy_claiming((True,)), CorruptError),
    ("npy", npy_claiming((BILLION,), "|S0", b""), UnsupportedError),
    ("npy", npy_claiming((1,) * 100), UnsupportedError),
    ("npy", npy_claiming((1,), data=b"x" * 9), CorruptError),
    ("npy", npy_claiming((1,), data=b"x" * 7), CorruptError),
    ("npy", npy_claiming((1,), "no dtype"), CorruptError),
    ("npy", npy_claiming((1,), "|O"), UnsupportedError),
    ("npy", npy_claiming((1,), [("a", "|O")]), UnsupportedError),
    ("npy", npy_claiming((1,), fortran=1), CorruptError),
    ("npy", b"\x93NUMPY\x01\x00\xff\xff{}", LimitError),
    ("npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", LimitError),
    ("npy", b"\x93NUMPY\x01\x00\x10\x00{}", CorruptError),
    ("npy", b"\x93NUMPY\x09\x00\x10\x00{}".ljust(40), UnsupportedError),
    ("npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"-" * 9000, CorruptError),
    ("npy", b"", CorruptError),
    ("npz", b"PK\x03\x04", CorruptError),
    ("npz", b"", CorruptError),
    ("npz", zip_of({"a.npy": npy_claiming((BILLION,))}), CorruptError),
    ("npz", zip_of({"a.txt": b"x"}), CorruptError),
    ("npz", zip_of({"a.npy": b"\x93NUMPY"}, zipfile.ZIP_LZMA), UnsupportedError),
    ("ten", chunk(b"", BILLION), CorruptError),
    ("ten", chunk(b"", -1), CorruptError),
    ("ten", b"~TenBin~", CorruptError),
    ("ten", b"no", CorruptError),
    ("ten", ten_header(1), CorruptError),
    ("ten", ten_header(BILLION) + chunk(bytes(8)), CorruptError),
    ("ten", ten_header(2**33, 2**33) + chunk(b""), CorruptError),
    ("ten", ten_header(-1, -1) + chunk(bytes(8)), CorruptError),
    ("ten", ten_header(1, code=b"O") + chunk(bytes(8)), UnsupportedError),
    ("ten", chunk(b"f8".ljust(16, b"\0") + struct.pack("<q", BILLION)) + chunk(bytes(8)), CorruptError),
    ("ten", chunk(b"f8") + chunk(bytes(8)), CorruptError),
    ("msgpack", b"\xdd\xff\xff\xff\xff", CorruptError),
    ("msgpack", b"\xdd\x00\x0f\xff\xff" * 300 + b"\xc0" * (1 << 20), CorruptError),
    ("msgpack", b"\xc6\xff\xff\xff\xff", CorruptError),
    ("msgpack", b"\x91" * 100_000 + b"\xc0", LimitError),
    ("msgpack", b"\x01\x02", CorruptError),
    ("msgpack", b"", CorruptError),
    ("msgpack", b"\xc1", CorruptError),
    ("msgpack", msgpack.packb({1: 2}), UnsupportedError),
    ("msgpack", msgpack.packb(msgpack.ExtType(77, b"x")), UnsupportedError),
    ("cbor", b"\x9b\x00\x00\x01\x00\x00\x00\x00\x00", CorruptError),
    ("cbor", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", CorruptError),
    ("cbor", b"\x5b\x00\x00\x01\x00\x00\x00\x00\x00ab", CorruptError),
    ("cbor", b"\x9a\x00\x00\xff\xff" * 200 + b"\xf6" * (1 << 16), CorruptError),
    ("cbor", b"\x81" * (MAX_CBOR_DEPTH + 1) + b"\xf6", LimitError),
    ("cbor", b"\x9f" * 100_000, LimitError),
    ("cbor", b"\x01\x02", CorruptError),
    ("cbor", b"\x82\x01", CorruptError),
    ("cbor", b"\x82\x01\xff", CorruptError),
    ("cbor", b"\xbf\x01\xff", CorruptError),
    ("cbor", b"\x1c", CorruptError),
    ("cbor", b"", CorruptError),
    ("cbor", b"\x61\xff", CorruptError),
    ("cbor", cbor2.dumps({1, 2}), UnsupportedError),
    ("cbor", b"\xd8\x1c\x81\xd8\x1d\x00", UnsupportedError),  # a list that holds itself
    ("json", b"[" * 100_000, UnsupportedError),
    ("json", b"9" * 10_000, LimitError),
    ("json", b"\xff", CorruptError),
    ("cls", b"9" * 10_000, LimitError),
]


@pytest.mark.parametrize(("extension", "data", "error"), LIES, ids=[f"{name}-{i}" for i, (name, _, _) in enumerate(LIES)])
def test_lies_cost_nothing(extension, data, error):
    tracemalloc.start()
    try:
        with pytest.raises(error, match=r"^a.tar: 7.x: ") as caught:
            decode_value(extension, data, "a.tar: 7.x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value) is error
    assert peak < (1 << 20) + 20 * len(data)


def test_zip_bomb():
    bomb = zip_of({f"{i}.npy": bytes(1 << 20) for i in range(8)})
    assert len(bomb) < 1 << 16
    with pytest.raises(LimitError, match=r"here: .npz unpacks to 8388608 bytes"):
        decode_npz(bomb, "here", limit=(8 << 20) - 1)
    with pytest.raises(LimitError, match=r"here"):
        decode_value("npz", bomb, "here", limit=1 << 20)
    with pytest.raises(CorruptError, match=r"not a readable .npy"):  # within the limit, so it is looked at
        decode_value("npz", bomb, "here", limit=8 << 20)


@pytest.mark.parametrize("extension", ["npy", "npz", "ten", "msgpack", "cbor", "json"])
@given(data=st.data())
def test_changed_bytes_raise_errors_of_ours(extension, data):
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    good = bytearray(encode_value(extension, {"npy": array, "npz": {"a": array}, "ten": [array]}.get(extension, {"a": [1, 2.5, "x"], "b": None}), "here"))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        decode_value(extension, cut, "here")
    except AtlasError as error:
        assert "here" in str(error)


def test_cbor_tags():
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC)
    values = [now, 2**70, -(2**70)]
    assert again("cbor", values) == values
    assert decode_value("cbor", b"\xd9\xd9\xf7\x01", "here") == 1 and 55799 in CBOR_TAGS
    with pytest.raises(UnsupportedError, match=r"tag 258"):
        encode_value("cbor", {1, 2}, "here")


def test_indefinite_cbor():
    assert decode_value("cbor", b"\x9f\x01\x82\x02\x03\x9f\xff\x7f\x61a\x61b\xff\xff", "here") == [1, [2, 3], [], "ab"]


@pytest.mark.parametrize("value", [b"x", {"a": b"x"}, {1: 2}, {"a": {True: 1}}, datetime.datetime(2026, 1, 1), np.arange(3), "\ud800", 1j])
def test_what_json_cannot_hold(value):
    with pytest.raises(SchemaError, match=r"here"):
        encode_value("json", value, "here")


def test_json_takes_numpy_numbers():
    assert json.loads(encode_value("json", {"a": np.float32(0.5), "b": np.bool_(True), "c": np.int8(3)}, "here")) == {"a": 0.5, "b": True, "c": 3}


def test_too_deep_to_write():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    ring: list = []
    ring += [ring, ring]
    for extension in ("json", "msgpack", "cbor"):
        for value in (deep, ring):
            with pytest.raises(AtlasError, match=r"here"):
                encode_value(extension, value, "here")


@pytest.mark.parametrize("array", [np.zeros((2, 2), np.uint32), np.array(1.0), np.array([True]), np.array([1j]), np.zeros((1,) * 10)])
def test_tenbin_that_webdataset_could_not_read(array):
    with pytest.raises(SchemaError, match=r"here: array 0: .*webdataset"):
        encode_value("ten", [array], "here")


def test_tenbin_is_webdatasets():
    tenbin = pytest.importorskip("webdataset.tenbin")
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 3), np.int64), np.arange(70, dtype=np.uint8)]
    assert encode_value("ten", arrays, "here") == bytes(tenbin.encode_buffer(arrays))


def test_equal_values_are_equal_bytes():
    plain = np.arange(6, dtype="<i4").reshape(2, 3)
    for other in (np.asfortranarray(plain), plain.astype(">i4"), np.arange(12, dtype="<i4")[::2].reshape(2, 3) // 2):
        assert encode_value("npy", other, "here") == encode_value("npy", plain, "here")
    assert encode_value("npz", {"a": plain}, "here") == encode_value("npz", {"a": np.asfortranarray(plain)}, "here")
