"""A schema in the making, for as long as the writer does not know it: examples are copied, merged and proven to be storable when they are given."""

from __future__ import annotations

from typing import Any

from atlas_ds import _core
from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.copies import size_of, take_example
from atlas_ds.schema.infer import TOO_DEEP, Whole, merge_example
from atlas_ds.schema.schema import MAX_LEAVES, Schema, build_schema
from atlas_ds.schema.seen_values import field_of
from atlas_ds.schema.types import Field, Struct, own_leaves

SCRATCH_BYTES = 1 << 20  # rows that were tried are forgotten when they hold this many bytes
FEW = 16  # columns: up to this many more than the example has, all are looked at


class Draft:
    """A schema in the making: each example is copied and merged when it is given.

    Every example that add() accepted can be stored with schema(), now and after any number of later ones. bytes: about how many bytes the
    copies hold together; count: how many there are. The draft itself keeps none of them.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.count = 0
        self._whole: Whole | None = None
        self._fields: dict[str, Field] = {}
        self._leaves = 0
        self._schema: Schema | None = None  # of these fields, once it was asked for
        self._scratch: _core.RowBuilder | None = None  # of these fields, where it is worth keeping

    def add(self, example: Any) -> Any:
        """Takes one example and returns its copy, which a row is made of. SchemaError or LimitError names the column, what was expected and what
        came; the draft is then as it was before."""
        try:
            given, name, taken = take_example(example)
            whole = merge_example(self._whole, given, name, taken)
            fields, leaves = (self._fields, self._leaves) if whole is self._whole else self._widened(whole)
            scratch = self._prove(whole, fields, taken)
            size = size_of(taken)
        except RecursionError:
            raise SchemaError(TOO_DEEP) from None
        if fields is not self._fields:
            self._fields, self._leaves, self._schema = fields, leaves, None
        self._whole, self._scratch = whole, scratch
        self.count += 1
        self.bytes += size
        return taken

    def schema(self) -> Schema:
        """The schema of what was added so far (at least one example)."""
        if self._whole is None:
            raise SchemaError("no example was added, so there is no schema")
        if self._schema is None:
            self._schema = build_schema(self._whole.container, list(self._fields.values()), self._whole.name)
        return self._schema

    def _widened(self, whole: Whole) -> tuple[dict[str, Field], int]:
        """The fields of what is known now, the same dict where none differs, and how many leaves they have."""
        old = self._whole
        other = old is None or old.container != whole.container
        known = {} if old is None or other else old.columns
        fields = {} if other else self._fields
        seen = {name: field_of(name, seen) for name, seen in whole.columns.items() if seen is not known.get(name)}
        changed = {name: field for name, field in seen.items() if field != fields.get(name)}
        if not changed:
            return fields, self._leaves
        leaves = sum(map(count_leaves, changed.values())) - sum(count_leaves(fields[name]) for name in changed if name in fields)
        leaves += 0 if other else self._leaves
        if leaves > MAX_LEAVES:
            raise LimitError(f"{leaves} columns with this example, after flattening; the limit is {MAX_LEAVES} (put many small values in one array)")
        return fields | changed, leaves

    def _prove(self, whole: Whole, fields: dict[str, Field], taken: Any) -> _core.RowBuilder | None:
        """Takes the example apart as the shard's writer will, into columns that nobody reads; returns them if they can serve again.

        An example with few of many columns is tried with these alone, so that examples with new keys each time stay cheap: the others are null.
        """
        scratch = self._scratch if fields is self._fields else None
        every = scratch is not None or not isinstance(taken, dict) or len(fields) <= 2 * len(taken) + FEW
        if scratch is None:
            tried = fields.values() if every else [fields[name] for name in taken or list(fields)[:1]]
            scratch = _core.RowBuilder(build_schema(whole.container, list(tried), whole.name), SCRATCH_BYTES)
        full = scratch.append(taken)
        return None if not every else _core.RowBuilder(scratch.schema, SCRATCH_BYTES) if full else scratch


def count_leaves(field: Field) -> int:
    inner = sum(map(count_leaves, field.type.fields)) if isinstance(field.type, Struct) else 0
    return len(own_leaves(field)) + inner
