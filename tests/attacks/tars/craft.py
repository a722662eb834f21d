"""What the attacks on the tar reader share: archives by hand, byte by byte, and the reader's answer to them. No attack itself."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atlas_ds.bridge.tar.opening import tar_of
from atlas_ds.bridge.webdataset.samples import Rules, Tally, samples

END = bytes(1024)
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "long/" + "n" * 90 + "/" + "m" * 60
Found = list[tuple[str, dict[str, bytes]]]


def block(name: bytes = b"a.txt", size: int | bytes = 0, kind: bytes = b"0", *, magic: bytes = b"ustar\x0000", at: dict[int, bytes] | None = None) -> bytes:
    """A header with a right checksum. size: a number, or the 12 bytes of its field; at: bytes to put at some offsets before it is summed."""
    out = bytearray(512)
    number = size if isinstance(size, bytes) else b"%011o\0" % size
    for offset, field in {0: name[:100], 100: b"0000644\0", 108: b"0000000\0", 116: b"0000000\0", 124: number, 136: b"00000000000\0", 156: kind, 257: magic, **(at or {})}.items():
        out[offset : offset + len(field)] = field
    out[148:156] = b" " * 8
    out[148:156] = b"%06o\0 " % sum(out)
    return bytes(out)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def member(name: bytes = b"a.txt", data: bytes = b"", kind: bytes = b"0", **options: Any) -> bytes:
    return block(name, len(data), kind, **options) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    size = len(body)
    while size != len(body) + len(str(size)):
        size = len(body) + len(str(size))
    return str(size).encode() + body


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x", raw: bytes = b"") -> bytes:
    return member(b"PaxHeader", raw or b"".join(record(key, value) for key, value in records), kind)


def by_tarfile(members: Iterable[tuple[str, bytes]], format: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def good_members(format: str) -> list[tuple[str, bytes]]:
    """Three samples of two fields; the last has a long name."""
    names = ["a/000", "a/001", LONG if format != "ustar" else LONG[5:]]
    return [(f"{name}.{field}", f"{field} of {number}".encode() * 3) for number, name in enumerate(names) for field in ("txt", "bin")]


def read(data: bytes, *, seekable: bool = True, **rules: Any) -> Found:
    """What the reader finds in an archive."""
    tar = tar_of(io.BytesIO(data), "t.tar", seekable=seekable)
    return [(sample.key, sample.fields) for sample in samples(tar, Rules(**rules), Tally(), lambda found: tar.read())]


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
