"""The types of columns, as users write them: `atlas.types.array("uint8", (28, 28))`.

A type in a schema is one of these, or

- `"bool"`, `"int8"` to `"int64"`, `"uint8"` to `"uint64"`, `"float16"`, `"bfloat16"`, `"float32"`,
  `"float64"`, `"complex64"`, `"complex128"`: one number. `int`, `float`, `bool` and NumPy dtypes
  mean theirs
- `"str"`, `"bytes"`, `"object"`: text, bytes, any MessagePack value
- `"date"`: a day, `"timestamp"`: a moment. `datetime.date`, `datetime.datetime`,
  `"datetime64[us]"`, `list[int]` and `list[numpy.float32]` mean theirs
- `int | None`: what `nullable("int64")` is
- a dict of names to types: a struct
"""

from atlas_ds.schema.schema import Schema
from atlas_ds.schema.specs import array, class_label, date, media, nullable, struct, tensor, timestamp
from atlas_ds.schema.specs import list_of as list
from atlas_ds.schema.types import Array, ClassLabel, Date, Field, Media, Scalar, Struct, Tensor, Timestamp, Word

__all__ = [
    "Array", "ClassLabel", "Date", "Field", "Media", "Scalar", "Schema", "Struct", "Tensor", "Timestamp", "Word", "array", "class_label", "date", "list",
    "media", "nullable", "struct", "tensor", "timestamp",
]  # fmt: skip
