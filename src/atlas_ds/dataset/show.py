"""Shows a dataset: the columns in a repr, and the first rows as a table in notebooks. Bounded, escaped, and never an error."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from atlas_ds.schema.describe import describe
from atlas_ds.schema.labels import named, names_of
from atlas_ds.schema.media import Media, inline
from atlas_ds.schema.schema import Schema
from atlas_ds.text import printable

ROWS = 5
COLUMNS = 12
TEXT = 100
IMAGE_BYTES = 64 << 10  # of an image that is shown
TABLE_BYTES = 1 << 20  # of all images of a table


def columns_text(schema: Schema, most: int = 8) -> str:
    """Names and types of the first columns, on one line."""
    shown = [f"{printable(field.name, 40)}: {printable(str(field.type), 60)}" for field in schema.fields[:most]]
    left = len(schema.fields) - most
    return ", ".join(shown) + (f", ... {left:,} more" if left > 0 else "")


def html_of(dataset: Any, title: str = "") -> str:
    """The first rows of a dataset as HTML. Of a remote one only its repr: showing it reads nothing over the network."""
    head = f"<div><code>{escape(printable(title or repr(dataset), 1000))}</code></div>"
    if getattr(dataset, "_is_remote", False):
        return f"{head}<div>(rows are read over a network, so none are shown)</div>"
    rows = [row_of(dataset, i) for i in range(min(ROWS, len(dataset)))]
    if not rows:
        return head
    names = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    left, budget, labels = len(names) - COLUMNS, [TABLE_BYTES], labels_of(dataset)
    names = names[:COLUMNS]
    heads = "".join(f"<th>{escape(printable(str(name), TEXT))}</th>" for name in names) + (f"<th>... {left:,} more</th>" if left > 0 else "")
    lines = "".join(f"<tr><th>{i}</th>{cells(row, names, left > 0, budget, labels)}</tr>" for i, row in enumerate(rows))
    more = f"<div>... {len(dataset) - len(rows):,} more rows</div>" if len(dataset) > len(rows) else ""
    return f"{head}<table><thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table>{more}"


def row_of(dataset: Any, i: int) -> Any:
    """A row as a dict of its columns, or the error that reading it raised."""
    try:
        row = dataset[i]
    except Exception as error:  # of damage, or of any function that was mapped: the other rows are shown all the same
        return error
    if isinstance(row, dict):
        return row
    if isinstance(row, tuple | list):
        return {str(k): value for k, value in enumerate(row[: COLUMNS + 1])}
    return {"value": row}


def labels_of(dataset: Any) -> dict[str, tuple[str, ...]]:
    """The names of the classes of its columns of labels; none where map() may have changed them."""
    schema = getattr(dataset, "schema", None)
    return names_of(schema) if isinstance(schema, Schema) and getattr(dataset, "function", None) is None else {}


def cells(row: Any, names: Sequence[Any], more: bool, budget: list[int], labels: dict[str, tuple[str, ...]]) -> str:
    if isinstance(row, Exception):
        return f'<td colspan="{max(1, len(names) + more)}">{escape(printable(f"{type(row).__name__}: {row}", 2 * TEXT))}</td>'
    values = {name: named(row[name], labels[name]) if name in labels and type(row[name]) is int else row[name] for name in names if name in row}
    return "".join(f"<td>{cell(values[name], budget) if name in values else ''}</td>" for name in names) + ("<td></td>" if more else "")


def cell(value: Any, budget: list[int]) -> str:
    """One value as HTML. budget: bytes of images that may still be shown."""
    if isinstance(value, Media):
        shown = inline(value, min(IMAGE_BYTES, budget[0]))
        budget[0] -= len(value.data) if shown.startswith("<img") else 0
        return shown
    if isinstance(value, str):
        return escape(printable(value, TEXT))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{memoryview(value).nbytes:,} bytes"
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex):
        return escape(printable(str(value), TEXT))
    return escape(printable(describe(value), TEXT))
