"""A schema from the first examples, merged one by one. Pure: looks at values, stores nothing.

Rules: int and float mix to float; a missing key or None makes a column nullable; arrays of one shape are fixed, else ragged; dicts
whose keys are the same in every example become structs, other dicts, lists and datetimes become objects. What is known of one column is in seen_values.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.copies import MAX_NESTING, take_example
from atlas_ds.schema.describe import describe
from atlas_ds.schema.objects import pack
from atlas_ds.schema.schema import MAX_LEAVES, Schema, build_schema
from atlas_ds.schema.seen_values import ABSENT, NOTHING, Seen, dtype_of_list, field_of, merge, not_packed

TOO_DEEP = f"lists and dicts are nested too deeply for the stack that Python has left here (the limit is otherwise {MAX_NESTING} levels)"


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """What is known of examples. given: their kind of container; container: the schema's, which is "value" where lists differ in length."""

    given: str
    container: str
    name: str | None
    columns: dict[str, Seen]


def infer_schema(examples: Iterable[Any]) -> Schema:
    """The schema of some examples (at least one). Errors name the example's number (from 0) and the column."""
    whole = None
    for number, example in enumerate(examples):
        try:
            whole = merge_example(whole, *take_example(example))
        except (SchemaError, LimitError) as error:
            raise type(error)(f"example {number}: {error}") from error
        except RecursionError:
            raise SchemaError(f"example {number}: {TOO_DEEP}") from None
    if whole is None:
        raise SchemaError("inferring a schema needs at least one example")
    return build_schema(whole.container, [field_of(name, seen) for name, seen in whole.columns.items()], whole.name)


def merge_example(whole: Whole | None, given: str, name: str | None, taken: Any) -> Whole:
    """One more example, as copies.py returns it: the same Whole where nothing is new. SchemaError where it cannot fit."""
    if whole is None:
        return first_example(given, name, taken)
    if given != whole.given:
        raise SchemaError(f"expected a {whole.given} like example 0, got {describe(taken)}")
    if whole.container == "value":
        columns = merge_row(whole.columns, {"value": taken}, NOTHING)
    elif given in ("tuple", "list"):
        if len(taken) != len(whole.columns):
            return other_length(whole, taken)
        columns = merge_row(whole.columns, dict(zip(whole.columns, taken, strict=True)), NOTHING)
    else:
        columns = merge_row(whole.columns, taken, ABSENT)
    return whole if columns is whole.columns else dataclasses.replace(whole, columns=columns)


def first_example(given: str, name: str | None, taken: Any) -> Whole:
    if given == "value" or (given == "list" and not taken):
        return Whole(given, "value", None, merge_row({}, {"value": taken}, NOTHING))
    if not taken:
        what = "an empty tuple" if given == "tuple" else "an empty dict" if given == "dict" else "a dataclass without fields"
        raise SchemaError(f"{what} cannot be the first example, as it names no columns: pass schema=, or begin with an example that has values")
    if len(taken) > MAX_LEAVES:
        raise LimitError(f"an example of {len(taken)} columns: the limit is {MAX_LEAVES} (put many small values in one array)")
    row = taken if isinstance(taken, dict) else {str(i): value for i, value in enumerate(taken)}
    return Whole(given, given, name, merge_row({}, row, NOTHING))


def merge_row(columns: dict[str, Seen], row: dict[str, Any], start: Seen) -> dict[str, Seen]:
    """Columns with one more row: the same dict where nothing is new. start: what is known of a column before its first value."""
    changed = {}
    new = 0
    for name, value in row.items():
        old = columns.get(name)
        now = merge(old or start, value, name)
        if now is not old:
            changed[name] = now
            new += old is None
    if len(row) - new != len(columns):
        for name, old in columns.items():
            if not old.null and name not in row:
                changed[name] = dataclasses.replace(old, null=True)
    return columns | changed if changed else columns


def is_number_of(seen: Seen, dtype: str) -> bool:
    """Whether all values of a column so far could be numbers of a list of a dtype."""
    beyond = (seen.kind == "int" and seen.fact[1]) or (seen.kind == "float" and seen.fact)  # an int that 64 bits do not hold
    return seen.kind == {"int64": "int", "float64": "float", "bool": "bool"}.get(dtype) and not seen.null and not beyond


def other_length(whole: Whole, taken: Sequence[Any]) -> Whole:
    """An example of another length than those before: lists become objects."""
    got = f"expected a {whole.given} of {len(whole.columns)} values like example 0, got one of {len(taken)}"
    if whole.given == "tuple":
        raise SchemaError(f"{got}: tuples must all have the same length, at least 1 (use lists where it varies)")
    dtype = dtype_of_list(list(taken)) if taken else None
    if dtype is not None and all(is_number_of(seen, dtype) for seen in whole.columns.values()):
        return Whole(whole.given, "value", None, {"value": Seen("list", fact=dtype)})
    for name, seen in whole.columns.items():
        if (what := not_packed(seen, name)) is not None:
            raise SchemaError(f"{got}: lists that differ in length are stored as objects, and {what} before this example cannot be part of one")
    try:
        pack(taken, "value")
    except SchemaError as cause:
        raise SchemaError(f"{got}: lists that differ in length are stored as objects, and this one cannot be one: {cause}") from cause
    return Whole(whole.given, "value", None, {"value": Seen("object")})
