"""Verifies a dataset: its manifest, its shards, and that they agree. A single shard is verified in shard/verify.py."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from atlas_ds.dataset.manifest import Manifest, read_manifest
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.dataset.open import dataset_path, no_manifest, refuse_stranger
from atlas_ds.errors import AtlasError
from atlas_ds.progress import Progress
from atlas_ds.shard.open import open_shard, shard_info, shard_schema
from atlas_ds.shard.verify import verify_shard
from atlas_ds.store.local import LocalStore
from atlas_ds.text import printable


@dataclass(slots=True)
class Report:
    """What `verify` found.

    Attributes
    ----------
    shards, rows, bytes
        What was checked.
    damages
        A pair for each damage: the file, and what is wrong and where.
    """

    shards: int = 0
    rows: int = 0
    bytes: int = 0
    damages: list[tuple[str, str]] = field(default_factory=list)

    def __repr__(self) -> str:
        first = f": {printable(': '.join(self.damages[0]), 300)}" if self.damages else ""
        return f"Report(shards={self.shards}, rows={self.rows}, bytes={self.bytes}, {len(self.damages)} damages{first})"


def verify(path: str | os.PathLike[str], *, fast: bool = False, progress: bool = True) -> Report:
    """Checks every byte of a dataset, or of one shard file. It does not raise for damage.

    Parameters
    ----------
    path
        The dataset's folder, or one `.atlas` file.
    fast
        Check manifests, trailers, footers and headers only.
    progress
        Show progress on stderr.

    Returns
    -------
    Report
        With `shards`, `rows`, `bytes` and `damages`.

    Raises
    ------
    NotADataset
        No dataset is at `path`.
    """
    target = dataset_path(path)
    report = Report()
    refuse_stranger(target)
    manifest: Manifest | None = None
    if target.is_dir():
        try:
            manifest = read_manifest(LocalStore(target))
        except FileNotFoundError:
            raise no_manifest(target) from None
        except (AtlasError, OSError) as error:
            report.damages.append((str(target / MANIFEST), str(error)))
            return report
    files = [target / shard.path for shard in manifest.shards] if manifest else [target]
    total = sum(file.stat().st_size for file in files if file.exists())
    with Progress(total, "verifying", "bytes", progress) as bar:
        for number, file in enumerate(files):
            try:
                report.rows += verify_shard(file, fast=fast, advance=bar.advance)
                if manifest:
                    match_manifest(file, manifest, number)
            except (AtlasError, OSError) as error:
                report.damages.append((str(file), str(error)))
            report.shards += 1
            report.bytes += file.stat().st_size if file.exists() else 0
    return report


def match_manifest(file: Path, manifest: Manifest, number: int) -> None:
    info = manifest.shards[number]
    shard = open_shard(file)
    if shard_info(shard, info.path) != info:
        raise AtlasError(f"{file}: rows, bytes, tail, root, raw or chunk do not match the manifest")
    if shard_schema(shard) != manifest.schema:
        raise AtlasError(f"{file}: the schema differs from the manifest's")
