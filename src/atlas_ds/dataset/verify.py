"""Verifies a dataset: its manifest, its shards, and that they agree. A single shard is verified in shard/verify.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atlas_ds import _core
from atlas_ds.dataset.manifest import Manifest, read_manifest
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.dataset.open import dataset_in, dataset_path, no_manifest, refuse_stranger
from atlas_ds.errors import AtlasError, StoreError
from atlas_ds.progress import Progress
from atlas_ds.schema.schema import with_all_names
from atlas_ds.shard.notes import shard_notes
from atlas_ds.shard.open import open_stored, shard_info, shard_schema
from atlas_ds.shard.totals import Totals, columns_to_json, icc_to_json, shard_totals, sum_of_totals
from atlas_ds.shard.verify import verify_opened
from atlas_ds.store.paths import is_url
from atlas_ds.store.store import Store, is_store, place_of
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


def verify(
    path: str | os.PathLike[str] | Store, *, fast: bool = False, progress: bool = True, storage_options: Mapping[str, Any] | None = None
) -> Report:
    """Checks every byte of a dataset, or of one shard file. It does not raise for damage.

    Parameters
    ----------
    path
        The dataset's folder, URL or store, or one `.atlas` file.
    fast
        Check manifests, trailers, footers and headers only.
    progress
        Show progress on stderr.
    storage_options
        With a URL: see AtlasDataset.

    Returns
    -------
    Report
        With `shards`, `rows`, `bytes` and `damages`.

    Raises
    ------
    NotADataset
        No dataset is at `path`.
    StoreError
        It could not be asked for its files.
    """
    store, file = existing_dataset(path, storage_options)
    report = Report()
    manifest: Manifest | None = None
    if file is None:
        try:
            manifest = read_manifest(store)
        except FileNotFoundError:
            raise no_manifest(store) from None
        except StoreError:
            raise
        except (AtlasError, OSError) as error:
            report.damages.append((place_of(store, MANIFEST), str(error)))
            return report
    files = [shard.path for shard in manifest.shards] if manifest else [file or ""]
    sizes = [size_of(store, name) for name in files]
    totals: list[Totals] = []
    with Progress(sum(sizes), "verifying", "bytes", progress) as bar:
        for number, name in enumerate(files):
            try:
                shard = open_stored(store, name)
                report.rows += verify_opened(shard, fast=fast, advance=bar.advance)
                if manifest:
                    match_manifest(shard, manifest, number)
                    totals.append(shard_totals(manifest.shards[number], shard_notes(shard)))
            except StoreError:
                raise
            except (AtlasError, OSError) as error:
                report.damages.append((place_of(store, name), str(error)))
            report.shards += 1
            report.bytes += sizes[number]
    if manifest and not report.damages and (wrong := wrong_totals(manifest, sum_of_totals(totals))):
        place, verb = place_of(store, MANIFEST), "is" if len(wrong) == 1 else "are"
        why = f"{' and '.join(wrong)} {verb} not what the notes of the shards add up to: the manifest was edited"
        report.damages.append((place, f"{place}: {why}; restore it, or run `atlas-ds repair`"))
    return report


def wrong_totals(manifest: Manifest, found: Totals) -> list[str]:
    """The members of a manifest that are not those of its shards. What it does not have is not wrong."""
    said = manifest.totals
    sums, own = icc_to_json(said), icc_to_json(found)
    right = {
        "stats": said.columns is None or columns_to_json(said) == columns_to_json(found),
        "icc_sums": all(sums[name] == own.get(name) for name in sums),
        "icc": not manifest.shards or all(manifest.icc[name] == said.icc[name].icc() for name in said.icc if name in manifest.icc),
    }
    return [name for name, good in right.items() if not good]


def existing_dataset(path: str | os.PathLike[str] | Store, storage_options: Mapping[str, Any] | None = None) -> tuple[Store, str | None]:
    """The store of a dataset, and its file, if it is only one. NotADataset if the path does not exist, or is a file that is not a shard."""
    if not is_store(path) and not is_url(path):
        refuse_stranger(dataset_path(path))
    return dataset_in(path, storage_options)


def size_of(store: Store, name: str) -> int:
    """Bytes of a file; 0 if it cannot be a shard. StoreError if the store cannot be asked."""
    try:
        return store.info(name).size
    except StoreError:
        raise
    except (AtlasError, OSError):
        return 0


def match_manifest(shard: _core.Shard, manifest: Manifest, number: int) -> None:
    info, file = manifest.shards[number], shard.path
    if shard_info(shard, info.path) != info:
        raise AtlasError(f"{file}: rows, bytes, tail, root, raw or chunk do not match the manifest")
    if with_all_names(manifest.schema, shard_schema(shard)) != manifest.schema:
        raise AtlasError(f"{file}: the schema differs from the manifest's")
