"""Runs another project's own code in a child process, with the packages that `make build` put into .venv/peers/<name>. No tests here."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run_peer(name: str, folder: Path):
    """What <name>_peer.py left in expected.pickle, after it wrote its datasets into `folder`. A peer that is not there is a failure."""
    packages = Path(sys.prefix) / "peers" / name
    assert packages.is_dir(), f"{packages}: not there; `make build` installs it"
    env = os.environ | {"PYTHONPATH": os.pathsep.join((str(packages), str(HERE.parents[1] / "src")))}
    done = subprocess.run([sys.executable, str(HERE / f"{name}_peer.py"), str(folder)], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, f"{name}_peer.py ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return pickle.loads((folder / "expected.pickle").read_bytes())  # written by the line above
