"""The first examples of a writer, which its schema is inferred from. They are copies, and wait until the schema is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from atlas_ds.dataset.draft import Draft
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Word

MAX_ROWS = 1024  # examples that the schema is inferred from, or fewer if they hold
MAX_BYTES = 16 << 20  # this many bytes (roughly)
Waiting = list[tuple[Any, str | None]]
"""Examples, each with its split."""


class FirstExamples:
    """Collects the first examples of a writer and infers their schema."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._waiting: Waiting = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_complete(self) -> bool:
        """Whether no more examples are needed to infer the schema."""
        return len(self._waiting) >= MAX_ROWS or self._draft.bytes >= MAX_BYTES

    @property
    def splits(self) -> set[str | None]:
        """The split of the last example, if there is one: all have a split, or none has."""
        return {split for _, split in self._waiting[-1:]}

    def add(self, example: Any, split: str | None, check: Callable[[Any, FirstExamples], None]) -> None:
        """Adds a copy of an example. check(copy, self) may raise: then nothing is added."""
        before = copy(self._draft)
        try:
            taken = self._draft.add(example)
            check(taken, self)
        except BaseException:
            self._draft = before
            raise
        self._waiting.append((taken, split))

    def schema(self) -> Schema:
        """The schema of the examples so far."""
        return self._draft.schema()

    def release(self) -> Waiting:
        """Returns the examples, which are kept no longer."""
        waiting, self._waiting = self._waiting, []
        return waiting


def valid_columns(names: Sequence[str], example: Any, schema: Schema) -> list[str]:
    """Returns those of some columns that are not None in an example."""
    values = example if isinstance(example, tuple | list) else [example]
    by_name = example if isinstance(example, dict) else dict(zip(schema.names, values, strict=False))
    return [name for name in names if by_name.get(name) is not None]


def untyped_columns(names: Sequence[str], schema: Schema) -> list[str]:
    """Returns those of some columns that were None in all examples."""
    return [name for name in names if schema[name].type == Word("object")]
