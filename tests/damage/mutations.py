"""Ways to break the files of a source, by a seeded random number generator: bytes, structure, JSON values, and what stands in a file's place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from damage.sources import PACK, UNPACK, Files

HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2, 255, 1 << 31, 1 << 32, (1 << 53) + 1, 1 << 62, 1 << 63, 1 << 64, 10**30, -(1 << 63), 0.5, 1e308, float("nan"), float("inf"),
    "", "x", "\0", "../../etc/passwd", "/dev/zero", "/etc/passwd", ".", "..", "a" * 5000, "\ud800", "\x1b[2J", "ü" * 300, "-1", "1e9", [], {}, [[]], [None],
    {"": None}, ["a", "a"], [1 << 64], {"x": {"x": {"x": {}}}}, [[[[[[[[[]]]]]]]]],
]  # fmt: skip
TEXTS = [b"[" * 3000, b"{" * 3000, b'{"a":' * 2000, b"\0" * 64, b"\xff" * 64, b"9" * 5000, b"NaN", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b'"', b",,,,,,"]
NPY_HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,), }", "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1152921504606846976), }", "{'descr': '|V0', 'fortran_order': False, 'shape': (9,), }",
    "{'descr': ('<f8', (1 << 62,)), 'fortran_order': False, 'shape': (3,), }", "(" * 3000, "-" * 3000 + "1", "{'descr': '<f8'}", "[" * 150 + "]" * 150,
    "{'descr': [('a', '<i4'), ('a', '<i4')], 'fortran_order': True, 'shape': (3,), }", "{'descr': '<M8[ns]', 'fortran_order': True, 'shape': (3,), }",
    "{'descr': ('<f8', (2147483647, 2147483647)), 'fortran_order': False, 'shape': (3,), }", "{'descr': '<f16', 'fortran_order': False, 'shape': (1, 1), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 70 + "), }", "{'descr': '<f8', 'fortran_order': 1, 'shape': [3], }",
    "{'descr': '<U1073741824', 'fortran_order': False, 'shape': (3,), }", "{'descr': {}, 'fortran_order': False, 'shape': (-3,), }",
]  # fmt: skip


def flip(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def put(data: bytearray, random: Random) -> None:
    """Numbers that lie, in either order of bytes."""
    at, size = random.randrange(len(data)), random.choice((1, 2, 4, 8))
    value = random.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, random.getrandbits(64)))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, random.choice(("little", "big")))


def cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def behead(data: bytearray, random: Random) -> None:
    del data[: random.randrange(len(data))]


def double(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    part = data[start : start + random.choice((1, 8, 64, 512, len(data)))]
    at = random.choice((start, len(data), random.randrange(len(data))))
    data[at:at] = part


def insert(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data))
    data[at:at] = random.choice((random.randbytes(random.choice((1, 4, 64))), random.choice(TEXTS)))


def remove(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 2, 8, 64, 512))]


def swap(data: bytearray, random: Random) -> None:
    size = random.choice((1, 4, 8, 64, 512))
    a, b = random.randrange(len(data)), random.randrange(len(data))
    first, second = bytes(data[a : a + size]), bytes(data[b : b + size])
    data[a : a + size] = second
    data[b : b + size] = first


def overwrite(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data))
    text = random.choice((bytes(64), random.randbytes(64), random.choice(TEXTS)))
    data[at : at + len(text)] = text


def text_npy(data: bytearray, random: Random) -> None:
    """Another header, where there is one of NumPy."""
    at = data.find(b"\x93NUMPY")
    if at < 0:
        return flip(data, random)
    text = random.choice(NPY_HEADERS).encode() + b"\n"
    data[at + 8 : at + 10] = len(text).to_bytes(2, "little")
    data[at + 10 : data.find(b"\n", at + 10) + 1] = text


BYTES: list[Callable[[bytearray, Random], None]] = [flip, flip, put, put, cut, behead, double, insert, remove, swap, overwrite, text_npy]


def mutate_json(data: bytes, random: Random) -> bytes:
    """One value, or one key, replaced or removed."""
    value = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(item: Any) -> None:
        for key in list(item) if isinstance(item, dict) else range(len(item)):
            places.append((item, key))
            if isinstance(item[key], dict | list):
                walk(item[key])

    if isinstance(value, dict | list):
        walk(value)
    if not places:
        return json.dumps(random.choice(HOSTILE)).encode()
    holder, key = random.choice(places)
    action = random.randrange(6)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.append(holder[key])
    elif action == 2 and isinstance(holder[key], str):
        holder[key] = json.dumps([1, random.choice(HOSTILE)]) if random.random() < 0.5 else holder[key] + random.choice(("x", "/../..", "\0", ":9"))
    elif action == 3 and type(holder[key]) is int:
        holder[key] += random.choice((-1, 1, 1 << 31, 1 << 63))
    else:
        holder[key] = random.choice(HOSTILE)
    return json.dumps(value).encode()


def mutate(data: bytes, name: str, random: Random) -> bytes:
    """A file's bytes, broken; what is packed is broken inside half of the time."""
    if name.endswith(".json") and random.random() < 0.6:
        try:
            return mutate_json(data, random)
        except ValueError:
            pass
    kind = name.rpartition(".")[2]
    if kind in UNPACK and random.random() < 0.5:
        return PACK[kind](change(UNPACK[kind](data), random))
    return change(data, random)


def change(data: bytes, random: Random) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if out:
            random.choice(BYTES)(out, random)
    return bytes(out)


def nothing(path: Path, outside: Path) -> None:
    path.unlink()


def empty(path: Path, outside: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path, outside: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(target: str) -> Callable[[Path, Path], None]:
    def make(path: Path, outside: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return make


def link_out(path: Path, outside: Path) -> None:
    """The same file, but elsewhere."""
    shutil.move(path, outside)
    path.symlink_to(outside)


INSTEAD: list[Callable[[Path, Path], None]] = [
    nothing, empty, folder, pipe, link("/dev/zero"), link("/dev/null"), link("nowhere"), link("."), link("/proc/self/mem"), link_out,
]  # fmt: skip


def break_source(files: Files, names: dict[str, Path], random: Random, outside: Path) -> str:
    """Writes the files, broken; what was done. names: the path of each. outside: a free path that does not belong to the source."""
    for name, path in names.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    chosen = random.choice(sorted(files))
    if random.random() < 0.12:
        way = random.choice(INSTEAD)
        way(names[chosen], outside)
        return f"{chosen or 'the file'}: replaced, by {way.__qualname__}"
    for name in {chosen, random.choice(sorted(files))} if random.random() < 0.2 else {chosen}:
        names[name].write_bytes(mutate(files[name], names[name].name, random))
    return f"{chosen or 'the file'}: changed"
