"""Finds the images in an example, and decodes them in place. A single image is decoded in the schema room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from atlas_ds.schema.media import decode_image
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Field, Media, Struct

Decode = Literal["pil", "numpy", "torch"]
Tree = Mapping[Any, Any]
"""Key in an example -> Tree of a struct, or the path of a media column."""


@dataclass(frozen=True, slots=True)
class ImageDecoder:
    """Decodes the images of an example, in place. Audio and video are not changed."""

    mode: Decode
    tree: Tree | str

    def __call__(self, example: Any) -> Any:
        return self._decoded(example, self.tree)

    def _decoded(self, value: Any, tree: Tree | str) -> Any:
        if value is None:
            return None
        if isinstance(tree, str):
            return decode_image(value.data, self.mode, where=f"column {tree!r}") if value.type.startswith("image/") else value
        if isinstance(value, tuple):
            return tuple(self._decoded(inner, tree[i]) if i in tree else inner for i, inner in enumerate(value))
        for key, inner in tree.items():
            value[key] = self._decoded(value[key], inner)
        return value


def image_decoder(schema: Schema, mode: Decode) -> ImageDecoder | None:
    """Returns None if the schema has no media."""
    tree = tree_of(schema.fields, "", by_number=schema.container in ("tuple", "list"))
    if not tree:
        return None
    return ImageDecoder(mode, tree["value"] if schema.container == "value" else tree)


def tree_of(fields: tuple[Field, ...], prefix: str, *, by_number: bool = False) -> dict[Any, Any]:
    tree: dict[Any, Any] = {}
    for number, field in enumerate(fields):
        key = number if by_number else field.name
        path = f"{prefix}{field.name}"
        if isinstance(field.type, Media):
            tree[key] = path
        elif isinstance(field.type, Struct) and (inner := tree_of(field.type.fields, f"{path}.")):
            tree[key] = inner
    return tree
