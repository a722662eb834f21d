"""The import law: imports go down only and never in a circle, optional packages have one home each,
and `import atlas_ds` stays light.

cli -> bridge, loader, rewrite -> order, dataset -> shard -> _core (read, write, nodes) -> schema, store
-> errors, forks, progress, sizes, text, _core.base, _core.order, _tar

Sources of Cython are read, too: .pyx, the .pxi that they include, .pxd; import and cimport.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
PACKAGE = SRC / "atlas_ds"
# Rooms, the lower first. The modules of _core are rooms of their own: some lie below the schema, some above it.
LEVELS = (
    ("text", "sizes"),
    ("errors", "forks", "progress", "_core.c"),
    ("_core.base", "_tar"),
    ("_core.order",),
    ("schema", "store"),
    ("_core.nodes", "_core.records"),
    ("_core.read", "_core.write"),
    ("_core",),  # the package, which has the names of all of them
    ("shard",),
    ("order", "dataset"),
    ("types",),
    ("bridge", "loader", "rewrite", "testing"),
    ("atlas_ds",),  # the package's face: what users import
    ("cli",),
    ("__main__",),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
FACE = {"atlas_ds", "types"}

# Where an optional package may be imported. Two homes: the reason.
HOMES = {
    "torch": {"schema/tensors.py"},
    "PIL": {"schema/images.py"},
    "simplejpeg": {"schema/images.py"},
    "pyarrow": {  # as a source and target of rows (types, files, export), for codecs nobody else has, and as a format to compare with
        *(f"bridge/arrow/{name}.py" for name in (
            "converting", "errors", "exported_types", "exporting", "features", "files", "huggingface", "merge", "moments", "numpy_lists", "parquet",
            "python_values", "tables", "types",
        )),
        "bridge/compression/blocks.py",
        "cli/peers.py",
    },
    "matplotlib": {"cli/plot.py"},
    "cbor2": {"bridge/values/nested.py"},
    # streams in and out, pieces, dictionaries
    "zstandard": {
        "bridge/compression/reading.py",
        "bridge/compression/writing.py",
        "bridge/compression/blocks.py",
        "bridge/atlas_v1/files.py",
    },
    "lz4": {"bridge/compression/reading.py"},
    "obstore": {"store/clients.py"},
    "fsspec": {"store/filesystems.py"},
    "boto3": {"store/clients.py"},  # credentials, where it is installed
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
    typing: bool = False  # only for checkers of types


def name_of(path: Path) -> str:
    """The module that a file is, or is a part of: atlas_ds.schema.types."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PYTHON = sorted(PACKAGE.rglob("*.py"))
CYTHON = sorted(path for kind in ("pyx", "pxd", "pxi") for path in PACKAGE.rglob(f"*.{kind}"))
MODULES = {name_of(path) for path in [*PYTHON, *CYTHON] if path.suffix != ".pxi"}
INCLUDE = re.compile(r"""\s*include\s+["']([^"']+)["']""")
DOCSTRING = re.compile(r'"""[^"]*(?:"{1,2}[^"]+)*"""')
CYTHON_IMPORT = re.compile(r"(\s*)(?:from\s+([\w.]+)\s+)?c?import\s+(.*)")


def target(module: str, name: str) -> str:
    """What `from module import name` leads to: a module of this package, or what it is taken from."""
    return f"{module}.{name}" if f"{module}.{name}" in MODULES else module


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(), str(path))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    typing = {
        id(node) for test in ast.walk(tree) if is_type_checking(test) for child in test.body for node in ast.walk(child)
    }
    file = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(tree):
        at_top, typed = id(node) not in inside, id(node) in typing
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, at_top, typed)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                yield Import(file, node.lineno, target(node.module or "", alias.name), at_top, typed)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def cython_imports(file: str, text: str) -> Iterator[Import]:
    """What a source of Cython imports and cimports. Statements over several lines have parentheses."""
    code = DOCSTRING.sub(lambda prose: "\n" * prose[0].count("\n"), text)
    lines = iter(enumerate(code.splitlines(), 1))
    for number, line in lines:
        found = CYTHON_IMPORT.match(line)
        if found is None:
            continue
        names = found[3].split("#")[0]
        while "(" in names and ")" not in names:
            names += next(lines)[1].split("#")[0]
        for name in names.strip("() ").replace(";", ",").split(","):
            if words := name.split():  # of "a as b" the first
                yield Import(file, number, target(found[2], words[0]) if found[2] else words[0], not found[1])


ALL = [found for path in PYTHON for found in imports_of(path)]
ALL += [found for path in CYTHON for found in cython_imports(path.relative_to(PACKAGE).as_posix(), path.read_text())]
OWN = [found for found in ALL if found.module.split(".")[0] == "atlas_ds"]
INCLUDED = {  # a part to the file that includes it
    (path.parent / part).relative_to(PACKAGE).as_posix(): path.relative_to(PACKAGE).as_posix()
    for path in CYTHON
    for part in INCLUDE.findall(path.read_text())
}


def module_of_file(file: str) -> str:
    while file in INCLUDED:
        file = INCLUDED[file]
    return name_of(PACKAGE / file)


def room_of_module(module: str) -> str:
    """The room an import of this package leads to; a name of its face (atlas_ds.Media) is the face."""
    parts = module.split(".")[1:]
    return next((room for room in (".".join(parts[:2]), ".".join(parts[:1])) if room in LEVEL), "atlas_ds")


def room_of_file(file: str) -> str:
    return room_of_module(module_of_file(file))


def test_every_file_has_a_room() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].split(".")[0] for path in [*PYTHON, *CYTHON]} - {"__init__"}
    assert rooms <= set(LEVEL), f"rooms that LEVELS does not know: {rooms - set(LEVEL)}"
    modules = {path.stem for path in [*PYTHON, *CYTHON] if path.parent.name == "_core" and path.suffix != ".pxi"} - {
        "__init__"
    }
    assert {f"_core.{name}" for name in modules} <= set(LEVEL), "each module of _core is a room of its own"


def test_every_part_is_included() -> None:
    parts = {path.relative_to(PACKAGE).as_posix() for path in CYTHON if path.suffix == ".pxi"}
    assert parts == set(INCLUDED)


def test_imports_go_down_only() -> None:
    wrong = []
    for found in OWN:
        here, there = room_of_file(found.file), room_of_module(found.module)
        if here == there or LEVEL[there] < LEVEL[here] or {here, there} == FACE:
            continue
        wrong.append(f"{found.file}:{found.line}: {here} imports {there}")
    assert not wrong, "\n".join(wrong)


def test_no_circles() -> None:
    """Nor by imports in functions: what needs each other is one thing, or needs a third."""
    graph: dict[str, set[str]] = {}
    for found in OWN:
        here = module_of_file(found.file)
        if not found.typing and found.module != here and found.module in MODULES:
            graph.setdefault(here, set()).add(found.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_cython_is_searched() -> None:
    found = {(room_of_file(i.file), room_of_module(i.module)) for i in OWN}
    assert {
        ("_core.read", "schema"),
        ("_core.read", "_core.nodes"),
        ("_core.base", "errors"),
        ("_core.nodes", "_core.c"),
    } <= found


def test_cython_is_read() -> None:
    text = "import os\nfrom libc.string cimport memcpy, memmove\ncimport numpy as cnp\nfrom atlas_ds._core cimport base\n    from atlas_ds import errors  # late\nimportant = 1\n"
    text += (
        "from atlas_ds.schema.types import (\n    Array,  # one\n    Scalar as S,\n)\nfrom atlas_ds.errors import *\n"
        '"""Others may\nimport it."""\n'
    )
    assert [(found.line, found.module, found.at_top) for found in cython_imports("x.pyx", text)] == [
        (1, "os", True), (2, "libc.string", True), (2, "libc.string", True), (3, "numpy", True),
        (4, "atlas_ds._core.base", True), (5, "atlas_ds.errors", False),
        (7, "atlas_ds.schema.types", True), (7, "atlas_ds.schema.types", True), (11, "atlas_ds.errors", True),
    ]  # fmt: skip


# What is in the bridge, the lower first; those beside each other do not know each other.
BRIDGE = (
    ("compression",),
    ("source", "opening"),
    ("refusals", "values", "labels"),
    ("parallel_parts", "atlas", "tar", "atlas_v1"),
    ("files", "webdataset"),
    (
        "arrow.numpy_lists", "arrow.moments", "arrow.exported_types", "arrow.features", "arrow.errors", "arrow.python_values", "arrow.merge", "arrow.converting", "arrow.types", "arrow.tables",
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
    return next(
        (name for name in (".".join(path[:2]), ".".join(path[:1])) if name in BRIDGE_LEVEL),
        "" if path in ([], ["__init__"]) else ".".join(path),
    )


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
    "order": {"order", "forks", "_core.base", "_core.order"}, "forks": set(), "store": {"store", "errors", "forks", "text", "progress", "sizes", "_core.base"},
    "progress": {"text"}, "errors": {"text"}, "text": set(), "sizes": set(), "_core.base": {"_core.base", "_core.c", "errors", "forks", "progress", "text"},
    "_core.order": {"_core.order", "_core.c", "errors", "forks", "progress", "text"}, "_tar": {"errors", "forks", "progress", "text"},
}  # fmt: skip


@pytest.mark.parametrize(("room", "allowed"), KNOW.items(), ids=KNOW)
def test_rooms_that_know_little(room: str, allowed: set[str]) -> None:
    found = {room_of_module(i.module) for i in OWN if room_of_file(i.file) == room}
    assert found <= allowed


def test_only_known_packages_are_imported() -> None:
    known = set(sys.stdlib_module_names) | REQUIRED | set(HOMES) | {"atlas_ds", "cython", "cpython", "libc", "posix"}
    wrong = [f"{i.file}:{i.line}: {i.module}" for i in ALL if i.module.split(".")[0] not in known]
    assert not wrong, "neither a dependency nor an optional package with a home: " + ", ".join(wrong)


def test_optional_packages_stay_at_home() -> None:
    wrong = []
    for found in ALL:
        homes = HOMES.get(found.module.split(".")[0])
        if homes is not None and (found.file not in homes or found.at_top):
            wrong.append(
                f"{found.file}:{found.line}: {found.module} {'at the top of the file' if found.at_top else 'away from home'}"
            )
    assert not wrong, "\n".join(wrong)


def test_import_is_light() -> None:
    heavy = sorted({*HOMES, "pandas", "asyncio", "urllib.request"})
    code = f"import sys; before = set(sys.modules); import atlas_ds; print([name for name in {heavy} if name in sys.modules and name not in before])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SRC)}
    )
    assert done.stdout.strip() == "[]"
