"""Makes one table of the batches of several Parquet or Arrow files: merges their schemas and
plans the conversion of their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from atlas_ds.bridge.arrow.converting import UNLABELLED, Feature, Place, is_numbers, label_of
from atlas_ds.bridge.arrow.merge import check_schema, merge_features, merge_own, merge_schemas
from atlas_ds.bridge.arrow.python_values import bare, bare_array
from atlas_ds.bridge.arrow.types import features_of, plan
from atlas_ds.bridge.files.table import Table
from atlas_ds.bridge.source import Example, Refused
from atlas_ds.errors import SchemaError

SAME = (frozenset(("string", "large_string", "string_view")), frozenset(("binary", "large_binary", "binary_view")))  # equal as values


@dataclass(frozen=True, slots=True)
class Look:
    """The result of the first pass over a file. nulls: columns with a null. holes: places with
    nulls inside lists of numbers."""

    path: Path
    schema: Any
    rows: int
    nulls: set[str]
    holes: set[Place]


def arrow_table(looks: Sequence[Look], batches: Callable[[Path], Iterator[Any]]) -> Table:
    """The rows of the files. batches: starts a new pass over one of them. Files without rows do
    not influence the columns."""
    for look in looks:
        check_schema(look.path, look.schema)
    filled = [look for look in looks if look.rows]
    if not filled:
        raise SchemaError(f"{looks[0].path}: columns, but no rows; nothing to convert")
    schema = merge_schemas([(look.path, look.schema) for look in filled])
    features = merge_features([(look.path, features_of(look.schema)) for look in filled])
    own = merge_own([(look.path, look.schema) for look in filled])
    nulls = {name for look in filled for name in look.nulls} | _maybe_unlabelled(filled, features)
    holes = {place for look in filled for place in look.holes}
    planned = plan(looks[0].path, schema, set(schema.names) - nulls, holes=holes, own=own, features=features)

    def rows(number: int) -> Iterator[Example | Refused]:
        first = 0
        for batch in batches(looks[number].path) if looks[number].rows else ():
            yield from planned.rows(batch, str(looks[number].path), first)
            first += batch.num_rows

    def place(number: int, row: int) -> str:
        return f"{looks[number].path}: row {row}"

    notes = planned.notes + tuple(_merged_notes(schema, filled))
    return Table(tuple(look.rows for look in looks), rows, place, planned.schema, notes)


def _maybe_unlabelled(looks: Sequence[Look], features: Mapping[str, Feature]) -> set[str]:
    """Columns of class labels which some file does not mark as such, so that the first pass did
    not look for its examples without a label."""
    marked = [features_of(look.schema) for look in looks]
    return {name for name, feature in features.items() if feature.get("_type") == "ClassLabel" and not all(name in one for one in marked)}


def _merged_notes(schema: Any, looks: Sequence[Look]) -> Iterator[str]:
    """Notes on columns whose types differ between files."""
    for column in schema:
        kinds = {str(bare(look.schema.field(column.name).type)) for look in looks} - {"null"}
        if len(kinds) > 1 and not any(alike.issuperset(kinds) for alike in SAME):
            yield f"{column.name}: {' and '.join(sorted(kinds))} in different files, read as {bare(column.type)}"


class Nulls(NamedTuple):
    """in_column: the column has nulls. holes: places with nulls inside lists of numbers."""

    in_column: bool
    holes: Set[Place]


def nulls_of(name: str, array: Any, feature: Feature) -> Nulls:
    """Whether a column has nulls (a class label also: examples without a label), and where there
    are nulls inside its lists of numbers."""
    import pyarrow.compute as pc

    plain = bare_array(array)
    unlabelled = label_of(plain.type, feature) is not None and pc.any(pc.equal(plain, UNLABELLED)).as_py()
    return Nulls(bool(plain.null_count or unlabelled), set(_holes((name,), plain)))


def _holes(place: Place, plain: Any) -> Iterator[Place]:
    import pyarrow.types as t

    if t.is_struct(plain.type):
        for field, inner in zip(plain.type, plain.flatten(), strict=True):
            yield from _holes((*place, field.name), bare_array(inner))
    elif is_numbers(plain.type) and plain.flatten().null_count:
        yield place
