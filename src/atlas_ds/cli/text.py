"""Text for people: ratios, aligned tables, shortened values. It does not read datasets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np

from atlas_ds.schema.media import sniff
from atlas_ds.sizes import format_size
from atlas_ds.text import printable

MAX_TEXT = 100
MAX_LINE = 4000
FEW_VALUES = 6
OPTION_IN_PYTHON = re.compile(r"""storage_options=\{["'](\w+)["']: "?([^}"]*)"?\}""")


def ratio(raw: int | float, stored: int | float) -> str:
    """How many times smaller: 2.41x; a dash where nothing is stored."""
    return f"{raw / stored:.2f}x" if stored else "-"


def duration(seconds: float) -> str:
    """A time in a suitable unit: 850 ns, 1.6 us, 45 ms, 3.2 s, 4:05 min."""
    for limit, scale, unit in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "us"), (1.0, 1e3, "ms"), (100.0, 1.0, "s")):
        if seconds < limit:
            return f"{seconds * scale:.3g} {unit}"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Aligned columns; the first row is the heading. `right`: numbers of the columns aligned to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def one_line(error: BaseException) -> str:
    """An error's message as one line of limited length."""
    text = whole_line(error)
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..."


def as_options(message: str) -> str:
    """A message that names the argument storage_options, for users of the command."""
    shown = OPTION_IN_PYTHON.sub(lambda found: f"--storage-option {found[1]}={found[2].lower() if found[2] in ('True', 'False') else found[2]}", message)
    return re.sub("storage_options=?", "--storage-option", shown)


def whole_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(message.split()) or type(error).__name__


def brief(value: object) -> str:
    """A value on one line: truncated text; dtype, shape and a few values of arrays; length and kind of bytes."""
    shown = brief_json(value)
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {'x'.join(map(str, value.shape)) or 'scalar'} {_few(value)}"
    if isinstance(shown, dict) and "bytes" in shown and not isinstance(value, Mapping):
        return f"{format_size(len(_data(value) or b''))} of {shown['type'] or 'bytes'}"
    if isinstance(value, str):
        text = json.dumps(value[:MAX_TEXT], ensure_ascii=False)
        return text if len(value) <= MAX_TEXT else f"{text[:-1]}...\" ({len(value):,} characters)"
    text = json.dumps(shown, ensure_ascii=False) if not isinstance(value, np.generic) else str(value)
    return text if len(text) <= 2 * MAX_TEXT else f"{text[: 2 * MAX_TEXT]}..."


def brief_json(value: object) -> object:
    """The same as a JSON value: arrays and bytes are described instead of printed."""
    if isinstance(value, np.ndarray):
        values = [str(v) if value.dtype.kind == "c" else v for v in value.ravel()[:FEW_VALUES].tolist()]
        return {"dtype": str(value.dtype), "shape": list(value.shape), "values": [brief_json(v) for v in values]}
    if isinstance(value, np.generic):
        return brief_json(value.item())
    data = _data(value)
    if data is not None:
        return {"bytes": len(data), "type": getattr(value, "type", None) or sniff(data)}
    if isinstance(value, Mapping):
        return {str(key): brief_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [brief_json(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return str(value) if isinstance(value, float) and not np.isfinite(value) else value
    return str(value)


def _data(value: object) -> bytes | memoryview | None:
    """The bytes of bytes-like values and of media, else None."""
    found = getattr(value, "data", None) if hasattr(value, "type") else value
    if isinstance(found, (bytes, bytearray)):
        return bytes(found)
    return found.cast("B") if isinstance(found, memoryview) else None


def _few(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    shown = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in array.ravel()[:FEW_VALUES].tolist())
    return f"[{shown}{' ...' if array.size > FEW_VALUES else ''}]"
