"""Copies of examples, taken when they are given: what the caller does to the original later changes nothing. No schema logic.

Media are read (paths) or encoded (PIL images) here; torch tensors become arrays (of bfloat16: tensors still); a masked array becomes an array, or None
where all of it is masked. Subclasses of str, bytes, int, float and complex become what they are based on, a named tuple becomes a tuple.
"""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.describe import is_bfloat16, to_numpy
from atlas_ds.schema.media import Media, is_pil, to_media
from atlas_ds.schema.named_fields import as_dict
from atlas_ds.schema.specs import dtype_name
from atlas_ds.schema.types import MAX_DEPTH, SCALARS, Field
from atlas_ds.schema.types import Media as MediaType

MAX_NESTING = 500  # levels of lists and dicts: what is packed and unpacked with room to spare on the stack
MAX_BYTES = 1 << 30  # of one value
MAX_LENGTH = 1 << 30  # of one dimension, also where another one is 0
NAMES = {dtype: name for name, dtype in SCALARS.items() if name != "bfloat16"}  # bfloat16 has the dtype of its bits there
MOMENTS = (datetime.datetime, datetime.date, np.datetime64)
PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes, *MOMENTS, *(dtype.type for dtype in SCALARS.values())))


def container_of(example: Any) -> str:
    """What kind of example this is: "dict", "tuple", "list", "dataclass" or "value"."""
    if isinstance(example, dict):
        return "dict"
    if isinstance(example, tuple):
        return "tuple"
    if isinstance(example, list):
        return "list"
    if dataclasses.is_dataclass(example) and not isinstance(example, type | Media):
        return "dataclass"
    return "value"


def take_example(example: Any) -> tuple[str, str | None, Any]:
    """(kind of container, name of the dataclass, copy) of an example. The copy of a dataclass instance is a dict."""
    container = container_of(example)
    if container == "dict":
        return container, None, take_dict(example, "", 0)
    if container == "dataclass":
        lacking = [field.name for field in dataclasses.fields(example) if not hasattr(example, field.name)]
        if lacking:
            raise SchemaError(f"column {lacking[0]!r}: the {type(example).__name__} has no value there: set it, or give it a default")
        fields = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
        return container, type(example).__qualname__, take_dict(fields, "", 0)
    if container == "value":
        return container, None, take_value(example, "value", 0)
    values = [take_value(value, str(i), 1) for i, value in enumerate(example)]
    return container, None, values if container == "list" else tuple(values)


def take_value(value: Any, path: str, depth: int) -> Any:
    """A copy of the value of a column, or of a key of a dict in one. What nobody can store is passed on: inference refuses it."""
    if type(value) in PLAIN:
        return value
    if type(value) is np.ndarray:
        return take_array(value, path)
    if isinstance(value, dict):
        return take_dict(value, path + ".", depth)
    if isinstance(value, Media):
        return take_media(value, path)
    if (given := as_dict(value)) is not None:
        return take_dict(given, path + ".", depth)
    if isinstance(value, list | tuple):
        return take_object(value, path, depth)
    if isinstance(value, np.ndarray):
        return take_array(value, path)
    if isinstance(value, Path) or is_pil(value):
        data, kind = to_media(value, Field(path, MediaType(None)), path)
        return Media(bytes(data), kind)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return take_tensor(value, path)
    return take_word(value, path)


def take_dict(value: dict[Any, Any], prefix: str, depth: int) -> dict[str, Any]:
    """A copy of a dict whose values are columns, or would be if every example's dict had the same keys."""
    if depth > MAX_NESTING:
        raise LimitError(f"{in_column(prefix)}dicts are nested deeper than {MAX_DEPTH}, or one of them contains itself")
    copy = {}
    for key, inner in value.items():
        name = key if type(key) is str else take_key(key, prefix)
        if type(inner) in PLAIN:
            copy[name] = inner
        elif isinstance(inner, dict):  # here, not in take_value: one Python frame for each level
            copy[name] = take_dict(inner, f"{prefix}{name}.", depth + 1)
        else:
            copy[name] = take_value(inner, prefix + name, depth + 1)
    check_keys_differ(copy, value, prefix)
    return copy


def take_object(value: Any, path: str, depth: int) -> Any:
    """A copy of a list, a tuple or a dict that is an object, or of anything in one."""
    if not isinstance(value, dict | list | tuple):
        if value is np.ma.masked:
            return None
        if isinstance(value, np.ndarray):
            return value.copy()
        if (given := as_dict(value)) is None:
            return take_word(value, path)
        value = given
    if depth > MAX_NESTING:
        raise SchemaError(f"{in_column(path)}lists and dicts are nested deeper than {MAX_NESTING}, or one of them contains itself")
    if isinstance(value, tuple) and (given := as_dict(value)) is not None:
        value = given
    if isinstance(value, dict):
        copy = {}
        for key, inner in value.items():
            name = str.__str__(key) if isinstance(key, str) else key  # packing refuses other keys
            copy[name] = inner if type(inner) in PLAIN else take_object(inner, path, depth + 1)
        check_keys_differ(copy, value, path)
        return copy
    items = []
    for inner in value:
        items.append(inner if type(inner) in PLAIN else take_object(inner, path, depth + 1))
    return items if isinstance(value, list) else tuple(items)


def check_keys_differ(copy: dict[Any, Any], value: dict[Any, Any], path: str) -> None:
    if len(copy) != len(value):
        raise SchemaError(f"{in_column(path)}two keys are subclasses of str with the same text")


def take_word(value: Any, path: str) -> Any:
    """Buffers as bytes, and subclasses as what they are based on; anything else as it is."""
    if isinstance(value, bytearray | memoryview):
        return take_buffer(value, path)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if isinstance(value, np.generic):
        return value  # np.float64 is a float, too, but given back as it is
    if isinstance(value, int):
        return int.__pos__(value)  # the value itself: a subclass may have an __int__ of its own
    if isinstance(value, float):
        return float.__pos__(value)
    return complex.__pos__(value) if isinstance(value, complex) else value


def take_key(key: Any, prefix: str) -> str:
    if not isinstance(key, str):
        raise SchemaError(f"{in_column(prefix)}key {key!r} is a {type(key).__name__}; keys must be str")
    return str.__str__(key)


def take_buffer(data: Any, path: str) -> bytes:
    try:
        view = memoryview(data)
        if view.nbytes > MAX_BYTES:
            too_large(view.nbytes, path)
        return view.tobytes()
    except (TypeError, ValueError) as cause:  # no buffer, or a released one
        if isinstance(cause, LimitError):
            raise
        raise SchemaError(f"column {path!r}: expected bytes, got a {type(data).__name__}: {cause}") from cause


def take_array(array: np.ndarray, path: str) -> np.ndarray | None:
    if array.dtype.kind == "T" and not all(type(text) is str for text in array.ravel().tolist()):
        raise SchemaError(f"column {path!r}: expected an array, got one of text with a missing value: store value.tolist(), or put a text there")
    if array.dtype.kind in "UTO":  # of text, or of what inference refuses
        if array.dtype.kind == "O" and not (array.size and set(map(type, array.flat)) == {str}):
            check_dtype(array, path)
        return array.copy()
    check_dtype(array, path)
    if array.nbytes > MAX_BYTES:
        too_large(array.nbytes, path)
    if array.size == 0 and max(array.shape) > MAX_LENGTH:
        raise LimitError(f"column {path!r}: an array of shape {array.shape} has a dimension longer than {MAX_LENGTH}")
    if isinstance(array, np.ma.MaskedArray):
        hidden = int(np.count_nonzero(np.ma.getmaskarray(array)))
        if hidden == array.size > 0:
            return None
        if hidden:
            rule = "a mask inside a value cannot be stored: fill it (array.filled(0)), or give None for the complete value"
            raise SchemaError(f"column {path!r}: expected an array, got a masked array of {array.dtype}, {hidden} of {array.size} elements masked: {rule}")
    return np.array(array, order="C")


def take_tensor(tensor: Any, path: str) -> Any:
    """A torch tensor as an array of its own memory; one of bfloat16, which NumPy does not have, stays a tensor."""
    try:
        if tensor.nbytes > MAX_BYTES:
            too_large(tensor.nbytes, path)
        copy = tensor.detach().to("cpu", copy=True)
        array = to_numpy(copy)
    except (TypeError, ValueError, RuntimeError) as cause:  # sparse, without data, or of a dtype that NumPy lacks
        if isinstance(cause, LimitError):
            raise
        what = f"a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise SchemaError(f"column {path!r}: expected a dense tensor of a dtype that NumPy has, or bfloat16; got {what}: {cause}") from cause
    return copy if is_bfloat16(tensor) else array if array.flags.c_contiguous else array.copy()


def take_media(media: Media, path: str) -> Media:
    data, kind = media.data, media.type
    if not isinstance(kind, str):
        raise SchemaError(f"column {path!r}: expected the type of Media as str, such as 'image/jpeg', got a {type(kind).__name__}")
    try:
        kind.encode()
    except UnicodeEncodeError:
        raise SchemaError(f"column {path!r}: the type of Media, {kind[:40]!r}, has a lone surrogate, which UTF-8 cannot hold") from None
    if type(data) is bytes and type(kind) is str and type(media) is Media:
        if len(data) > MAX_BYTES:
            too_large(len(data), path)
        return media
    return Media(take_buffer(data, path), str.__str__(kind))


def check_dtype(array: np.ndarray | np.generic, path: str) -> None:
    if array.dtype in NAMES or is_bfloat16(array):
        return
    try:
        dtype_name(array.dtype)
    except SchemaError as cause:
        raise SchemaError(f"column {path!r}: {cause}") from None


def too_large(size: int, path: str) -> NoReturn:
    raise LimitError(f"column {path!r}: a value of {size} bytes is larger than 1 GiB: store it in parts")


def in_column(path: str) -> str:
    """The beginning of an error's text; of a path that may be as long as dicts are deep."""
    path = path.removesuffix(".")
    return f"column {path if len(path) <= 80 else path[:77] + '...'!r}: " if path else ""


def size_of(taken: Any) -> int:
    """About how many bytes a taken example holds."""
    kind = type(taken)
    if kind is str or kind is bytes:
        return len(taken)
    if kind is dict or kind is list or kind is tuple:
        total = 16
        for value in taken.values() if kind is dict else taken:
            total += size_of(value)
        return total
    if kind is Media:
        return len(taken.data)
    return int(getattr(taken, "nbytes", 16))
