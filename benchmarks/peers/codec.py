"""One compact encoding of examples for the peers that store bytes only.

A record is a header of int64 values and lengths, then the arrays, then the strings. The
functions are generated for the schema, so that no generic loop runs for each record.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from benchmarks.schema import Example, Schema, nest


class Codec:
    """encode(example), decode(record) and columns(records) for one schema."""

    def __init__(self, schema: Schema) -> None:
        self.leaves = list(schema.leaves())
        self._ints = [n for n, (_, f) in enumerate(self.leaves) if f.kind == "int"]
        self._arrays = [n for n, (_, f) in enumerate(self.leaves) if f.kind == "array"]
        self._varying = [n for n, (_, f) in enumerate(self.leaves) if f.kind in ("str", "bytes")]
        kinds = {self.leaves[n][1].kind for n in self._varying}
        if kinds == {"str", "bytes"}:
            raise ValueError("this codec takes str or bytes columns, not both")
        self._text = kinds == {"str"}
        lengths = self._varying[:-1]
        self._header = struct.Struct("<" + "q" * len(self._ints) + "I" * len(lengths))
        self._generate(schema)

    def _generate(self, schema: Schema) -> None:
        scope: dict[str, Any] = {
            "pack": self._header.pack,
            "unpack": self._header.unpack_from,
            "ndarray": np.ndarray,
        }
        for n in self._arrays:
            scope[f"shape{n}"] = self.leaves[n][1].shape
            scope[f"dtype{n}"] = np.dtype(self.leaves[n][1].dtype)
        exec(self._encoder() + self._splitter(schema), scope)  # noqa: S102
        self.encode = scope["encode"]
        self.decode = scope["decode"]
        self._split = scope["split"]

    def _encoder(self) -> str:
        lines = ["def encode(example):"]
        for n, (path, _) in enumerate(self.leaves):
            lines.append(f"    v{n} = example" + "".join(f"[{part!r}]" for part in path))
        head = [f"v{n}" for n in self._ints] + [f"len(v{n})" for n in self._varying[:-1]]
        parts = [f"pack({', '.join(head)})"] + [f"v{n}.tobytes()" for n in self._arrays]
        if self._text:
            parts.append("(" + " + ".join(f"v{n}" for n in self._varying) + ").encode()")
        else:
            parts += [f"v{n}" for n in self._varying]
        lines.append(f"    return b''.join(({', '.join(parts)},))")
        return "\n".join(lines) + "\n"

    def _splitter(self, schema: Schema) -> str:
        head = [f"v{n}" for n in self._ints] + [f"n{n}" for n in self._varying[:-1]]
        body = [f"    {', '.join(head)}, = unpack(record)"] if head else []
        start = self._header.size
        for n in self._arrays:
            body.append(f"    v{n} = ndarray(shape{n}, dtype{n}, record, {start})")
            start += self.leaves[n][1].size * np.dtype(self.leaves[n][1].dtype).itemsize
        if self._text:
            body.append(f"    tail = str(record[{start}:], 'utf-8')")
        source, begin = ("tail", "0") if self._text else ("record", str(start))
        for n in self._varying[:-1]:
            body.append(f"    e{n} = {begin} + n{n}")
            body.append(f"    v{n} = {self._whole(f'{source}[{begin}:e{n}]')}")
            begin = f"e{n}"
        if self._varying:
            body.append(f"    v{self._varying[-1]} = {self._whole(f'{source}[{begin}:]')}")
        names = {path: f"v{n}" for n, (path, _) in enumerate(self.leaves)}
        flat = ", ".join(names.values())
        code = "\n".join(body)
        return (
            f"def split(record):\n{code}\n    return ({flat},)\n"
            f"def decode(record):\n{code}\n    return {_literal(nest(names))}\n"
        )

    def _whole(self, expression: str) -> str:
        return expression if self._text else f"bytes({expression})"

    def columns(self, records: list[bytes]) -> dict[str, Any]:
        """Columns of many records; fixed columns are views of one new array."""
        if not self._varying:
            rows = np.frombuffer(b"".join(records), self._row_dtype())
            return {path[0]: rows[f"f{n}"] for n, (path, _) in enumerate(self.leaves)}
        values: dict[tuple[str, ...], Any] = {}
        for (path, field), column in zip(self.leaves, zip(*map(self._split, records))):
            if field.kind == "int":
                values[path] = np.array(column, np.int64)
            else:
                values[path] = np.stack(column) if field.kind == "array" else list(column)
        return nest(values)

    def _row_dtype(self) -> np.dtype:
        parts: list[tuple] = [(f"f{n}", "<i8") for n in self._ints]
        for n in self._arrays:
            parts.append((f"f{n}", self.leaves[n][1].dtype, self.leaves[n][1].shape))
        return np.dtype(parts)

    def examples(self, records: list[bytes]) -> list[Example]:
        """Decode many records."""
        return list(map(self.decode, records))


def _literal(tree: dict[str, Any]) -> str:
    parts = [
        f"{key!r}: {_literal(value) if isinstance(value, dict) else value}"
        for key, value in tree.items()
    ]
    return "{" + ", ".join(parts) + "}"
