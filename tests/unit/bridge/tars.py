"""Tars for tests, made and read by tarfile."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from atlas_ds.bridge.values.by_extension import decode_value


def tar_bytes(members: Iterable[tuple[str, bytes]], format: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], format: int = tarfile.USTAR_FORMAT) -> Path:
    path.write_bytes(tar_bytes(members, format))
    return path


def members(*paths):
    found = []
    for path in paths:
        with tarfile.open(path) as archive:
            found += [(info.name, archive.extractfile(info).read()) for info in archive]
    return found


def values(paths):
    return [(name, decode_value(name.partition(".")[2], data, name)) for name, data in members(*paths)]
