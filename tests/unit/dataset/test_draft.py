"""Examples are taken, merged and refused when they are given."""

import collections
import dataclasses
import datetime
import enum
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_ds import AtlasDataset, Media, _core, errors
from atlas_ds.dataset.draft import Draft
from atlas_ds.schema.copies import MAX_NESTING
from atlas_ds.schema.infer import infer_schema
from support import PNG, Point, same, write

UTC = datetime.UTC
Pair = collections.namedtuple("Pair", "a b")


class Color(enum.IntEnum):
    RED = 7


class Word(enum.StrEnum):
    CAT = "cat"


class Odd(int):
    def __int__(self):
        return -1

    __index__ = __int__


def take(*values):
    """What a draft keeps of the values of one column, and the column."""
    draft = Draft()
    taken = [draft.add({"v": value})["v"] for value in values]
    field = draft.schema()["v"]
    return taken, f"{field.type}{' or None' if field.nullable else ''}{' numpy' if field.numpy else ''}"


def refused(*values, part="", error=errors.SchemaError):
    """The last value is refused at its call, and the draft is then as it was before."""
    draft = Draft()
    for value in values[:-1]:
        draft.add({"v": value})
    before = (draft.schema() if draft.count else None, draft.count, draft.bytes)
    with pytest.raises(error) as caught:
        draft.add({"v": values[-1]})
    assert part in str(caught.value) and not str(caught.value).startswith("example"), str(caught.value)
    assert (draft.schema() if draft.count else None, draft.count, draft.bytes) == before
    for value in values[:-1]:
        draft.add({"v": value})
    return str(caught.value)


# --- taken at the call ---


def test_every_value_is_taken_when_it_is_given():
    array, words, inner, data = np.arange(3), ["a"], {"x": np.zeros(2), "y": 1}, bytearray(b"abc")
    media = Media(bytearray(PNG), "image/png")
    row = {"array": array, "words": words, "inner": inner, "data": data, "view": memoryview(data)[::2], "media": media, "pair": Pair([1], 2)}
    draft = Draft()
    taken = draft.add(row)
    array[:] = 9
    words.append("b")
    inner["x"][:] = 9
    inner["z"] = 9
    data[:] = b"xyz"
    media.data[:4] = b"zzzz"
    row["pair"].a.append(3)
    row.clear()
    wanted = {"array": np.arange(3), "words": ["a"], "inner": {"x": np.zeros(2), "y": 1}, "data": b"abc", "view": b"ac", "media": Media(PNG, "image/png"), "pair": {"a": [1], "b": 2}}
    assert same(taken, wanted)


def test_what_stays_the_same_is_not_copied():
    data, media = b"x" * 1000, Media(PNG, "image/png")
    taken = Draft().add({"data": data, "media": media})
    assert taken["data"] is data and taken["media"] is media


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3).T, np.arange(6)[::-2], np.broadcast_to(np.int8(1), (2, 2)), np.array(3), np.zeros((0, 3)), np.arange(3, dtype=">i4"), np.arange(2).view(np.recarray)], ids=repr)
def test_arrays_are_copied_in_order(array):
    (copy,), _ = take(array)
    assert type(copy) is np.ndarray and copy.flags.c_contiguous and not np.shares_memory(copy, array)
    assert copy.dtype == array.dtype and copy.shape == array.shape and (copy == array).all()


def test_files_and_images_are_read_when_they_are_given(tmp_path):
    image = pytest.importorskip("PIL.Image")
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    picture = image.new("L", (3, 2), 5)
    (read, drawn), kind = take(file, picture)
    file.unlink()
    picture.putpixel((0, 0), 77)
    assert kind == "media(image/png)" and read == Media(PNG, "image/png")
    assert (np.asarray(image.open(io.BytesIO(drawn.data))) == 5).all()
    refused(PNG, file, part="cannot read")


def test_tensors_are_taken():
    torch = pytest.importorskip("torch")
    tensor, half, grown = torch.arange(3), torch.ones(2, dtype=torch.bfloat16), torch.ones(2, requires_grad=True)
    (copy,), kind = take(tensor)
    (kept,), half_kind = take(half)
    (plain,), _ = take(grown.t())
    tensor[:] = 9
    half[:] = 9
    assert same(copy, np.arange(3)) and kind == "array(int64, 3)"
    assert half_kind == "array(bfloat16, 2)" and kept.tolist() == [1, 1] and same(plain, np.ones(2, np.float32))
    for odd in (torch.eye(2).to_sparse(), torch.ones(2).to(torch.float8_e4m3fn), torch.ones(2, device="meta")):
        refused(odd, part="column 'v': expected a dense tensor")
    refused(half, np.ones(2, np.uint16), part="one dtype")


@pytest.mark.parametrize(
    "value, wanted",
    [(np.str_("cat"), "cat"), (Word.CAT, "cat"), (np.bytes_(b"x"), b"x"), (Color.RED, 7), (Odd(5), 5), (type("F", (float,), {})(-0.0), -0.0), (type("C", (complex,), {})(1j), 1j), (collections.OrderedDict(a=1), {"a": 1}), ({Word.CAT: 1}, {"cat": 1})],
    ids=repr,
)  # fmt: skip
def test_subclasses_count_as_what_they_are_based_on(value, wanted):
    (taken, again), _ = take(value, wanted)
    assert same(taken, wanted) and same(again, wanted)
    if not isinstance(value, complex):
        (inner,), kind = take([value])
        assert kind == {int: "list(int64)", float: "list(float64)"}.get(type(wanted), "object") and same(inner, [wanted])


def test_a_numpy_float_stays_one():
    taken, kind = take(np.float64(1.5), np.float64(2))
    assert kind == "float64 numpy" and type(taken[0]) is np.float64


def test_masked_arrays():
    full = np.ma.MaskedArray(np.arange(2), mask=True)
    taken, kind = take(np.ma.MaskedArray(np.arange(2), mask=[False, False]), full, np.ma.masked, np.ma.MaskedArray([1, 2]))
    assert kind == "array(int64, 2) or None" and same(taken, [np.arange(2), None, None, np.array([1, 2])])
    assert take(np.ma.masked, 1) == ([None, 1], "int64 or None")
    assert take([np.ma.masked, 1])[0] == [[None, 1]]
    (empty,), _ = take(np.ma.MaskedArray(np.zeros((0, 2))))
    assert type(empty) is np.ndarray
    refused(np.ma.MaskedArray([1, 2], mask=[0, 1]), part="1 of 2 elements masked")


def test_containers():
    for example, container, name, taken in (
        ({"a": 1}, "dict", None, {"a": 1}), ((1, [2]), "tuple", None, (1, [2])), (Pair(1, "x"), "tuple", None, (1, "x")), ([1, 2], "list", None, [1, 2]),
        (Point(1, "x"), "dataclass", "Point", {"x": 1, "label": "x"}), (3, "value", None, 3), (None, "value", None, None), (np.ma.masked, "value", None, None), (Media(PNG, "image/png"), "value", None, Media(PNG, "image/png")), ([], "value", None, []),
    ):  # fmt: skip
        draft = Draft()
        assert same(draft.add(example), taken)
        assert (draft.schema().container, draft.schema().name) == (container, name)


# --- refused at the call ---


@pytest.mark.parametrize(
    "values, part",
    [
        ((1, "x"), "column 'v': expected int64, got str 'x'"), ((1, True), "got bool True"), ((True, 1), "expected bool, got int 1"), (("x", [1]), "expected str"), (([1], "x"), "expected list(int64)"), ((["a"], "x"), "expected object"), ((np.int8(1), 1), "expected int8"), ((1, np.int8(1)), "expected int64"), ((1.5, np.float64(1)), "expected float64"), ((b"x", "x"), "expected bytes"), ((PNG, Media(PNG, "image/png")), "expected bytes"), (({"a": 1}, 3), "expected {a: int64}"), (({"a": 1}, {"a": "x"}), "column 'v.a': expected int64, got str 'x'"),
        ((np.zeros(2), np.zeros(2, int)), "one dtype"), ((np.zeros(2), 1.5), "expected array(float64, 2)"),
        ((2**64,), "64 bits"), ((-(2**63) - 1,), "64 bits"), ((2**63, -1), "2**63"), ((-1, 2**63), "2**63"),
        ((2**53 + 1, 1.5), "exactly"), ((1.5, 2**53 + 1), "exactly"), ((1.5, 10**400), "exactly"), ((-(2**53) - 1, 1.5), "exactly"),
        ((np.int64(1), np.uint64(1)), "exactly"), ((np.int8(1), np.uint64(1)), "exactly"), ((np.int64(2**53 + 1), np.float32(1)), "exactly"), ((np.float32(1), np.uint64(2**53 + 1)), "exactly"), ((np.complex64(1), np.int64(2**53 + 1)), "exactly"), ((np.bool_(1), np.int8(1)), "one type"), ((np.float32(1), np.bool_(1)), "one type"),
        ((object(),), "builtins.object cannot be stored"), ((type("Half", (), {"dtype": "bfloat16"})(),), "Half cannot be stored"), (({1, 2},), "cannot be stored"), ((np.array([None]),), "cannot be stored"), ((np.longdouble(1),), "cannot be stored"), (([object()],), "column 'v'"), (([Media(PNG, "image/png")],), "column 'v'"), (([2**64],), "column 'v'"), (([1], [1, {2}]), "column 'v'"),
        (("\ud800",), "surrogate"), (("x", "\ud800"), "surrogate"), ((["\ud800"],), "column 'v'"), (({"\ud800": 1},), "surrogate"), (([{"\ud800": 1}],), "column 'v'"), ((Media(b"", "\ud800"),), "surrogate"), ((Media(b"", None),), "column 'v'"), ((Media("text", "a/b"),), "column 'v'"), (({1: 2},), "column 'v': key 1 is a int; keys must be str"), (([{1: 2}],), "key 1 is not a str"),
        (({"a": {"b": 1j}}, [1]), "'v.a.b' (complex128)"), (({"a": 1}, {"b": 1j}), "this one cannot be one"), (({"a": 1}, [1j]), "this one cannot be one"), (({"a": 1.5}, {"a": 2**70}, {"b": 1}), "'v.a' (an int beyond 64 bits)"), (({"a": np.complex64(1)}, {}), "'v.a' (complex64)"), (({"a": Media(b"", "a/b")}, {}), "'v.a' (media(a/b))"),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_refused_at_the_call(values, part):
    refused(*values, part=part)


@pytest.mark.parametrize(
    "values, wanted",
    [
        ((1, 2**53, 1.5), "float64"), ((2**60, 1.5), "float64"), ((1.5, 2**100), "float64"), ((2**63, 0, 2**64 - 1), "uint64"), ((-(2**63), 2**63 - 1), "int64"), ((None, 1, 1.5, None), "float64 or None"),
        ((np.int16(1), np.uint16(1), np.float32(1)), "float32 numpy"), ((np.int64(2**60), np.float32(1)), "float64 numpy"), ((np.float16(1), np.int32(2**31 - 1)), "float64 numpy"), ((np.int8(1), np.uint8(1)), "int16 numpy"), ((np.float32(1), np.complex64(1)), "complex64 numpy"), ((np.uint64(1), np.float64(1), np.int64(-1)), "float64 numpy"),
        ((np.arange(2, dtype=">i4"), np.arange(2, dtype="<i4")), "array(int32, 2)"), ((np.zeros(2), np.zeros(3), np.zeros(2)), "tensor(float64, 1d)"), ((np.zeros(2), np.zeros((2, 2)), np.zeros(2)), "tensor(float64, anyd)"),
        (({}, {"a": 1}), "object"), (({"a": 1}, {}), "object"), (({"a": [1]}, {"a": [1], "b": 2}), "object"), (({"a": {"b": 1}}, {"a": {"c": 1}}), "{a: object}"), (({"a": None}, {"a": np.zeros(1)}), "{a: array(float64, 1)}"), (({"a": np.float32(1)}, [1]), "object"), (({"a": np.zeros(2)}, {"b": 1}), "object"), (({"a": 1}, {"b": np.zeros(2)}), "object"), (({"a": 1}, [np.zeros(2)]), "object"), (([np.zeros(2)],), "object"), ((np.array(["x"]),), "object"), ((datetime.date(2020, 1, 1),), "date"), ((np.datetime64("2020-01-01"),), "date numpy"), ((datetime.datetime(2020, 1, 1), [1], {"a": 1}), "object"),
    ],
    ids=str,
)  # fmt: skip
def test_accepted(values, wanted):
    assert take(*values)[1] == wanted


def test_limits_are_checked_at_the_call():
    refused({f"k{i}": 1 for i in range(5000)}, part="4096", error=errors.LimitError)
    refused(np.zeros((1,) * 33), part="32 dimensions", error=errors.LimitError)
    refused(np.zeros(1), np.zeros((1,) * 33), part="column 'v'")
    refused(np.broadcast_to(np.int8(1), (1 << 20, 1025)), part="1 GiB", error=errors.LimitError)
    refused(np.zeros((0, 1 << 31), np.int8), part="dimension", error=errors.LimitError)
    deep = 1
    for _ in range(65):
        deep = {"k": deep}
    refused(deep, part="nested deeper than 64", error=errors.LimitError)
    refused({}, deep["k"]["k"], {}, 1, part="expected object")  # as an object it may be
    draft = Draft()
    for i in range(64):
        draft.add({f"{i}-{j}": 1 for j in range(64)})
    with pytest.raises(errors.LimitError, match="4097 columns"):
        draft.add({"new": 1})
    draft.add({"0-1": 5})
    assert len(draft.schema().names) == 4096


def test_containers_that_hold_themselves_or_are_too_deep():
    ring: list = []
    ring.append(ring)
    refused(ring, part="column 'v': lists and dicts are nested deeper")
    loop: dict = {}
    loop["a"] = loop
    refused(loop, part="nested deeper", error=errors.LimitError)
    both: dict = {"a": []}
    both["a"].append(both)
    refused(both, part="nested deeper")
    deep: list = []
    for _ in range(MAX_NESTING - 1):
        deep = [deep]
    (taken,), _ = take(deep)
    assert taken == deep
    refused([deep], part="nested deeper")


def test_containers_that_differ():
    for first, later, part in (
        ({"a": 1}, (1,), "expected a dict like example 0, got tuple"), (1, {"a": 1}, "expected a value"), ((1, 2), (1,), "expected a tuple of 2 values like example 0, got one of 1"), ([1j], [1, 2], "'0' (complex128)"), ([1], [1, 1j], "this one cannot be one"), ([1], (1,), "expected a list"), (Point(1, "x"), {"x": 1}, "expected a dataclass"), ([1], ["x"], "column '0': expected int64"),
    ):  # fmt: skip
        draft = Draft()
        draft.add(first)
        before = draft.schema()
        with pytest.raises(errors.SchemaError) as caught:
            draft.add(later)
        assert part in str(caught.value) and draft.schema() is before
        draft.add(first)
    for empty in ({}, (), dataclasses.make_dataclass("Empty", [])()):
        with pytest.raises(errors.SchemaError, match="cannot be the first example"):
            Draft().add(empty)
    with pytest.raises(errors.SchemaError, match="no example was added"):
        Draft().schema()
    draft = Draft()
    assert draft.add({"a": 1}) == {"a": 1} and draft.add({}) == {}
    assert draft.schema()["a"].nullable


def test_the_schema_is_the_same_object_while_nothing_is_new():
    draft = Draft()
    for i in range(50):
        draft.add({"a": i, "b": [i], "c": {"d": str(i)}, "e": np.zeros(i % 3)})
        before = draft.schema() if i > 1 else None
        draft.add({"a": -i, "b": [i, i], "c": {"d": "x"}, "e": np.zeros(2)})
        assert before is None or draft.schema() is before
    assert draft.count == 100 and draft.bytes >= 8 * 50


def test_what_was_tried_is_forgotten():
    """More than the scratch holds, and values larger than it."""
    draft = Draft()
    for i in range(40):
        draft.add({"a": bytes(200_000 if i else 3_000_000), "b": i})
    assert draft.count == 40 and draft.bytes >= 39 * 200_000


# --- for any examples ---

NUMPY = [np.int8(-3), np.uint8(200), np.int16(-300), np.int64(-5), np.uint64(5), np.int64(2**53 + 1), np.uint64(2**63), np.float16(1.5), np.float32(0.1), np.float64(0.1), np.complex64(1j), np.complex128(2j), np.bool_(True)]
FAMILIES = {
    "none": st.none(),
    "bool": st.booleans(),
    "int": st.integers(-9, 9),
    "large": st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**60, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 2**70]),
    "float": st.floats(width=32),
    "complex": st.complex_numbers(),
    "str": st.text(max_size=3) | st.sampled_from([np.str_("cat"), Word.CAT, "\ud800"]),
    "bytes": st.binary(max_size=3) | st.binary(max_size=3).map(bytearray) | st.binary(max_size=6).map(lambda data: memoryview(bytearray(data))[::2]),
    "numpy": st.sampled_from(NUMPY),
    "array": st.builds(lambda dtype, shape, value: np.full(shape, value, dtype), st.sampled_from(["int8", ">i4", "<i4", "float32"]), st.sampled_from([(), (2,), (3,), (1, 2)]), st.integers(0, 9)),
    "masked": st.builds(lambda mask: np.ma.MaskedArray(np.arange(2, dtype="int8"), mask=mask), st.sampled_from([False, True, [0, 1]])) | st.just(np.ma.masked),
    "media": st.builds(lambda data, kind: Media(bytearray(data), kind), st.binary(max_size=3), st.sampled_from(["image/png", "a/b"])),
    "when": st.sampled_from([datetime.datetime(2020, 1, 2, 3), datetime.datetime(2020, 1, 2, 3, 4, 5, 6, UTC)]),
    "odd": st.sampled_from([object(), {1}, np.array([None])]),
}  # fmt: skip
LEAVES = st.one_of([strategy for name, strategy in FAMILIES.items() if name != "odd"])


def dicts(values):
    return st.dictionaries(st.sampled_from("abc"), values, max_size=3)


NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | dicts(inner), max_leaves=5)
FAMILIES |= {"dict": dicts(NESTED), "same": st.fixed_dictionaries({"p": LEAVES, "q": FAMILIES["int"]}), "list": st.lists(NESTED, max_size=3), "tuple": st.tuples(FAMILIES["int"], FAMILIES["str"])}

for family in ("int", "large", "float", "numpy", "array", "dict"):
    FAMILIES[f"in {family}"] = st.fixed_dictionaries({"p": FAMILIES[family], "q": st.fixed_dictionaries({"r": FAMILIES[family]})})
MIXES = [("int", "float"), ("large", "float"), ("int", "none"), ("array", "none", "masked"), ("same", "none"), ("same", "list"), ("in large", "in float"), ("in int", "dict"), ("in float", "in large", "list"), ("in numpy", "list"), ("in array", "dict")]


@st.composite
def streams(draw):
    """Examples whose columns have one family of values each, or a few."""
    mixes = st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=3) | st.sampled_from(MIXES)
    columns = {name: st.one_of([FAMILIES[family] for family in draw(mixes)]) for name in "uvw"[: draw(st.integers(1, 3))]}
    one = draw(st.sampled_from(["dict", "missing", "tuple", "list", "lists", "dataclass", "value"]))
    if one in ("tuple", "list"):
        rows = st.tuples(*columns.values()).map(tuple if one == "tuple" else list)
    elif one == "dataclass":
        rows = st.builds(Point, columns["u"], columns["u"])
    else:
        rows = {"dict": st.fixed_dictionaries(columns), "missing": st.fixed_dictionaries({}, optional=columns), "lists": st.lists(columns["u"], max_size=3), "value": columns["u"]}[one]
    return draw(st.lists(rows, min_size=1, max_size=8))


def snapshot(value):
    """A value that nobody changes: what is to come back, but for what exact() overlooks."""
    if dataclasses.is_dataclass(value) and not isinstance(value, Media):
        return {field.name: snapshot(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): snapshot(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(inner) for inner in value]
    if isinstance(value, np.ma.MaskedArray):
        return None if value.mask.all() else np.array(value.data)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return Media(bytes(value.data), value.type) if isinstance(value, Media) else value


def spoil(value):
    """Changes all of a value that can be changed."""
    if dataclasses.is_dataclass(value) and not isinstance(value, Media):
        for field in dataclasses.fields(value):
            spoil(getattr(value, field.name))
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            spoil(inner)
        if not isinstance(value, tuple):
            value.clear()
    elif isinstance(value, np.ndarray) and value is not np.ma.masked and value.dtype.kind in "if":
        value[...] = 77
    elif isinstance(value, bytearray | memoryview):
        value[:] = b"\xee" * len(value)
    elif isinstance(value, Media):
        spoil(value.data)


def exact(wanted, got):
    """Whether a value came back: the number itself where its type changed, and no key but with None."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(exact(wanted.get(key), got.get(key)) for key in {*wanted, *got})
    if isinstance(wanted, list):
        return isinstance(got, list | tuple) and len(wanted) == len(got) and all(map(exact, wanted, got))
    if isinstance(wanted, np.ndarray):
        return same(wanted.astype(wanted.dtype.newbyteorder("=")), got)
    wanted, got = (value.item() if isinstance(value, np.generic) else value for value in (wanted, got))
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, float) and wanted != wanted:
        return got != got
    if isinstance(wanted, complex) and wanted != wanted:
        return same(wanted, got)
    return bool(wanted == got)


@settings(max_examples=300, deadline=None)
@given(streams())
def test_what_was_accepted_can_be_stored_and_comes_back(tmp_path_factory, stream):
    draft, taken, wanted = Draft(), [], []
    for example in stream:
        before = (draft.count, draft.bytes)
        kept = snapshot(example)
        try:
            copy = draft.add(example)
        except (errors.SchemaError, errors.LimitError, ValueError):
            assert (draft.count, draft.bytes) == before
            continue
        spoil(example)
        taken.append(copy)
        wanted.append(kept)
    if not taken:
        return
    schema = draft.schema()
    builder = _core.RowBuilder(schema, 1 << 30)
    for copy in taken:
        builder.append(copy)
    assert infer_schema(taken).fields == schema.fields  # what was refused left no trace
    path = write(tmp_path_factory.mktemp("draft") / "d", taken, schema=schema)
    back = list(AtlasDataset(path))
    assert all(map(exact, wanted, back)), (wanted, back)
