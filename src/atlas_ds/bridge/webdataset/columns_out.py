"""Which member each column of a dataset becomes in a WebDataset tar: its field name, and how a
value is written. It writes nothing itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from atlas_ds.bridge.values.by_extension import kind_name
from atlas_ds.bridge.webdataset.names_out import field_fault
from atlas_ds.bridge.webdataset.written_values import Change, change_of
from atlas_ds.errors import SchemaError
from atlas_ds.schema.media import Media as MediaValue
from atlas_ds.schema.media import sniff
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Array, ClassLabel, Date, Field, Media, Scalar, Struct, Tensor, Timestamp, Type, Word

# A nature of types -> the extension it gets, and the kinds in by_extension.py that restore it if the column's own name is such an extension.
NATURAL = {
    "text": ("txt", {"text"}),
    "integer": ("cls", {"number"}),
    "tree": ("json", {"json", "msgpack", "cbor"}),
    "packed": ("mp", {"msgpack", "cbor"}),  # a tree with bytes in it; this extension is decoded by both webdataset and wids
    "array": ("npy", {"npy"}),
    "arrays": ("npz", {"npz"}),
    "bytes": ("", {"bytes"}),
    "media": ("", {"media"}),
}
_MEDIA = {
    "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif", "image/bmp": "bmp", "image/tiff": "tif",
    "image/avif": "avif", "image/heic": "heic", "image/jp2": "jp2", "image/x-portable-pixmap": "ppm", "image/x-portable-graymap": "pgm",
    "image/x-portable-bitmap": "pbm", "audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/flac": "flac", "audio/ogg": "ogg",
    "audio/aac": "aac", "audio/mp4": "m4a", "video/mp4": "mp4", "video/webm": "webm", "video/x-matroska": "mkv", "video/quicktime": "mov",
    "video/x-msvideo": "avi",
}  # fmt: skip

@dataclass(frozen=True, slots=True)
class Column:
    """field: the member's name after the key, None if it depends on a value's media type. nullable:
    None has no member. change: makes the written value, where that is not the value itself.

    given: the user named the field, so a value that does not fit is an error. raw: the value is a
    file's bytes, which are written unchanged under any field name, so that an imported tar is
    exported unchanged.
    """

    name: str
    field: str | None
    nullable: bool
    given: bool = False
    raw: bool = False
    change: Change | None = None


def plan_columns(
    schemas: Iterable[Schema], skipped: Collection[str | None], fields: Mapping[str, str], packed: frozenset[str], where: str
) -> dict[str, Column]:
    """The columns by name, over all datasets of a concat, which must agree. packed: columns with
    values that JSON cannot hold."""
    schemas = list(schemas)
    columns: dict[str, Column] = {}
    for schema in schemas:
        for field in schema.fields:
            if field.name in skipped:
                continue
            column = _column(field, fields.get(field.name), field.name in packed, where)
            known = columns.setdefault(field.name, column)
            if known.field != column.field:
                raise SchemaError(
                    f"{where}: column {field.name!r} would be {known.field or 'media'!r} and {column.field or 'media'!r}, since the datasets' types"
                    f' differ; choose one: fields={{"{field.name}": ...}}'
                )
            everywhere = all(field.name in other.names for other in schemas)
            columns[field.name] = replace(known, nullable=known.nullable or column.nullable or not everywhere)
    if unknown := sorted(set(fields) - set(columns)):
        raise SchemaError(f"{where}: fields= names {unknown[0]!r}, which is not a column to write; the columns are {', '.join(columns)}")
    taken: dict[str, str] = {}
    for column in columns.values():
        if column.field is not None:
            check_field(column.name, column.field, taken, where)
    if not columns:
        raise SchemaError(f"{where}: the key is the only column, and a tar cannot hold a sample without a field; add a column")
    return columns


def check_field(column: str, field: str, taken: dict[str, str], where: str) -> None:
    """SchemaError if the field cannot be read back unchanged, or belongs to another column.
    Records it as taken."""
    if fault := field_fault(field):
        raise SchemaError(f"{where}: column {column!r}, field {field!r}: {fault}")
    other = taken.setdefault(field, column)
    if other != column:
        raise SchemaError(f'{where}: columns {other!r} and {column!r} would both be the field {field!r}; rename one: fields={{"{column}": ...}}')


def media_field(column: str, value: object, where: str) -> str:
    """The field of a column whose name is not a media extension: by the type of the value."""
    if not isinstance(value, MediaValue):
        raise SchemaError(f"{where}: a {type(value).__name__}, where media was expected")
    known = _MEDIA.get(value.type) if sniff(value.data) else None
    return f"{column}.{known or 'bin'}"


def _column(field: Field, given: str | None, packed: bool, where: str) -> Column:
    column = _member(field, given, packed, where)
    return replace(column, change=change_of(field.type, kind_name(column.field or "")))


def _member(field: Field, given: str | None, packed: bool, where: str) -> Column:
    nullable = field.nullable
    if given is not None:
        return Column(field.name, given, nullable, given=True)
    nature = _nature(field.type, field.name, where)
    if nature == "bytes":
        return Column(field.name, field.name, nullable, raw=True)
    if nature == "tree" and packed:
        nature = "packed"
    extension, kinds = NATURAL[nature]
    own = kind_name(field.name)
    if own in kinds:
        return Column(field.name, field.name, nullable, raw=nature == "media")
    if nature == "media":
        return Column(field.name, None, nullable, raw=True)
    return Column(field.name, f"{field.name}.{extension}", nullable)


def _nature(kind: Type, name: str, where: str) -> str:
    match kind:
        case Word("str") | Timestamp() | Date():
            return "text"
        case ClassLabel():
            return "integer"
        case Word("bytes"):
            return "bytes"
        case Word():
            return "tree"
        case Scalar(dtype):
            return "array" if dtype.startswith("complex") else "integer" if dtype.startswith(("int", "uint")) else "tree"
        case Array(dtype, _, in_list) | Tensor(dtype, _, in_list):
            return "tree" if in_list and not dtype.startswith("complex") else "array"
        case Media():
            return "media"
        case Struct(fields):
            return _nature_of_struct(fields, name, where)


def _nature_of_struct(fields: tuple[Field, ...], name: str, where: str) -> str:
    inner = [_nature(field.type, f"{name}.{field.name}", where) for field in fields]
    if not {"array", "arrays", "media"} & set(inner):
        return "packed" if {"bytes", "packed"} & set(inner) else "tree"
    if set(inner) == {"array"} and not any(field.nullable for field in fields):
        return "arrays"
    raise SchemaError(
        f"{where}: column {name!r} is a dict of arrays or media and other things, for which there is no extension;"
        " make them separate columns, or leave the column out: AtlasDataset(path, columns=[...])"
    )
