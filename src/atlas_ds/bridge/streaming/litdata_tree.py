"""The structure of LitData's samples: its data_spec as a tree of dicts, lists and leaves, and
its types. It reads no files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from atlas_ds.errors import CorruptError, LimitError, UnsupportedError
from atlas_ds.schema.specs import make_field, nullable, struct
from atlas_ds.schema.types import MAX_DEPTH

_DICTS = ("builtins.dict", "collections.OrderedDict")
_LISTS = ("builtins.list", "builtins.tuple")
_SCALARS = {"str": "str", "int": "int64", "float": "float64", "bool": "bool", "bytes": "bytes"}


@dataclass(frozen=True, slots=True)
class Node:
    """A leaf (no keys, not a container), a dict, or a list, whose keys are "0", "1", ..."""

    kind: str = "leaf"
    keys: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()


def parse_tree(text: object, place: str) -> Node:
    """The tree of a data_spec, which is JSON in a string: [1, node]."""
    try:
        version, root = json.loads(text) if isinstance(text, str) else (None, None)
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptError(f"{place}: data_spec is not JSON of a pair: {error}; restore the file") from error
    if version != 1:
        raise UnsupportedError(f"{place}: data_spec {str(text)[:60]!r} is not of version 1, the only one that is read; write the dataset again")
    return _node(root, place, 0)


def _node(item: Any, place: str, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise LimitError(f"{place}: data_spec is nested deeper than {MAX_DEPTH}; flatten the samples")
    if not isinstance(item, dict) or not isinstance(item.get("children_spec"), list):
        raise CorruptError(f"{place}: data_spec has a node without a list children_spec; restore the file")
    kind, children = item.get("type"), tuple(_node(child, place, depth + 1) for child in item["children_spec"])
    if kind is None and not children:
        return Node()
    if kind in _LISTS:
        return Node("tuple" if kind == _LISTS[1] else "list", tuple(map(str, range(len(children)))), children)
    if kind not in _DICTS:
        raise UnsupportedError(f"{place}: samples contain a {kind}; only dicts, lists and tuples are read; write it as one of these")
    keys = _keys(item.get("context"), place)
    if len(keys) != len(children) or len(set(keys)) < len(keys):
        raise CorruptError(f"{place}: data_spec has {len(children)} values for the keys {', '.join(keys)}; restore the file")
    return Node("dict", keys, children)


def _keys(context: object, place: str) -> tuple[str, ...]:
    try:
        keys = json.loads(context) if isinstance(context, str) else context
    except ValueError as error:
        raise CorruptError(f"{place}: data_spec has keys that are not JSON: {error}; restore the file") from error
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnsupportedError(f"{place}: the keys of samples are {str(keys)[:60]}; only text is read; write the samples with such keys")
    return tuple(keys)


def leaf_names(node: Node, prefix: str = "") -> Iterator[str]:
    """The path of each leaf, in the order of data_format: "box.x"; "value" where a sample is one
    leaf."""
    if node.kind == "leaf":
        yield prefix or "value"
    for key, child in zip(node.keys, node.children, strict=True):
        yield from leaf_names(child, f"{prefix}.{key}" if prefix else key)


def build(node: Node, leaves: Iterator[Any], *, top: bool = True) -> Any:
    """A sample made of its leaves. Inside a sample a list becomes a dict with the keys "0", "1",
    ..., since each value has its own type."""
    if node.kind == "leaf":
        return next(leaves)
    values = [build(child, leaves, top=False) for child in node.children]
    if top and node.kind != "dict":
        return tuple(values) if node.kind == "tuple" else values
    return dict(zip(node.keys, values, strict=True))


def build_spec(node: Node, specs: Iterator[Any], *, top: bool = True) -> Any:
    """The Atlas schema of a tree, given the types of its leaves."""
    if node.kind == "leaf":
        return next(specs)
    if not node.children:
        return "object"
    values = [build_spec(child, specs, top=False) for child in node.children]
    if top and node.kind != "dict":
        return tuple(values) if node.kind == "tuple" else values
    fields = dict(zip(node.keys, values, strict=True))
    return fields if top else struct(fields)


def inner_lists(node: Node, prefix: str = "") -> Iterator[str]:
    """The paths of lists and tuples inside a sample."""
    for key, child in zip(node.keys, node.children, strict=True):
        path = f"{prefix}{key}"
        if child.kind in ("list", "tuple") and child.children:
            yield path
        yield from inner_lists(child, f"{path}.")


def typed_schema(types: Sequence[object], keys: Sequence[str], place: str) -> dict[str, object]:
    """The Atlas schema of rows in Arrow tables, from the types that LitData found in all rows of
    each folder. `keys`: the keys of the first row, in order."""
    columns: dict[str, list[object]] = {}
    for found in types:
        if not isinstance(found, dict) or not found:
            raise CorruptError(f"{place}: types {str(found)[:60]!r} is not a dict of columns, which the rows need; restore the file")
        for name, kind in found.items():
            columns.setdefault(name, []).append(_typed(kind, 0))
    order = [*(key for key in keys if key in columns), *(name for name in columns if name not in keys)]
    return {name: _agreed(columns[name], missing=len(columns[name]) < len(types)) for name in order}


def _agreed(specs: list[object], *, missing: bool) -> object:
    fields = [make_field("", spec) for spec in specs]
    if any(field.type != fields[0].type for field in fields):
        return nullable("object")
    return nullable(fields[0]) if missing or any(field.nullable for field in fields) else specs[0]


def _typed(kind: Any, depth: int) -> object:
    found = kind if isinstance(kind, dict) else {"type": kind}
    name, fields = found.get("type"), found.get("fields")
    spec = _SCALARS.get(str(name))
    if name == "struct" and isinstance(fields, dict) and fields and depth < MAX_DEPTH:
        inner: object = struct({str(key): _typed(value, depth + 1) for key, value in fields.items()})
        return nullable(inner) if found.get("optional") else inner
    if spec is None:
        return nullable("object")
    return nullable(spec) if found.get("optional") else spec


def optional_columns(types: object) -> Sequence[str]:
    """The columns that some rows lack."""
    if not isinstance(types, dict):
        return ()
    return [str(name) for name, kind in types.items() if isinstance(kind, dict) and kind.get("optional")]
