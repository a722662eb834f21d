"""What the names of a table's files say: the split they belong to, and the columns of Hive's folders (year=2020). It opens no file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from atlas_ds.bridge.files.cells import is_whole
from atlas_ds.bridge.files.splits import split_of
from atlas_ds.errors import SchemaError
from atlas_ds.schema.types import nullable

NULL = "__HIVE_DEFAULT_PARTITION__"
_HIVE = re.compile(r"([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table. values: columns that its folders say, as text; NULL is Hive's mark for none."""

    path: Path
    split: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)


def table_files(root: Path, files: Sequence[PurePosixPath]) -> list[TableFile]:
    """The files (relative to `root`) of one table, in their order. They have splits only if every one says its own; see `split_of`."""
    splits: list[str | None] = [split_of(file) for file in files]
    if None in splits:
        splits = [None] * len(files)
    return [TableFile(root / file, split, hive_values(root, file)) for file, split in zip(files, splits, strict=True)]


def hive_values(root: Path, file: PurePosixPath) -> dict[str, str]:
    """The columns that folders like year=2020 say, outermost first; names and values are percent-decoded, as Hive writes them."""
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
    """Types of the columns that folders say, and their values file by file. Numbers only where every value comes back as it is written."""
    names = list(files[0].values)
    for file in files:
        if set(file.values) != set(names):
            name = next(iter(set(file.values) ^ set(names)))
            has, lacks = (file, files[0]) if name in file.values else (files[0], file)
            raise SchemaError(
                f"{lacks.path}: lies in no folder {name}=..., but {has.path.relative_to(root)} does; move it, or convert the folders apart"
            )
    clash = next((name for name in names if name in taken), None)
    if clash is not None:
        raise SchemaError(f"{files[0].path}: has a column {clash!r}, and lies in a folder {clash}=...; rename the folder or the column")
    specs: dict[str, object] = {}
    values: list[dict[str, object]] = [{} for _ in files]
    for name in names:
        texts = [None if file.values[name] == NULL else file.values[name] for file in files]
        whole = any(texts) and all(text is None or is_whole(text) for text in texts)
        specs[name] = nullable("int64" if whole else "str") if None in texts else "int64" if whole else "str"
        for row, text in zip(values, texts, strict=True):
            row[name] = int(text) if whole and text is not None else text
    return specs, values
