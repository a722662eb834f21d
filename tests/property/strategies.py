"""Schemas, rows and writer options for hypothesis, shaped so that every layout, codec and flag turns up. Times and classes: moments.py."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from atlas_ds import Media, types
from atlas_ds.schema.types import SCALARS

from . import moments as times


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Box:
    content: Any


INTS = {name: np.iinfo(name) for name in SCALARS if name.startswith(("int", "uint"))}
NUMPY = [name for name in SCALARS if name != "bfloat16"]
Spec = tuple[Any, Any]  # what goes into schema=, and a strategy of values


def bits(dtype: str, shape: tuple[int, ...]) -> Any:
    """Arrays of any bits of a dtype; often the same ones, or whole numbers close together."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize

    def build(data: bytes) -> np.ndarray:
        array = np.frombuffer(data, np.uint8)
        return (array & 1).astype(np.bool_).reshape(shape) if dtype == "bool" else array.copy().view(kind).reshape(shape)

    anything = st.binary(min_size=size, max_size=size).map(build)
    # a pattern again and again, or nothing: smaller by itself, and no two rows alike
    patterns = st.builds(lambda data, seed: build((data * size)[:size] if seed % 4 else bytes(size)), st.binary(min_size=1, max_size=9), st.integers(0, 99))
    if dtype in INTS:
        info = INTS[dtype]
        base = st.sampled_from([int(info.min), 0, int(info.max) - 99])
        near = st.builds(lambda low, seed: np.asarray(np.random.default_rng(seed).integers(0, 100, shape).astype(kind) + kind.type(low)), base, st.integers(0, 9))
        steps = st.builds(lambda low, seed: np.asarray((np.arange(size // kind.itemsize) // 9 % (seed + 1)).astype(kind) + kind.type(low)).reshape(shape), base, st.integers(0, 30))
        return st.one_of(anything, near, steps, patterns)
    return st.one_of(anything, patterns, st.sampled_from([bytes(size), b"\x01" * size]).map(build))


def bfloat16(shape: tuple[int, ...]) -> Any:
    """float32 arrays that are bfloat16 already, without NaN (whose payload rounding changes)."""
    return bits("uint16", shape).map(lambda a: np.asarray((a & np.uint16(0xBFFF)).astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(shape))


shapes = st.one_of(st.lists(st.integers(0, 3), min_size=0, max_size=3).map(tuple), st.sampled_from([(40,), (8, 12), (130,)]))
texts = st.one_of(st.text(max_size=20), st.sampled_from(["", "train", "test", "a much longer text that repeats itself " * 4]))
blobs = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"\0" * 100, b"abc" * 200]), st.integers(0, 99).map(lambda seed: np.random.default_rng(seed).bytes(400)))
moments = st.one_of(st.datetimes(), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(9000, 1, 1), timezones=st.just(datetime.UTC)))
plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), texts, st.binary(max_size=9), moments)
objects = st.recursive(plain, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=6)
lists = st.lists(objects, max_size=3)
text_arrays = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda t: not t.endswith("\0")), max_size=4).map(lambda t: np.array(t, np.str_))
kept = [name for name in NUMPY if not name.startswith("complex")]
held = st.one_of(text_arrays, st.sampled_from([*kept, "complex64"]).flatmap(lambda dtype: st.lists(st.integers(0, 3), max_size=3).flatmap(lambda shape: bits(dtype, tuple(shape)))))
with_arrays = st.recursive(
    st.one_of(plain, held),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3), st.builds(Pair, inner, inner), st.builds(Box, inner)),
    max_leaves=6,
)
media_types = st.sampled_from(["image/png", "audio/flac", "image/é"])


@st.composite
def scalars(draw: Any) -> Spec:
    name = draw(st.sampled_from(list(SCALARS)))
    if name == "bool":
        return name, st.booleans()
    if name in INTS:
        low, high = int(INTS[name].min), int(INTS[name].max)
        base = draw(st.sampled_from([low, 0, high - 50]))
        return name, draw(st.sampled_from([st.integers(low, high), st.integers(base, min(base + 50, high)), st.just(base)]))
    if name in ("float16", "float32", "float64"):
        return name, st.one_of(st.floats(width=int(name[5:]), allow_nan=name == "float64"), st.just(-0.0), st.just(1.5))
    if name == "bfloat16":
        return name, bfloat16(()).map(lambda a: float(a)).filter(lambda x: x == x)
    return name, st.complex_numbers(width=int(name[7:]), allow_nan=False)


@st.composite
def number_lists(draw: Any, inferred: bool) -> Spec:
    """Lists of ints, floats or bools."""
    dtype = draw(st.sampled_from(["int64", "float64", "bool"] if inferred else [name for name in SCALARS if not name.startswith("complex")]))
    make: Any = (lambda n: bfloat16((n,))) if dtype == "bfloat16" else lambda n: bits(dtype, (n,))
    length = None if inferred else draw(st.sampled_from([None, None, 0, 3, 40]))
    sizes = st.one_of(st.integers(0, 4), st.sampled_from([30, 100])) if length is None else st.just(length)
    return types.list(dtype, length), sizes.flatmap(make).map(lambda array: array.tolist())


@st.composite
def leaves(draw: Any, inferred: bool) -> Spec:
    kind = draw(st.sampled_from(["scalar", "str", "bytes", "object", "arrays", "array", "array", "tensor", "tensor1", "any", "media", "image", "list", "list", "time", "date", "class"]))
    if kind in ("time", "date"):
        return draw(times.times(inferred) if kind == "time" else times.dates())
    if kind == "class" and not inferred:
        return draw(times.classes())
    if kind == "list":
        return draw(number_lists(inferred))
    if kind == "arrays":
        return "object", (st.lists(with_arrays, max_size=3) if inferred else with_arrays)
    if kind == "scalar":
        spec = draw(scalars())
        return draw(st.sampled_from([(None, st.booleans()), (None, st.integers(-(2**63), 2**63 - 1)), (None, st.floats()), (None, st.complex_numbers())])) if inferred else spec
    if kind in ("str", "bytes"):
        return kind, texts if kind == "str" else blobs
    if kind == "object":
        return "object", lists if inferred else objects
    if kind == "image":
        return types.media("image/png"), blobs.map(lambda data: Media(data, "image/png"))
    if kind == "media":
        return types.media(), st.builds(Media, blobs, media_types)
    dtype = draw(st.sampled_from(NUMPY if inferred else list(SCALARS)))
    make: Any = (lambda shape: bfloat16(shape)) if dtype == "bfloat16" else (lambda shape: bits(dtype, shape))
    if kind == "array":
        shape = draw(shapes)
        return types.array(dtype, shape), make(shape)
    if kind == "tensor1":
        return types.tensor(dtype, 1), st.one_of(st.integers(0, 5), st.sampled_from([40, 150])).flatmap(lambda n: make((n,)))
    if kind == "tensor":
        ndim = draw(st.integers(0, 3))
        return types.tensor(dtype, ndim), st.lists(st.integers(0, 3), min_size=ndim, max_size=ndim).flatmap(lambda shape: make(tuple(shape)))
    return types.tensor(dtype), shapes.flatmap(make)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def fields(draw: Any, inferred: bool, depth: int = 0) -> Spec:
    spec: Spec
    if depth < 2 and draw(st.integers(0, 5)) == 0:
        inner = draw(st.dictionaries(names, fields(inferred, depth + 1), min_size=1, max_size=3))
        if draw(st.integers(0, 2)) == 0:
            made = draw(fields(inferred, depth + 1)), draw(fields(inferred, depth + 1))
            spec = types.struct({"left": made[0][0] or "object", "right": made[1][0] or "object"}), st.builds(Pair, left=made[0][1], right=made[1][1])
        else:
            spec = types.struct({name: kind if kind is not None else "object" for name, (kind, _) in inner.items()}), st.fixed_dictionaries({name: value for name, (_, value) in inner.items()})
    else:
        spec = draw(leaves(inferred))
    if draw(st.integers(0, 2)) == 0:
        return (types.nullable(spec[0]) if spec[0] not in (None, "object") else spec[0]), st.one_of(st.none(), spec[1])
    return spec


@st.composite
def datasets(draw: Any) -> tuple[Any, list[Any], dict[str, Any]]:
    """(schema or None, rows, writer options)."""
    inferred = draw(st.booleans())
    container = draw(st.sampled_from(["dict", "dict", "tuple", "list", "value"]))
    if container == "dict":
        columns = draw(st.dictionaries(names, fields(inferred), min_size=1, max_size=4))
        schema: Any = {name: kind for name, (kind, _) in columns.items()}
        row = st.fixed_dictionaries({name: value for name, (_, value) in columns.items()})
    elif container == "value":
        schema, row = draw(leaves(inferred))
        if inferred:  # a bare list or dict would be the container itself
            row = row.filter(lambda v: not isinstance(v, list | dict | tuple))
    else:
        cells = draw(st.lists(fields(inferred), min_size=1, max_size=4))
        make = tuple if container == "tuple" else list
        schema = make(kind for kind, _ in cells)
        row = st.tuples(*(value for _, value in cells)).map(make)
    pool = draw(st.lists(row, min_size=int(inferred), max_size=8))
    rows = [pool[i] for i in draw(st.lists(st.integers(0, len(pool) - 1), min_size=int(inferred), max_size=30))] if pool else []
    codecs = ["auto", "none", "lz4", "zstd", "zstd"]
    options = {
        "shard_size": draw(st.sampled_from([1, 3, 7, 100, "1KB", "256MB"])),
        "block_size": draw(st.sampled_from([None, None, 1, 2, 5, 64, "64B", "1KB"])),
        "compression": draw(st.sampled_from(codecs) if container != "dict" or draw(st.booleans()) else st.fixed_dictionaries({name: st.sampled_from(codecs) for name in columns})),
        "access": draw(st.sampled_from(["random", "random", "scan"])),
        "dictionary": draw(st.sampled_from(["shared", "shard", None])),
        "level": draw(st.sampled_from([1, 3, 9])),
    }
    return None if inferred else schema, rows, options
