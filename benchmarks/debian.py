"""Fetches Debian packages and unpacks them in the cache folder, without installing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def unpack(name: str, *, cache: Path) -> Path | None:
    """Folder with the files of package `name`, or None where it is not available."""
    target = cache / "debian" / name
    if (target / ".done").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    print(f"fetching Debian package {name}", file=sys.stderr)
    fetched = subprocess.run(
        ["apt-get", "download", "-qq", name], cwd=target, capture_output=True, text=True
    )
    archives = sorted(target.glob("*.deb"))
    if fetched.returncode != 0 or not archives:
        print(f"  not available: {fetched.stderr.strip()}", file=sys.stderr)
        return None
    subprocess.run(["dpkg-deb", "-x", str(archives[0]), str(target)], check=True)
    archives[0].unlink()
    (target / ".done").touch()
    return target
