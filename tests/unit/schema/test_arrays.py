"""Numbers into declared columns: exact, refused, or rounded between floats; nothing wraps, nothing becomes infinite in silence."""

import enum

import numpy as np
import pytest
import torch

from atlas_ds import errors
from atlas_ds.schema.arrays import scalar_bytes, to_array
from atlas_ds.schema.bfloat16 import narrow_bfloat16, widen_bfloat16
from atlas_ds.schema.describe import describe, to_numpy
from atlas_ds.schema.fits import unmasked
from atlas_ds.schema.specs import array, make_field, tensor
from atlas_ds.schema.types import SCALARS


def stored(value, kind):
    return to_array(value, make_field("v", kind), "v")


def scalar(value, kind):
    return np.frombuffer(scalar_bytes(value, make_field("v", kind), "v"), SCALARS[kind])[0]


@pytest.mark.parametrize(
    "value, kind, why",
    [
        ([300], array("int8", (1,)), "-128 to 127"), ([-1], array("uint8", (1,)), "0 to 255"), ([2**70], array("int64", (1,)), "int64 holds"), ([2**64], array("uint64", (1,)), "uint64 holds"),
        ([2**53 + 1], array("float64", (1,)), "exactly"), (np.array([2**53 + 1]), array("float64", (1,)), "beyond 2\\^53"), (np.array([2**63 + 1], np.uint64), array("complex128", (1,)), "beyond 2\\^53"),
        ([2**63 + 1, 0.5], array("float64", (2,)), "exactly"), ([2**24 + 1], array("float32", (1,)), "exactly"), ([2049], array("float16", (1,)), "exactly"), ([257], array("bfloat16", (1,)), "exactly"),
        (np.array([257]), array("bfloat16", (1,)), "exactly"), (np.array([2**53 + 1]), array("bfloat16", (1,)), "exactly"), ([1e300], array("float32", (1,)), "too large"), ([70000.0], array("float16", (1,)), "too large"),
        ([1e39], array("bfloat16", (1,)), "too large"), (np.array([1e300]), array("bfloat16", (1,)), "too large"), ([1e300 + 0j], array("complex64", (1,)), "too large"),
        (np.array([0.1]), array("float32", (1,)), "can change"), (np.array([1], np.int32), array("float32", (1,)), "can change"), (np.array([1]), array("int8", (1,)), "can change"),
        ([True, 2], array("int64", (2,)), "bools"), ([True], array("float64", (1,)), "bools"), ([1], array("bool", (1,)), "bools"), (np.array([True]), array("int8", (1,)), "bools"), (np.array([1], np.uint8), array("bool", (1,)), "bools"),
        ([1, 2.5], tensor("int64", 1), "not an int"), ([1j], tensor("float64", 1), "not a float"), (["1"], tensor("int64", 1), "not a number"), ([None], tensor("float64", 1), "NaN"), ([np.ma.masked], tensor("float64", 1), "NaN"),
        ([[1], [2, 3]], tensor("int64", 2), "lengths"), ([1, [2]], tensor("int64", 1), "lengths"), ([np.ones(1), np.ones(2)], tensor("float64", 2), "lengths"),
        (np.array(["a"]), tensor("int64", 1), "list of str"), (np.array([b"a"]), tensor("int64", 1), "list of str"), (np.array([1, None]), tensor("int64", 1), "give it a dtype"),
        (np.array(["2020-01-01"], "M8[D]"), tensor("int64", 1), "astype\\('int64'\\)"), (np.zeros(1, [("a", "i4")]), tensor("int32", 1), "dict of arrays"), (np.ones(1, np.longdouble), tensor("float64", 1), "float64"),
        (np.ma.MaskedArray([1, 2], mask=[0, 1]), tensor("int64", 1), "1 of its 2 elements are masked"), (np.ma.MaskedArray([1, 2], mask=True), tensor("int64", 1), "nullable"), (5, tensor("int64", 1), "expected tensor"),
        (np.zeros((0, 2**20, 2**20), np.int8), tensor("int8", 3), "2\\^30"), (np.zeros((2, 2)), array("float64", (4,)), "expected array"), (np.zeros(2), tensor("float64", 2), "expected tensor"),
    ],
)  # fmt: skip
def test_arrays_that_would_change_are_refused(value, kind, why):
    with pytest.raises((errors.SchemaError, errors.LimitError), match=f"column 'v': .*{why}"):
        stored(value, kind)


@pytest.mark.parametrize(
    "value, kind, why",
    [
        (2**53 + 1, "float64", "exactly"), (10**400, "float64", "too large"), (2**24 + 1, "float32", "exactly"), (70000, "float16", "exactly"), (257, "bfloat16", "exactly"), (2**53 + 1, "complex128", "exactly"),
        (np.int64(2**53 + 1), "float64", "exactly"), (np.uint64(2**64 - 1), "float64", "exactly"), (1e300, "float32", "too large"), (np.float64(1e300), "float32", "too large"), (1e39, "bfloat16", "too large"),
        (1e300j, "complex64", "too large"), (True, "int64", ""), (True, "float64", ""), (1, "bool", ""), (np.True_, "int8", ""), (1.0, "int64", ""), (1j, "float64", ""), (300, "int8", "-128 to 127"), (np.int64(300), "int8", "-128"),
        (2**64, "uint64", "uint64 holds"), (-1, "uint64", "uint64 holds"), ("1", "int64", ""), (np.datetime64("2020"), "int64", ""), (np.longdouble(1), "float64", "float64"), (np.array([5]), "int64", ""), (None, "int64", ""),
        (np.ma.masked, "int64", ""), (enum.Enum("E", "A").A, "int64", ""),
    ],
)  # fmt: skip
def test_scalars_that_would_change_are_refused(value, kind, why):
    with pytest.raises(errors.SchemaError, match=f"column 'v': expected {kind}, .*{why}"):
        scalar(value, kind)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "bfloat16"])
def test_ints_that_a_float_column_holds(kind):
    """Against exact arithmetic: an int is taken if and only if the column has a float equal to it."""
    bits = {"float16": 11, "float32": 24, "float64": 53, "bfloat16": 8}[kind]
    for value in (0, 1, -1, 2**bits, 2**bits + 1, -(2**bits) - 1, 2**bits + 2, 2**15 + 2**4, 3 * 2**14, -(2**62) - 2**9):
        top = abs(value).bit_length()
        odd = abs(value) >> ((value & -value).bit_length() - 1) if value else 0
        fits = odd.bit_length() <= bits and (kind != "float16" or top <= 16)
        for given, take in ((value, lambda v: scalar(v, kind)), ([value], lambda v: stored(v, array(kind, (1,)))[0])):
            if fits:
                got = take(given)
                assert (float(widen_bfloat16(np.array([got]))[0]) if kind == "bfloat16" else float(got)) == value
            else:
                with pytest.raises(errors.SchemaError):
                    take(given)


def test_floats_are_rounded_as_numpy_and_torch_do():
    values = np.random.default_rng(1).standard_normal(5000) * 10.0 ** np.random.default_rng(2).integers(-30, 30, 5000)
    assert np.array_equal(stored(values.tolist(), tensor("float32", 1)), values.astype(np.float32))
    assert np.array_equal(stored(values.astype(np.float32), tensor("bfloat16", 1)), torch.tensor(values.astype(np.float32)).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16))


def test_float64_is_rounded_to_bfloat16_once():
    """1 + 2^-8 + 2^-40 lies above the middle of two bfloat16; rounded to float32 first, it would be the middle itself, and go to the even one below."""
    assert widen_bfloat16(stored(np.array([1 + 2**-8 + 2**-40, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8 - 2**-40]), tensor("bfloat16", 1))).tolist() == [1 + 2**-7, 1.0, 1 + 2**-6, -1 - 2**-7]


def test_bits_of_every_bfloat16_survive():
    bits = np.arange(65536, dtype=np.uint32).astype(np.uint16)
    assert np.array_equal(narrow_bfloat16(widen_bfloat16(bits)), bits)
    assert np.array_equal(stored(torch.tensor(bits.view(np.int16)).view(torch.bfloat16), tensor("bfloat16", 1)), bits)


def test_a_bfloat16_tensor_in_another_column_is_its_numbers():
    assert stored(torch.tensor([1.5], dtype=torch.bfloat16), tensor("float32", 1)).tolist() == [1.5]
    assert scalar(torch.tensor(1.5, dtype=torch.bfloat16), "float64") == 1.5
    with pytest.raises(errors.SchemaError):
        stored(torch.tensor([1.5], dtype=torch.bfloat16), tensor("uint16", 1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_bits_of_nan_survive(dtype):
    given = np.frombuffer(np.random.default_rng(3).bytes(64 * SCALARS[dtype].itemsize), dtype).copy()
    given.view(np.uint8)[: 4 * given.itemsize] = 0xFF
    assert stored(given, tensor(dtype, 1)).tobytes() == given.tobytes()
    assert stored(given.astype(given.dtype.newbyteorder(">")), tensor(dtype, 1)).tobytes() == given.tobytes()
    assert all(scalar_bytes(value, make_field("v", dtype), "v") == value.tobytes() for value in given)


def test_bools_are_zero_or_one():
    assert stored(np.array([0, 2, 255], np.uint8).view(np.bool_), array("bool", (3,))).view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("value, back", [(np.ma.MaskedArray([1]), [1]), (np.ma.MaskedArray([1], mask=True), None), (np.ma.masked, None), (np.ma.MaskedArray(np.zeros(0), mask=np.zeros(0, bool)), []), (5, 5)], ids=repr)
def test_masks(value, back):
    got = unmasked(value, "v")
    assert (got.tolist() if isinstance(got, np.ndarray) else got) == back and not isinstance(got, np.ma.MaskedArray)


class Mine(torch.Tensor):
    pass


def test_tensors_that_are_arrays():
    for value in (torch.ones(2).as_subclass(Mine), torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.ones(2)), torch._neg_view(-torch.ones(2)), torch.ones(4)[::2]):
        assert to_numpy(value).tolist() == [1, 1]
    assert to_numpy(torch.tensor([1j]).conj()).tolist() == [-1j]


@pytest.mark.parametrize(
    "make, cure",
    [
        (lambda: torch.eye(2).to_sparse(), "to_dense"), (lambda: torch.eye(2).to_sparse_csr(), "to_dense"), (lambda: torch.ones(2, device="meta"), "no values"),
        (lambda: torch.ones(2).to(torch.float8_e4m3fn), "uint8"), (lambda: torch.ones(2).to(torch.float8_e5m2), "uint8"), (lambda: torch.ones(2, dtype=torch.complex32), "float32"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "dequantize"), (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "to_padded_tensor"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_arrays(make, cure):
    value = make()
    assert "tensor(" in describe(value) or "array(" in describe(value)
    for take in (lambda: stored(value, tensor("float32")), lambda: scalar(value, "float32"), lambda: stored([value], tensor("float32"))):
        with pytest.raises(errors.SchemaError, match=f"column 'v': .*{cure}"):
            take()


def test_a_value_whose_repr_fails():
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    assert describe(Odd()) == "Odd whose repr raises RuntimeError"
