"""Which columns of a dataset are read."""

from __future__ import annotations

from collections.abc import Sequence

from atlas_ds.schema.schema import Schema


def as_names(columns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        raise TypeError(f"columns={columns!r}: give a list of names: columns=[{columns!r}]")
    if not hasattr(columns, "__iter__"):
        raise TypeError(f"columns={columns!r:.80}: give a list of names")
    return tuple(columns)


def select_columns(schema: Schema, columns: tuple[str, ...] | None) -> Schema:
    if columns is None:
        return schema
    if not columns:
        raise ValueError("columns=[]: name at least one column")
    if schema.container == "value":
        raise ValueError("columns= is for examples with named columns; these are single values")
    for name in columns:
        try:
            schema[name]
        except KeyError as cause:
            raise KeyError(cause.args[0]) from None
    return Schema(tuple(schema[name] for name in columns), schema.container, schema.name)
