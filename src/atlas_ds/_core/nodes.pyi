"""The types of nodes.pyx, which says what each thing does. Kept by hand; tests/shape/test_package.py compares the names."""

from typing import final

from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Field

@final
class Node:
    name: str
    field: Field

@final
class Slice:
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Projection:
    leaf_count: int
    schema: Schema
    def __init__(self, schema: Schema, positions: dict[int, int]) -> None: ...
