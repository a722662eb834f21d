"""The wheel, built from this tree without compiling again, and installed offline by several versions of pip.

`make build` puts each pip into .venv/peers/pip-<version>. What the wheel depends on is stood in for by empty wheels of the same
names and versions, so that pip resolves everything without a network; the installed package then runs with the real ones.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PIPS = ("24.0", "24.2", "25.3", "newest")
# bytes; with symbols and debug information they have four times as many
LARGEST = {"_core/base": 400_000, "_core/nodes": 300_000, "_core/order": 300_000, "_core/read": 800_000, "_core/write": 600_000, "_tar": 600_000}
SANITIZED = re.compile(rb"__(asan|ubsan|tsan|msan)_")  # ATLAS_SANITIZE keeps the symbols, for its reports
ROUND_TRIP = (
    "import atlas_ds as a, os, sys; p = os.path.join(sys.argv[1], 'd'); w = a.AtlasDatasetWriter(p); w.extend({'x': i} for i in range(99)); "
    "w.close(); assert a.AtlasDataset(p)[7] == {'x': 7} and not a.verify(p).damages; print(a.__file__)"
)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """A command that must succeed, without this process's Python paths and without pip's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH"))}
    clean |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, made in a copy of it. Times of files are kept, so what is built already is not compiled again."""
    source = tmp_path_factory.mktemp("source") / "atlas"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "temp.*", "bdist.*", "*.py", "fuzz")
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "csrc", source / "csrc", ignore=ignore)
    shutil.copytree(ROOT / "build", source / "build", ignore=ignore)  # only its .so files: a .py that is gone from src must not come back
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    run(sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", source / "dist", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


def least(requirement: Requirement) -> Version:
    """The version that a requirement names: >=2.1 and ==2.1 are both satisfied by 2.1."""
    (named,) = [part for part in requirement.specifier if part.operator in (">=", "==")]
    return Version(named.version)


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty wheel for everything that the package and its extras require."""
    folder = tmp_path_factory.mktemp("stand-ins")
    versions: dict[str, Version] = {}
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]:
        needed = Requirement(line)
        versions[needed.name] = max(least(needed), versions.get(needed.name, Version("0")))
    for name, version in versions.items():
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "".join(f"{info}/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")))
    return folder


@pytest.mark.parametrize("extras", ["", f"[{','.join(EXTRAS)}]"], ids=["plain", "every-extra"])
@pytest.mark.parametrize("pip", PIPS)
def test_pip_installs_the_wheel(wheel: Path, stand_ins: Path, tmp_path: Path, pip: str, extras: str) -> None:
    packages = Path(sys.prefix) / "peers" / f"pip-{pip}"
    assert packages.is_dir(), f"{packages}: not found; `make build` installs it"
    command = (sys.executable, "-m", "pip")
    version = run(*command, "--version", cwd=tmp_path, PYTHONPATH=str(packages)).split()[1]
    assert version == pip if pip != "newest" else Version(version) >= Version(PIPS[-2])
    target = tmp_path / "installed"
    run(
        *command, "install", "--no-index", "--no-compile", "--find-links", stand_ins, "--target", target, f"{wheel}{extras}",
        cwd=tmp_path, PYTHONPATH=str(packages),
    )  # fmt: skip
    names = {path.name.partition("-")[0] for path in target.glob("*.dist-info")}
    wanted = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines if extras)]
    assert names == {"atlas_ds", *(Requirement(line).name.replace("-", "_") for line in wanted)}
    at = run(sys.executable, "-c", ROUND_TRIP, tmp_path, cwd=tmp_path, PYTHONPATH=str(target))
    assert at.startswith(str(target))
    assert run(target / "bin" / "atlas-ds", "--version", cwd=tmp_path, PYTHONPATH=str(target)) == f"atlas-ds {PROJECT['version']}\n"


def sections(library: bytes) -> set[str]:
    """The names of the sections of a 64-bit little-endian ELF file."""
    assert library[:6] == b"\x7fELF\x02\x01"
    at, each, count, names = (int.from_bytes(library[start : start + size], "little") for start, size in ((40, 8), (58, 2), (60, 2), (62, 2)))
    headers = [library[at + each * i :][:each] for i in range(count)]
    text = library[int.from_bytes(headers[names][24:32], "little") :]
    return {text[(start := int.from_bytes(header[:4], "little")) : text.index(b"\0", start)].decode() for header in headers}


@pytest.mark.skipif(sys.platform != "linux" or sys.byteorder != "little", reason="stripped on Linux; read as little-endian ELF")
@pytest.mark.parametrize("module", list(LARGEST))
def test_extensions_are_stripped(wheel: Path, module: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.startswith(f"atlas_ds/{module}.") and name.endswith(".so")]
        library = archive.read(name)
    found = sections(library)
    assert {".text", ".dynsym"} <= found
    if SANITIZED.search(library):
        pytest.skip("built with ATLAS_SANITIZE")
    assert ".symtab" not in found and not [name for name in found if name.startswith(".debug")]
    assert len(library) < LARGEST[module]
