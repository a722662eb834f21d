"""The split and the columns that a table's paths give: train-0.csv, and Hive's folders such as
year=2020. It opens no file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from atlas_ds.bridge.files.cell_types import is_integer
from atlas_ds.bridge.files.splits import split_of
from atlas_ds.errors import SchemaError
from atlas_ds.schema.specs import nullable

NULL = "__HIVE_DEFAULT_PARTITION__"
_HIVE = re.compile(r"([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table. values: columns from its folders' names, as text; NULL is Hive's name
    for a missing value."""

    path: Path
    split: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)


def table_files(root: Path, files: Sequence[PurePosixPath]) -> list[TableFile]:
    """The files (relative to `root`) of one table, in their order. They have splits only if
    every name gives one; see `split_of`."""
    splits: list[str | None] = [split_of(file) for file in files]
    if None in splits:
        splits = [None] * len(files)
    return [TableFile(root / file, split, hive_values(root, file)) for file, split in zip(files, splits, strict=True)]


def hive_values(root: Path, file: PurePosixPath) -> dict[str, str]:
    """The columns of folders like year=2020, outermost first; names and values are
    percent-decoded, as Hive writes them."""
    values: dict[str, str] = {}
    for part in file.parts[:-1]:
        found = _HIVE.fullmatch(part)
        if found is None:
            continue
        name, value = unquote(found[1]), unquote(found[2])
        if name in values:
            raise SchemaError(f"{root / file}: two of its folders are called {name}=...; rename one of them")
        values[name] = value
    return values


def folder_columns(root: Path, files: Sequence[TableFile], taken: Mapping[str, object]) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Types of the columns from folder names, and their values file by file. They are integers
    only if every value can be written back unchanged."""
    names = list(files[0].values)
    for file in files:
        if set(file.values) != set(names):
            name = next(iter(set(file.values) ^ set(names)))
            has, lacks = (file, files[0]) if name in file.values else (files[0], file)
            raise SchemaError(
                f"{lacks.path}: is not in a folder {name}=..., but {has.path.relative_to(root)} is; move it, or convert the folders separately"
            )
    clash = next((name for name in names if name in taken), None)
    if clash is not None:
        raise SchemaError(f"{files[0].path}: has a column {clash!r}, and is in a folder {clash}=...; rename the folder or the column")
    specs: dict[str, object] = {}
    values: list[dict[str, object]] = [{} for _ in files]
    for name in names:
        texts = [None if file.values[name] == NULL else file.values[name] for file in files]
        integers = any(texts) and all(text is None or is_integer(text) for text in texts)
        specs[name] = nullable("int64" if integers else "str") if None in texts else "int64" if integers else "str"
        for row, text in zip(values, texts, strict=True):
            row[name] = int(text) if integers and text is not None else text
    return specs, values
