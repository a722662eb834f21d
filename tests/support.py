"""What many tests share: exact comparison, rows of every type, writing in one line, Python in a child process. No tests here."""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
UTC = datetime.UTC


def same(a: Any, b: Any) -> bool:
    """Equal in type, dtype, shape and bits: NaN equals NaN of the same payload, -0.0 is not 0.0, 1 is not True."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
            return False
        if isinstance(a, np.ma.MaskedArray) != isinstance(b, np.ma.MaskedArray):
            return False
        if isinstance(a, np.ma.MaskedArray):
            return bool((np.ma.getmaskarray(a) == np.ma.getmaskarray(b)).all()) and same(np.ma.filled(a, 0), np.ma.filled(b, 0))
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    if isinstance(a, complex):
        return struct.pack("<2d", a.real, a.imag) == struct.pack("<2d", b.real, b.imag)
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, datetime.datetime):
        return (a.tzinfo is None) == (b.tzinfo is None) and since_year_1(a) == since_year_1(b)
    if isinstance(a, Media):
        return bytes(a.data) == bytes(b.data) and a.type == b.type
    return bool(a == b)


def since_year_1(moment: datetime.datetime) -> datetime.timedelta:
    """Of an aware one: in UTC. == itself says no wherever the two zones differ and one is within an hour that a change of clocks repeats."""
    return moment.replace(tzinfo=None) - datetime.datetime.min - (moment.utcoffset() or datetime.timedelta(0))


def agrees(atlas: Any, reference: Any) -> bool:
    """Whether a value of Atlas is what the reference reader made of the same bytes (it gives media as (type, bytes))."""
    if isinstance(atlas, Media):
        return isinstance(reference, tuple) and (atlas.type, bytes(atlas.data)) == reference
    if isinstance(atlas, dict):
        return isinstance(reference, dict) and list(atlas) == list(reference) and all(agrees(atlas[k], reference[k]) for k in atlas)
    if isinstance(atlas, list | tuple):
        return type(atlas) is type(reference) and len(atlas) == len(reference) and all(map(agrees, atlas, reference))
    if isinstance(atlas, np.ndarray | np.generic):
        atlas = atlas.view(np.uint8) if atlas.dtype == np.bool_ else atlas
        reference = reference.view(np.uint8) if getattr(reference, "dtype", None) == np.bool_ else reference
    if isinstance(atlas, float) and math.isnan(atlas):
        return isinstance(reference, float) and math.isnan(reference)
    return same(atlas, reference)


def write(path: Any, rows: Any, **options: Any) -> Any:
    """Writes a dataset of some rows to a path or a store; without threads, so that tests are quick. Returns the path, or the store."""
    options = {"workers": 0} | options
    with AtlasDatasetWriter(path, **options) as writer:
        writer.extend(rows)
    return Path(path) if isinstance(path, str | os.PathLike) else path


def round_trip(path: Path, rows: list[Any], **options: Any) -> list[Any]:
    write(path, rows, **options)
    dataset = AtlasDataset(path)
    assert len(dataset) == len(rows)
    by_index = [dataset[i] for i in range(len(rows))]
    assert same(by_index, list(dataset))
    return by_index


@dataclasses.dataclass
class Point:
    x: int
    label: str


def rich_row(i: int) -> dict[str, Any]:
    """A row with every type; what is read back is the same again."""
    rng = np.random.default_rng(i)
    return {
        "flag": i % 3 == 0,
        "id": i,
        "signed": -i * 1_000_003,
        "real": (0.5 * i, math.nan, -0.0, math.inf)[i % 4],
        "z": complex(i, -1),
        "small": np.int8(i % 100),
        "half": np.float16(i / 8),
        "text": "é" * (i % 5) + f"row {i}",
        "raw": bytes(range(i % 7)),
        "note": None if i % 3 else f"note {i}",
        "grid": np.arange(6, dtype=np.int16).reshape(2, 3) + i,
        "big": rng.integers(0, 255, (20, 20), np.uint8),
        "wave": np.arange(i % 6, dtype=np.float32),
        "image": rng.integers(0, 9, (1 + i % 3, 2, 1 + i % 2), np.uint8),
        "any": np.ones((2,) * (i % 3), np.float64),
        "photo": Media(PNG + bytes(i % 4), "image/png"),
        "sound": Media(b"fLaC" + bytes(i % 9), "audio/flac") if i % 2 else Media(b"OggS", "audio/ogg"),
        "meta": {"list": [i, None, 1.5, "x"], "when": datetime.datetime(2020, 1, 1, tzinfo=UTC), **({"odd": True} if i % 2 else {})},
        "when": datetime.datetime(2021, 2, 3, 4, 5, 6, 7),
        "box": {"x": float(i), "inner": {"name": f"n{i % 4}", "v": None if i % 2 else i}},
        "step": None if i % 4 == 1 else i * 10,
        "gone": None if i % 5 == 2 else np.full((3,), i, np.uint16),
        "maybe": None if i % 4 == 3 else {"a": i, "b": "s" * (i % 3)},
    }


def rich_rows(count: int) -> list[dict[str, Any]]:
    return [rich_row(i) for i in range(count)]


def fd_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def child(
    code: str, *args: object, check: bool = True, timeout: float = 120, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs code in another Python; its arguments are in sys.argv[1:]. `import support` works there. `env` adds to the environment."""
    whole = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])} | dict(env or {})
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, env=whole, timeout=timeout)
    if check and done.returncode:
        raise AssertionError(f"child ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name, without lock files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".atlas.lock"}


def remove_while_threads_read(folder, read, times):
    """Removes a folder again and again while four threads read, each with a generator of its own. Raises what one of them failed with."""
    wrong, stop = [], threading.Event()

    def run(seed):
        rng = np.random.default_rng(seed)
        try:
            while not stop.is_set():
                read(rng)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(times):
        time.sleep(0.3)
        shutil.rmtree(folder, ignore_errors=True)
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong, wrong[0]
