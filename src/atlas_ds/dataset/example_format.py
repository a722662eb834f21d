"""Converts examples before they are returned: decodes images, applies a format, then the function of map()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from atlas_ds.dataset.images import ImageDecoder
from atlas_ds.dataset.number_dtypes import Dtypes, dtypes_of
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.tensors import to_torch

Format = Literal["python", "numpy", "torch"]


@dataclass(frozen=True, slots=True)
class Chain:
    """Calls one function after another."""

    first: Callable[[Any], Any]
    second: Callable[[Any], Any]

    def __call__(self, example: Any) -> Any:
        return self.second(self.first(example))


@dataclass(frozen=True, slots=True)
class Converter:
    """Converts the example of ds[i]: decodes images, applies a format, then the user's function. dtypes: of the numbers, for a format."""

    format: Format
    function: Callable[[Any], Any] | None
    images: ImageDecoder | None
    dtypes: Dtypes | None

    def __call__(self, example: Any) -> Any:
        if self.images is not None:
            example = self.images(example)
        if self.dtypes is not None:
            example = self.dtypes(example)
        if self.format == "torch":
            example = to_torch(example)
        elif self.format == "numpy":
            example = to_numpy_format(example)
        return example if self.function is None else self.function(example)


def make_convert(schema: Schema, format: Format, function: Callable[[Any], Any] | None, images: ImageDecoder | None) -> Converter | None:
    if format == "python" and function is None and images is None:
        return None
    return Converter(format, function, images, None if format == "python" else dtypes_of(schema))


def to_numpy_format(example: Any) -> Any:
    """Numbers as NumPy scalars; the rest as it is."""
    if isinstance(example, dict):
        return {name: to_numpy_format(value) for name, value in example.items()}
    if isinstance(example, tuple):
        return tuple(map(to_numpy_format, example))
    if isinstance(example, bool | int | float | complex):
        return np.asarray(example)[()]
    return example
