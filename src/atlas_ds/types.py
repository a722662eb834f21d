"""The types of columns, as users name them: atlas.types.array("uint8", (28, 28)), .tensor, .media, .struct, .nullable."""

from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Array, Field, Media, Scalar, Struct, Tensor, Word, array, media, nullable, struct, tensor

__all__ = ["Array", "Field", "Media", "Scalar", "Schema", "Struct", "Tensor", "Word", "array", "media", "nullable", "struct", "tensor"]
