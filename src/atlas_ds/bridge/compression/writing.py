"""Compresses a file while it is written, without times or names, so that equal input has equal
output with one version of a library.

Only for writing; the only file that imports zstandard for that.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

GZIP_LEVEL = 6
ZSTD_LEVEL = 3


class Packer(Protocol):
    """compress returns the compressed bytes that are ready; flush returns the rest."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Gzip:
    """Writes its own header: zlib's header contains the operating system."""

    def __init__(self) -> None:
        self._raw = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # no flags, no time, unknown system
        self._sum = self._size = 0

    def compress(self, data: bytes, /) -> bytes:
        self._sum, self._size = zlib.crc32(data, self._sum), self._size + len(data)
        head, self._head = self._head, b""
        return head + self._raw.compress(data)

    def flush(self) -> bytes:
        return self._head + self._raw.flush() + struct.pack("<II", self._sum, self._size & 0xFFFFFFFF)


def _zstd() -> Packer:
    try:
        import zstandard
    except ImportError as error:
        raise ImportError("writing .tar.zst needs zstandard: pip install 'atlas-ds[tar]'") from error
    maker: Any = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    return cast(Packer, maker.compressobj())


PACKERS: Mapping[str, Callable[[], Packer]] = MappingProxyType({"": _Plain, "gzip": _Gzip, "zstd": _zstd})
