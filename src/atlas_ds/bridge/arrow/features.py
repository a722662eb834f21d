"""Writes Hugging Face's features of columns, so that datasets.load_dataset("parquet", ...) shows
images, labels and arrays.

types.py reads such features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from atlas_ds.schema.types import Array, ClassLabel, Field, Media, Struct

_KINDS = {"image": "Image", "audio": "Audio", "video": "Video"}
MAX_ARRAY = 5  # Hugging Face has Array2D to Array5D


def features_json(schema: Any, fields: Sequence[Field], media_types: Mapping[str, str | None]) -> dict[str, Any]:
    """The features of the columns of an Arrow schema. media_types: the type of each media column
    whose field has none.

    Hugging Face uses them only for columns whose types are exactly its own, which all allow nulls.
    """
    return {field.name: _feature(field, column.type, media_types.get(field.name)) for field, column in zip(fields, schema, strict=True)}


def array_mark(field: Field) -> dict[str, str] | None:
    """The metadata that marks an Arrow column as Hugging Face's Array2D to Array5D: without it,
    the lists would be read as lists."""
    if not isinstance(field.type, Array) or not 2 <= len(field.type.shape) <= MAX_ARRAY:
        return None
    name = f"datasets.features.features.Array{len(field.type.shape)}DExtensionType"
    return {"ARROW:extension:name": name, "ARROW:extension:metadata": json.dumps([field.type.shape, field.type.dtype])}


def _feature(field: Field, kind: Any, media_type: str | None) -> Any:
    match field.type:
        case Media(own):
            name = _KINDS.get((own or media_type or "").partition("/")[0])
            return {"_type": name} if name else _of_arrow(kind)
        case ClassLabel(names):
            return {"names": list(names), "_type": "ClassLabel"}
        case Array(dtype, shape) if 2 <= len(shape) <= MAX_ARRAY:
            return {"shape": list(shape), "dtype": dtype, "_type": f"Array{len(shape)}D"}
        case Struct(fields):
            return {inner.name: _feature(inner, kind.field(inner.name).type, None) for inner in fields}
        case _:
            return _of_arrow(kind)


def _of_arrow(kind: Any) -> Any:
    """The feature of a plain Arrow type. A list of one feature means a list of any length; this
    notation is older than List, and is still read."""
    import pyarrow.types as t

    if t.is_struct(kind):
        return {field.name: _of_arrow(field.type) for field in kind}
    if t.is_fixed_size_list(kind):
        return {"feature": _of_arrow(kind.value_type), "length": kind.list_size, "_type": "Sequence"}
    if t.is_list(kind):
        return [_of_arrow(kind.value_type)]
    names = {"halffloat": "float16", "float": "float32", "double": "float64", "date32[day]": "date32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
