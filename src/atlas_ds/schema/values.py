"""Values at the edge of the core: what is too varied for a C loop. Conversions in, wrappers out; no schema logic, no bytes layout."""

from __future__ import annotations

import dataclasses
import datetime
import io
import mimetypes
import sys
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import numpy.ma  # NumPy imports it when first used: a fork while another thread does so leaves the child with a held import lock

from atlas_ds.errors import CorruptError, LimitError, SchemaError
from atlas_ds.schema.pictures import MODES, decode_image
from atlas_ds.schema.types import SCALARS, Array, Field, Scalar, Tensor
from atlas_ds.schema.types import Media as MediaType

NAIVE_DATETIME = 1
PNG_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"))  # of PIL images: what PNG holds as it is
SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"), (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"), (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"), (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Media:
    """An encoded image, sound or film. data: bytes (a memoryview where copy=False); type: its media type."""

    data: bytes | memoryview
    type: str

    def decode(self, format: str = "numpy") -> Any:
        """A picture, decoded: "numpy" (uint8, height x width [x channels]), "pil" or "torch" (channels x height x width). Needs Pillow
        (pip install atlas-ds[images])."""
        if not self.type.startswith("image/"):
            raise SchemaError(f"{self.type} cannot be decoded here: take .data and give it to a library for sound or film")
        if format not in MODES:
            raise ValueError(f"format must be 'numpy', 'pil' or 'torch', not {format!r}")
        return decode_image(self.data, format, where=self.type)

    def __repr__(self) -> str:
        return f"Media({self.type}, {len(self.data)} bytes)"


@dataclasses.dataclass(frozen=True, slots=True)
class Ragged:
    """Arrays of different length in one batch: row i is values[offsets[i]:offsets[i + 1]], reshaped to shapes[i] if there are shapes.

    values: (total,) of the column's dtype; offsets: (rows + 1,) int64; mask: (rows,) bool, True where null, or None.
    """

    values: np.ndarray
    offsets: np.ndarray
    shapes: Any = None
    mask: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray | None:
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} is out of range for {len(self)} rows")
        i %= len(self)
        if self.mask is not None and self.mask[i]:
            return None
        row = self.values[self.offsets[i] : self.offsets[i + 1]]
        return row if self.shapes is None else row.reshape(tuple(self.shapes[i]))


def storage_dtype(name: str) -> np.dtype[Any]:
    return SCALARS[name]


def masked(values: np.ndarray, nulls: np.ndarray) -> np.ma.MaskedArray:
    """A column with nulls: masked where they are."""
    mask = nulls.astype(np.bool_).reshape(nulls.shape + (1,) * (values.ndim - 1))
    return np.ma.MaskedArray(values, np.broadcast_to(mask, values.shape).copy())


def present(columns: dict[str, Any], there: np.ndarray) -> dict[str, Any]:
    """A nullable struct's columns: masked, or None in lists, where the struct is absent."""
    return {name: _absent(column, there) for name, column in columns.items()}


def _absent(column: Any, there: np.ndarray) -> Any:
    if isinstance(column, dict):
        return present(column, there)
    if isinstance(column, list):
        return [value if here else None for value, here in zip(column, there, strict=True)]
    if isinstance(column, Ragged):
        mask = ~there if column.mask is None else column.mask | ~there
        return dataclasses.replace(column, mask=mask)
    gone = (~there).astype(np.uint8)
    if isinstance(column, np.ma.MaskedArray):
        return np.ma.MaskedArray(column.data, np.ma.getmaskarray(column) | np.ma.getmaskarray(masked(column.data, gone)))
    return masked(column, gone)


def describe(value: Any) -> str:
    """A value in an error message: its type, dtype, shape, and itself if it is short."""
    value = to_numpy(value)
    if isinstance(value, np.ndarray):
        return f"array({value.dtype}, {'x'.join(map(str, value.shape)) or 'scalar'})"
    try:
        text = repr(value)
    except RecursionError:
        text = "nested too deep to show"
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def to_numpy(value: Any) -> Any:
    """A torch tensor as a NumPy array (bfloat16: its bits, as uint16); anything else as it is. Does not import torch."""
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    if str(value.dtype) == "torch.bfloat16":
        return value.view(sys.modules["torch"].int16).numpy().view(np.uint16)  # there is a tensor, so its library is loaded
    return value.resolve_conj().resolve_neg().numpy()


def is_bfloat16(value: Any) -> bool:
    return str(getattr(value, "dtype", "")) in ("torch.bfloat16", "bfloat16")


def narrow_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 to the bits of bfloat16, rounded to nearest even; NaN stays NaN."""
    bits = np.asarray(values, np.float32, order="C").view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), ((bits >> 16) | 0x40).astype(np.uint16), rounded)


def to_array(value: Any, field: Field, path: str) -> np.ndarray:
    """A C-contiguous array that fits an array or tensor field; SchemaError otherwise."""
    kind = field.type
    assert isinstance(kind, Array | Tensor)
    want = SCALARS[kind.dtype]
    given = to_numpy(value)
    if not isinstance(given, np.ndarray | np.generic | list | tuple):
        raise SchemaError(f"column {path!r}: expected {kind}, got {describe(value)}")
    array = np.asarray(given)
    if kind.dtype == "bfloat16":
        if not is_bfloat16(value) or array.dtype != np.uint16:
            array = narrow_bfloat16(array.astype(np.float32))
    elif array.dtype != want:
        if not np.can_cast(array.dtype, want, "safe") and not (isinstance(given, list | tuple) and np.can_cast(array.dtype, want, "same_kind")):
            raise SchemaError(f"column {path!r}: expected {kind}, got {describe(value)}")
        array = array.astype(want)
    if isinstance(kind, Array) and array.shape != kind.shape:
        raise SchemaError(f"column {path!r}: expected {kind}, got {describe(value)}")
    if isinstance(kind, Tensor) and ((kind.ndim is not None and array.ndim != kind.ndim) or array.ndim > 32):
        raise SchemaError(f"column {path!r}: expected {kind}, got {describe(value)}")
    return array if array.flags.c_contiguous else np.array(array, order="C", ndmin=array.ndim)


def scalar_bytes(value: Any, field: Field, path: str) -> bytes:
    """The bytes of a number that fits a scalar field; SchemaError otherwise."""
    kind = field.type
    assert isinstance(kind, Scalar)
    given = to_numpy(value)
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given[()]
    if kind.dtype == "bfloat16":
        if is_bfloat16(value) and isinstance(given, np.uint16):
            return given.tobytes()
        if isinstance(given, int | float | np.floating) and not isinstance(given, bool):
            return narrow_bfloat16(np.array(given, np.float32)).tobytes()
    want = SCALARS[kind.dtype]
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if want.kind == "b":
        good = isinstance(given, bool | np.bool_)
    elif want.kind in "iu":
        good = whole and np.iinfo(want).min <= int(given) <= np.iinfo(want).max
    elif want.kind == "f":
        good = whole or isinstance(given, float | np.floating)
    else:
        good = whole or isinstance(given, float | complex | np.floating | np.complexfloating)
    if good and isinstance(given, np.generic) and not whole:
        good = np.can_cast(given.dtype, want, "safe") or (want.kind == given.dtype.kind and want.itemsize < given.dtype.itemsize and not field.numpy)
    if not good:
        raise SchemaError(f"column {path!r}: expected {kind}, got {describe(value)}")
    return bytes(want.type(given).tobytes())


def as_dict(example: Any, schema: Any) -> dict[str, Any]:
    """A dataclass instance as a dict of its fields (not deep)."""
    if dataclasses.is_dataclass(example) and not isinstance(example, type):
        return {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    raise SchemaError(f"expected a {schema.container} with {', '.join(schema.names)}, got {describe(example)}")


def sniff(data: bytes, name: str = "") -> str | None:
    """The media type of encoded bytes by their signature, else by the file's name."""
    for signature, kind in SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return "image/avif" if data[8:12] in (b"avif", b"avis") else "image/heic" if data[8:12] in (b"heic", b"heix") else "video/mp4"
    guess = mimetypes.guess_type(name)[0] if name else None
    return guess if guess is not None and guess.split("/")[0] in ("image", "audio", "video") else None


def is_pil(value: Any) -> bool:
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def to_media(value: Any, field: Field, path: str) -> tuple[bytes | memoryview, str]:
    """(encoded bytes, media type) of a Media, a path to a file, or a PIL image (which is stored as PNG, without loss)."""
    kind = field.type
    assert isinstance(kind, MediaType)
    if isinstance(value, Media):
        data, got = value.data, value.type
    elif isinstance(value, Path):
        try:
            data = value.read_bytes()
        except OSError as cause:
            raise SchemaError(f"column {path!r}: cannot read {str(value)!r}: {cause.strerror}") from cause
        found = sniff(data, value.name)
        if found is None:
            raise SchemaError(f"column {path!r}: {str(value)!r} is no image, sound or film that is known: give its bytes, or Media(data, type)")
        got = found
    elif is_pil(value):
        if value.mode not in PNG_MODES:
            ways = "convert it to RGB, or store numpy.asarray(image)"
            raise SchemaError(f"column {path!r}: a picture of mode {value.mode} has no PNG form without loss: {ways}")
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
        data, got = buffer.getvalue(), "image/png"
    else:
        raise SchemaError(f"column {path!r}: expected {kind} (Media, a pathlib.Path or a PIL image), got {describe(value)}")
    if kind.type is not None and got != kind.type:
        raise SchemaError(f"column {path!r}: expected {kind}, got {got}: declare the column as atlas.types.media()")
    return data, got


def pack(value: Any, path: str) -> bytes:
    """One MessagePack value; SchemaError names what cannot be stored."""
    try:
        check_keys(value)
        return bytes(msgpack.packb(value, default=_pack_other, strict_types=False, datetime=False))
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError, RecursionError) as cause:
        raise SchemaError(
            f"column {path!r}: {describe(value)} cannot be stored: {cause}. Lists, dicts with str keys, str, bytes, bool, int (64 bits), float, None and "
            "datetimes can; turn anything else into these, or into an array of a constant dtype"
        ) from cause


def _pack_other(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return msgpack.ExtType(NAIVE_DATETIME, value.isoformat().encode())
        return msgpack.Timestamp.from_datetime(value)
    if isinstance(value, np.generic) and value.dtype.name in SCALARS:
        return value.item()
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} is not one of the types")


def check_keys(value: Any) -> None:
    """Maps have str keys: msgpack itself would take others and change them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a str")
            check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_keys(inner)


def _unpack_ext(code: int, data: bytes) -> Any:
    if code == NAIVE_DATETIME:
        moment = datetime.datetime.fromisoformat(data.decode())
        if moment.tzinfo is not None:
            raise ValueError("a naive datetime has a time zone")
        return moment
    raise ValueError(f"extension {code} is not known")


def unpack(data: bytes) -> Any:
    """The value of MessagePack bytes; CorruptError where they are not one."""
    try:
        return msgpack.unpackb(data, ext_hook=_unpack_ext, timestamp=3, strict_map_key=True, raw=False)
    except (msgpack.StackError, RecursionError) as cause:
        raise LimitError("an object is nested too deep") from cause
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as cause:
        raise CorruptError(f"an object is not one MessagePack value: {cause}") from cause
