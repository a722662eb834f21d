"""Class labels of rows that are appended to a dataset: a class keeps its name, whatever its number was in the source. New classes come
after those that the dataset has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from atlas_ds.errors import SchemaError
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.specs import make_field
from atlas_ds.schema.types import ClassLabel, Field, Struct
from atlas_ds.text import listed

Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Joined:
    """schema: the dataset's, with the new classes. change: turns an example of the source into one of the dataset; None: they are the
    same. notes: on the new classes."""

    schema: Schema
    change: Change | None
    notes: tuple[str, ...]


def join_labels(place: str, schema: Schema, given: object) -> Joined:
    """Joins the classes of a dataset and of a source's schema. SchemaError names a column of labels that the dataset has as something
    else: their numbers would lose their meaning."""
    if isinstance(given, Schema):
        others = {field.name: field for field in given.fields}
    else:
        others = {str(name): make_field(str(name), spec) for name, spec in given.items()} if isinstance(given, Mapping) else {}
    notes: list[str] = []
    fields, changes = _joined(place, schema.fields, others, "", notes)
    if changes and schema.container not in ("dict", "dataclass"):
        raise SchemaError(f"{place}: the classes of column {next(iter(changes))!r} differ; convert into a separate dataset")
    return Joined(replace(schema, fields=fields), partial(_changed, changes) if changes else None, tuple(notes))


def _joined(place: str, fields: tuple[Field, ...], given: Mapping[str, Field], prefix: str, notes: list[str]) -> tuple[tuple[Field, ...], dict[str, Change]]:
    out, changes = [], dict[str, Change]()
    for field in fields:
        mine, its = field.type, given[field.name].type if field.name in given else None
        path = prefix + field.name
        if isinstance(mine, Struct) and isinstance(its, Struct):
            inner, inner_changes = _joined(place, mine.fields, {one.name: one for one in its.fields}, path + ".", notes)
            mine = Struct(inner)
            if inner_changes:
                changes[field.name] = partial(_changed, inner_changes)
        elif isinstance(its, ClassLabel):
            if not isinstance(mine, ClassLabel):
                cure = "cast one of them to the other's type, or convert into a separate dataset"
                raise SchemaError(f"{place}: column {path!r} is {mine}, but the rows to append have {its}: {cure}")
            new = [name for name in its.names if name not in mine.names]
            mine = ClassLabel((*mine.names, *new))
            if new:
                notes.append(f"{path}: {len(new)} new {'class' if len(new) == 1 else 'classes'}, after the existing ones: {listed(new, 10)}")
            if mine.names[: len(its.names)] != its.names:
                changes[field.name] = partial(_renumbered, {number: mine.names.index(name) for number, name in enumerate(its.names)})
        out.append(replace(field, type=mine))
    return tuple(out), changes


def _renumbered(numbers: Mapping[int, int], value: Any) -> Any:
    return numbers.get(value, value) if isinstance(value, int) else value


def _changed(changes: Mapping[str, Change], row: Any) -> Any:
    """A dict with some of its values changed; anything else, and None, as it is."""
    if not isinstance(row, dict):
        return row
    return {name: changes[name](value) if name in changes else value for name, value in row.items()}
