"""Mutated tars: an AtlasError, or all samples as a second reader, simple and strict, finds them. No other error, no hang.

The second reader lets tarfile find members, then asks of the bytes what tarfile does not ask.
"""

from __future__ import annotations

import gzip
import io
import random
import re
import tarfile

import pytest

from atlas_ds.errors import AtlasError
from attacks.tars import hostile
from attacks.tars.craft import END, FORMATS, Found, block, by_tarfile, good_members, member, pax, read

NAME = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
FIELDS = {"name": (0, 100), "size": (124, 136), "sum": (148, 156), "type": (156, 157), "magic": (257, 265), "prefix": (345, 500), "sparse": (386, 512)}
VALUES = (b"\0", b"\xff", b"\x80", b"0", b"7", b"8", b" ", b"-", b"x", b"L", b"S", b"g", b"5", b"/", b".")


def reference(data: bytes) -> Found:
    """Samples as tarfile and a few lines find them."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        for entry in archive:
            split = NAME.match(name_of(entry, data))
            if entry.isfile() and split:
                file = archive.extractfile(entry)
                assert file is not None
                found.setdefault(split[1], {})[split[2].lower()] = file.read()
    return list(found.items())


def name_of(entry: tarfile.TarInfo, data: bytes) -> str:
    """In GNU headers tarfile takes times for the beginning of a name."""
    header = data[entry.offset_data - 512 : entry.offset_data]
    is_gnu = header[257:265] == b"ustar  \0" and header[345] and entry.name.endswith("/" + header[:100].split(b"\0")[0].decode(errors="surrogateescape"))
    return header[:100].split(b"\0")[0].decode() if is_gnu else entry.name


def seeds() -> list[bytes]:
    plain = [by_tarfile(good_members(name), format) for name, format in FORMATS.items()]
    odd = member(b"d/", b"", b"5") + pax((b"comment", b"x"), kind=b"g") + pax((b"path", b"p/q.txt"), (b"size", b"3")) + member(b"x", b"abc")
    return [*plain, odd + END, *(hostile.by_gnu(form) for form in hostile.FORMS)]


def summed(data: bytearray, at: int) -> None:
    """Makes a header's checksum right again."""
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


def mutated(rng: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = 512 * rng.randrange(max(1, len(data) // 512))
        kind = rng.randrange(8)
        if kind < 4:  # a field of a header, which then is whole again, mostly
            start, end = rng.choice(list(FIELDS.values()))
            place = at + rng.randrange(start, end)
            data[place : place + 1] = rng.choice(VALUES)
            if rng.random() < 0.8 and data[at + 257 : at + 262] == b"ustar":
                summed(data, at)
        elif kind == 4:  # blocks doubled, moved or lost
            other = 512 * rng.randrange(max(1, len(data) // 512))
            data[at:at] = data[other : other + 512 * rng.randrange(3)]
        elif kind == 5:
            del data[at : at + 512 * rng.randrange(3)]
        elif kind == 6:
            del data[rng.randrange(len(data) + 1) :]
        else:
            data[at:at] = rng.choice((bytes(512), member(), pax((b"size", b"%d" % rng.randrange(2000))), block(size=rng.randrange(4096), kind=b"L")))
        if not data:
            break
    return bytes(data)


def attack(rng: random.Random, rounds: int) -> tuple[int, int]:
    """(archives that were read, archives that were refused)"""
    answers = [0, 0]
    all_seeds = seeds()
    for number in range(rounds):
        data = mutated(rng, rng.choice(all_seeds))
        seekable, packed = rng.random() < 0.5, rng.random() < 0.1
        try:
            found = read(gzip.compress(data, 1) if packed else data, seekable=seekable)
        except AtlasError as error:
            assert "t.tar" in str(error)
            answers[1] += 1
            continue
        assert found == reference(data), f"archive {number}: {data!r}"
        answers[0] += 1
    return answers[0], answers[1]


def test_the_reference_reads_what_mutations_start_from() -> None:
    for seed in seeds():
        assert reference(seed) == read(seed) != []


def test_mutated_tars() -> None:
    taken, refused = attack(random.Random(1), 600)
    assert taken > 20 and refused > 200


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
def test_many_mutated_tars(seed: int) -> None:
    taken, refused = attack(random.Random(1000 + seed), 10_000)
    assert taken > 300 and refused > 3000
