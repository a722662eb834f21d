"""The import law: imports go down only, optional packages have one home each, and `import atlas_ds` stays light.

cli -> bridge, loader, catalog -> order, dataset -> shard -> schema, store -> errors, forks, progress, _core, _tar -> text
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
PACKAGE = SRC / "atlas_ds"
LEVELS = (
    ("text",),
    ("errors", "forks", "progress", "_core", "_tar", "catlas"),
    ("schema", "store"),
    ("shard",),
    ("order", "dataset"),
    ("types",),
    ("bridge", "loader", "catalog"),
    ("atlas_ds",),  # the package's face: what users import
    ("cli",),
    ("__main__",),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
FACE = {"atlas_ds", "types"}

# Upward imports that are allowed, each inside a function, each with its reason.
EXCEPTIONS = {
    ("dataset/reader.py", "loader"): 'with_format("torch") asks the one file that imports torch',
    ("dataset/concat.py", "loader"): "of datasets with that format, likewise",
    ("dataset/workers.py", "loader"): "what DataLoader's default_collate takes, it knows",
    ("schema/pictures.py", "loader"): 'decoding to "torch" asks it, too',
}
# Where an optional package may be imported. Two homes: the reason.
HOMES = {
    "torch": {"loader/torch.py"},
    "PIL": {"schema/pictures.py"},
    "simplejpeg": {"schema/pictures.py"},
    "pyarrow": {  # as a source and target of rows (types, files, export), for codecs nobody else has, and as a format to compare with
        *(f"bridge/arrow/{name}.py" for name in (
            "converting", "errors", "exported_types", "exporting", "features", "files", "huggingface", "merge", "numpy_lists", "parquet",
            "python_values", "tables", "types",
        )),
        "bridge/compression/blocks.py",
        "cli/peers.py",
    },
    "matplotlib": {"cli/plot.py"},
    "cbor2": {"bridge/values/nested.py"},
    # streams in and out, pieces, dictionaries
    "zstandard": {"bridge/compression/reading.py", "bridge/compression/writing.py", "bridge/compression/blocks.py", "bridge/atlas_v1/files.py"},
    "lz4": {"bridge/compression/reading.py"},
    "obstore": {"store/remote.py"},
    "lmdb": {"cli/peers.py"},
    "h5py": {"cli/peers.py"},
    "datasets": {"bridge/arrow/huggingface.py", "cli/peers.py"},
    "xxhash": {"bridge/streaming/mds.py"},
    "array_record": {"cli/peers.py"},
    "bagz": {"cli/peers.py"},
}
REQUIRED = {"numpy", "msgpack", "rfc8785"}  # dependencies of pyproject.toml


class Import(NamedTuple):
    file: str
    line: int
    module: str  # "atlas_ds.schema.types", "numpy"
    at_top: bool


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(), str(path))
    inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(function)}
    file = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(tree):
        at_top = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, at_top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute here"
            module = node.module or ""
            if module == "atlas_ds":  # `from atlas_ds import _core` means the room _core
                for alias in node.names:
                    yield Import(file, node.lineno, f"atlas_ds.{alias.name}", at_top)
            else:
                yield Import(file, node.lineno, module, at_top)


ALL = [found for path in sorted(PACKAGE.rglob("*.py")) for found in imports_of(path)]


def room_of_file(file: str) -> str:
    first = file.split("/")[0].removesuffix(".py")
    return "atlas_ds" if first == "__init__" else first


def room_of_module(module: str) -> str:
    """The room an import of this package leads to; a name of its face (atlas_ds.Media) is the face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else "atlas_ds"


def test_every_file_has_a_room() -> None:
    rooms = {room_of_file(path.relative_to(PACKAGE).as_posix()) for path in PACKAGE.rglob("*.py")}
    assert rooms <= set(LEVEL), f"rooms that LEVELS does not know: {rooms - set(LEVEL)}"


def test_imports_go_down_only() -> None:
    wrong = []
    for found in ALL:
        if found.module.split(".")[0] != "atlas_ds":
            continue
        here, there = room_of_file(found.file), room_of_module(found.module)
        if here == there or LEVEL[there] < LEVEL[here] or {here, there} == FACE:
            continue
        if (found.file, there) in EXCEPTIONS and not found.at_top:
            continue
        wrong.append(f"{found.file}:{found.line}: {here} imports {there}")
    assert not wrong, "\n".join(wrong)


def test_exceptions_are_still_needed() -> None:
    used = {(found.file, room_of_module(found.module)) for found in ALL if found.module.startswith("atlas_ds")}
    assert set(EXCEPTIONS) <= used


# What is in the bridge, the lower first; those beside each other do not know each other.
BRIDGE = (
    ("compression",),
    ("source", "opening"),
    ("refusals", "values"),
    ("parallel_parts", "atlas", "tar", "atlas_v1"),
    ("files", "webdataset"),
    (
        "arrow.numpy_lists", "arrow.exported_types", "arrow.features", "arrow.errors", "arrow.python_values", "arrow.merge", "arrow.converting", "arrow.types", "arrow.tables",
        "arrow.files", "arrow.parquet", "arrow.exporting",
    ),
    ("streaming", "files.tables"),
    ("folders", "first_bytes"),
    ("detect",),
    ("conversion",),
    ("arrow.huggingface",),  # which converts what is open in this process
    ("",),  # __init__.py
)
BRIDGE_LEVEL = {name: number for number, names in enumerate(BRIDGE) for name in names}


def place_in_bridge(path: list[str]) -> str:
    """Where a file or module, given by its names below the bridge, stands in BRIDGE."""
    return next((name for name in (".".join(path[:2]), ".".join(path[:1])) if name in BRIDGE_LEVEL), "" if path in ([], ["__init__"]) else ".".join(path))


def test_the_bridge_is_in_order() -> None:
    wrong = []
    for found in ALL:
        if found.file.startswith("bridge/") and found.module.startswith("atlas_ds.bridge."):
            here = place_in_bridge(found.file.removesuffix(".py").split("/")[1:])
            there = place_in_bridge(found.module.split(".")[2:])
            if here.split(".")[0] != there.split(".")[0] and BRIDGE_LEVEL[there] >= BRIDGE_LEVEL[here]:
                wrong.append(f"{found.file}:{found.line}: {here} imports {there}")
    assert not wrong, "\n".join(wrong)


KNOW = {
    "order": {"order", "forks", "_core"}, "forks": set(), "store": {"store", "errors", "text", "progress", "_core"}, "progress": {"text"},
    "errors": {"text"}, "text": set(),
}  # fmt: skip


@pytest.mark.parametrize(("room", "allowed"), KNOW.items(), ids=KNOW)
def test_rooms_that_know_little(room: str, allowed: set[str]) -> None:
    found = {room_of_module(i.module) for i in ALL if room_of_file(i.file) == room and i.module.split(".")[0] == "atlas_ds"}
    assert found <= allowed


def test_only_known_packages_are_imported() -> None:
    known = set(sys.stdlib_module_names) | REQUIRED | set(HOMES) | {"atlas_ds"}
    wrong = [f"{i.file}:{i.line}: {i.module}" for i in ALL if i.module.split(".")[0] not in known]
    assert not wrong, "neither a dependency nor an optional package with a home: " + ", ".join(wrong)


def test_optional_packages_stay_at_home() -> None:
    wrong = []
    for found in ALL:
        homes = HOMES.get(found.module.split(".")[0])
        if homes is not None and (found.file not in homes or found.at_top):
            wrong.append(f"{found.file}:{found.line}: {found.module} {'at the top of the file' if found.at_top else 'away from home'}")
    assert not wrong, "\n".join(wrong)


def test_import_is_light() -> None:
    heavy = sorted({*HOMES, "pandas", "asyncio", "urllib.request"})
    code = f"import sys; before = set(sys.modules); import atlas_ds; print([name for name in {heavy} if name in sys.modules and name not in before])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SRC)})
    assert done.stdout.strip() == "[]"
