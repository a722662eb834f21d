"""Plans how Arrow columns become Atlas columns, for Parquet, Arrow files and Hugging Face. It opens
no file of a table.

NumPy scalars keep a column's width (float32 stays float32); lists of numbers stay lists of that
width; Hugging Face's Image, Audio and Video become media, its Array2D to Array5D arrays, its
ClassLabel class labels. converting.py makes the values; exported_types.py restores what Atlas
exported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.converting import Convert, Feature, Place, array_of, converter, is_media, is_numbers, label_of, number_lists
from atlas_ds.bridge.arrow.exported_types import own_fields, restorer
from atlas_ds.bridge.arrow.merge import check_schema, fit
from atlas_ds.bridge.arrow.moments import is_zone, moment_type
from atlas_ds.bridge.arrow.numpy_lists import stored_array
from atlas_ds.bridge.arrow.python_values import bare, is_list, is_text, is_text_like
from atlas_ds.bridge.source import Example, Refused
from atlas_ds.errors import AtlasError, CorruptError, SchemaError
from atlas_ds.schema.specs import array, list_of, make_field, media, nullable, struct, tensor
from atlas_ds.schema.types import Field
from atlas_ds.text import listed

ROWS = 1024  # of a batch, converted at a time


@dataclass(frozen=True, slots=True)
class Plan:
    """How the batches of one Arrow schema, or of one that merges with it, become examples."""

    types: tuple[Any, ...]
    columns: tuple[tuple[str, Convert], ...]
    schema: dict[str, object]
    notes: tuple[str, ...]

    def rows(self, batch: Any, place: str = "", first: int = 0) -> Iterator[Example | Refused]:
        """The examples of a batch. A row that cannot be an example is Refused, and reading
        continues. place, first: the file, and the batch's first row."""
        for start in range(0, batch.num_rows, ROWS):
            piece = batch.slice(start, ROWS)
            try:
                values = self._values(piece)
            except AtlasError:
                for row in range(piece.num_rows):
                    yield self._row(piece.slice(row, 1), f"{place}: row {first + start + row}" if place else f"row {first + start + row}")
                continue
            names = [name for name, _ in self.columns]
            for example in zip(*values, strict=True):
                yield dict(zip(names, example, strict=True))

    def _values(self, batch: Any) -> list[list[Any]]:
        import pyarrow as pa

        found = []
        for kind, (name, convert) in zip(self.types, self.columns, strict=True):
            try:
                found.append(convert(fit(batch.column(name), kind)))
            except AtlasError as error:
                raise type(error)(f"column {name}: {error}") from error
            except UnicodeDecodeError as error:
                raise CorruptError(f"column {name}: text that is not UTF-8: {error}; write the column again, or as binary") from error
            except (pa.ArrowException, ValueError, OverflowError, TypeError, KeyError, OSError) as error:
                raise SchemaError(f"column {name}: {error}; write the column again") from error
        return found

    def _row(self, batch: Any, place: str) -> Example | Refused:
        try:
            return {name: values[0] for (name, _), values in zip(self.columns, self._values(batch), strict=True)}
        except AtlasError as error:
            return Refused(type(error)(f"{place}: {error}"))


def plan(
    place: Path | str,
    schema: Any,
    full: set[str],
    *,
    holes: Set[Place] = frozenset(),
    read_files: bool = False,
    own: Mapping[str, Field] | None = None,
    features: Mapping[str, Feature] | None = None,
) -> Plan:
    """`full`: columns without a null. `holes`: places with nulls inside lists. `read_files`:
    media with only a path is read from that file, else refused. `own`, `features`: what Atlas
    and Hugging Face recorded about the columns, if it is not in the schema itself."""
    check_schema(place, schema)
    features = features_of(schema) if features is None else features
    own = own_fields(schema, str(place)) if own is None else own
    columns: list[tuple[str, Convert]] = []
    specs: dict[str, object] = {}
    for column in schema:
        feature, field, hole = features.get(column.name, {}), own.get(column.name), (column.name,) in holes
        if field is not None:
            columns.append((column.name, _of_storage(restorer(field, "exported by Atlas"))))
            specs[column.name] = field
        else:
            columns.append((column.name, converter(column, feature, read_files=read_files, hole=hole)))
            spec = _spec(column.type, feature, (column.name,), holes)
            specs[column.name] = spec if column.name in full else nullable(spec)
    notes = tuple(note for column in schema if column.name not in own for note in _notes(column, features.get(column.name, {}), holes))
    return Plan(tuple(schema.types), tuple(columns), specs, notes)


def _of_storage(convert: Convert) -> Convert:
    return lambda array: convert(stored_array(array))


def features_of(schema: Any) -> dict[str, Feature]:
    """Hugging Face's features of the columns, from a schema's metadata; empty if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: _checked(feature) for name, feature in features.items() if isinstance(feature, dict)}


def _checked(feature: Feature) -> Feature:
    """A feature, without invalid names."""
    names = feature.get("names")
    right = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return feature if right else {key: value for key, value in feature.items() if key != "names"}


def _spec(kind: Any, feature: Feature, place: Place, holes: Set[Place]) -> object:
    """The Atlas type of an Arrow type; "object" if there is no narrower one. It must agree with
    `converter`."""
    import pyarrow.types as t

    found = array_of(kind, feature)
    kind = bare(kind)
    if found is not None:
        dtype, shape = found
        sizes = [n for n in shape if n is not None]
        return array(dtype, sizes) if len(sizes) == len(shape) else tensor(dtype, len(shape))
    if is_media(kind, feature):
        return media()
    if (label := label_of(kind, feature)) is not None:
        return label
    if t.is_integer(kind) or t.is_floating(kind):
        name = str(kind.to_pandas_dtype().__name__)
        return Field("", make_field("", name).type, numpy=name not in ("int64", "float64"))
    return _plain_spec(kind, place, holes)


def _plain_spec(kind: Any, place: Place, holes: Set[Place]) -> object:
    import pyarrow.types as t

    if t.is_struct(kind) and kind.num_fields:
        return struct({field.name: _nested_spec(field, (*place, field.name), holes) for field in kind})
    if is_numbers(kind) and place not in holes:
        return list_of(kind.value_type.to_pandas_dtype(), kind.list_size if t.is_fixed_size_list(kind) and kind.list_size else None)
    if (moment := moment_type(kind)) is not None:
        return moment
    if t.is_boolean(kind):
        return "bool"
    if is_text(kind) or is_text_like(kind):
        return "str"
    return "bytes" if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind) else "object"


def _nested_spec(column: Any, place: Place, holes: Set[Place]) -> object:
    """Inside a struct, numbers are Python's, and keep their width."""
    import pyarrow.types as t

    kind = bare(column.type)
    number = t.is_integer(kind) or t.is_floating(kind)
    spec = str(kind.to_pandas_dtype().__name__) if number else _plain_spec(kind, place, holes)
    return nullable(spec) if column.nullable or t.is_struct(kind) else spec


def _notes(column: Any, feature: Feature, holes: Set[Place]) -> Iterator[str]:
    """Notes on what the conversion of a column changes."""
    if array_of(column.type, feature) is not None:
        return
    if is_media(column.type, feature):
        yield f"{column.name}: the bytes are kept, the names in its field 'path' are not"
    elif is_media(column.type, {"_type": "Image"}):
        yield f"{column.name}: has bytes and a path like media of Hugging Face, but is not marked as media: stored as a dict"
    unknown = (column.metadata or {}).get(b"ARROW:extension:name")
    if unknown and bare(column.type) == column.type:
        yield f"{column.name}: {unknown.decode(errors='replace')} is stored as {column.type}"
    if label_of(bare(column.type), feature) is None and (inside := _inner_names(feature)):
        yield f"{column.name}: class labels inside lists and dicts become integers, without the names {listed(inside)}"
    for place in number_lists(column.type, (column.name,)):
        if place in holes:
            yield f"{'.'.join(place)}: there are nulls inside its lists; such lists are stored as objects"
    for name, kind, packed in _inner_types(column.name, column.type, False):
        note = _note(kind, packed)
        if note is not None:
            yield f"{name}: {note}"


def _inner_names(feature: Any) -> list[str]:
    """The names of the first class label in a feature."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return [str(name) for name in feature["names"]]
    inner = feature.values() if isinstance(feature, dict) else feature if isinstance(feature, list) else ()
    return next((names for value in inner if (names := _inner_names(value))), [])


def _inner_types(name: str, kind: Any, packed: bool) -> Iterator[tuple[str, Any, bool]]:
    """A type and the types inside it, with the path to each, and whether it is part of an object."""
    import pyarrow.types as t

    yield name, kind, packed
    plain = bare(kind)
    if t.is_struct(plain):
        for field in plain:
            yield from _inner_types(f"{name}.{field.name}", field.type, packed)
    elif t.is_map(plain):
        yield from _inner_types(f"{name}[keys]", plain.key_type, True)
        yield from _inner_types(f"{name}[values]", plain.item_type, True)
    elif is_list(plain):
        yield from _inner_types(f"{name}[]", plain.value_type, True)


def _note(kind: Any, packed: bool) -> str | None:
    import pyarrow as pa
    import pyarrow.types as t

    plain = bare(kind)
    if is_text_like(plain):
        return f"{plain} becomes text, since Atlas has no such type"
    if t.is_date(plain) and packed:
        return f"{plain} becomes text, since lists and maps are stored as objects, which cannot hold dates"
    if t.is_map(plain):
        return f"maps become {'dicts' if is_text(bare(plain.key_type)) else 'lists of [key, value], since the keys are not text'}"
    if t.is_interval(plain):
        return f"{plain} becomes a dict of months, days and nanoseconds"
    if t.is_timestamp(plain) and plain.tz not in (None, "", "UTC", "+00:00"):
        if packed:
            return f"times are kept exactly, in UTC; the time zone {plain.tz} is dropped"
        if not is_zone(plain.tz):
            return f"times are kept exactly, in UTC; the time zone {plain.tz} is dropped, since it is not known on this machine (pip install tzdata)"
    return f"{kind} is stored as {plain}" if isinstance(kind, pa.BaseExtensionType) else None
