"""Opens compressed files, detected by magic number and never by name. Truncation, garbage after the
end and decompression bombs are errors.

Files are read sequentially. zstd and LZ4 need the `tar` extra, which only this file imports.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import IO, Any, Protocol

from atlas_ds.bridge.compression.zstd_frames import MAGIC as ZSTD
from atlas_ds.bridge.compression.zstd_frames import Frames
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError
from atlas_ds.sizes import format_binary

CHUNK = 1 << 16
FIRST_CHUNK = 1 << 10  # of a stream after another: unused bytes are copied
FREE_BYTES = 16 << 20  # what any archive may expand to
MAX_EXPANSION = 250  # beyond that, how many times its own size; gzip reaches 1,030 for zeros, images and text stay below 30
MEMORY_LIMIT = 128 << 20  # of a decoder: `xz -9` needs 65 MiB, `zstd --long` 128


class Decoder(Protocol):
    """What bz2, lzma and lz4 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Gzip:
    """zlib's decoder with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))


def xz() -> Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT)


def lz4() -> Decoder:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError as error:
        raise AtlasError("reading LZ4 needs the lz4 package; install it: pip install 'atlas-ds[tar]'") from error
    return LZ4FrameDecompressor()  # type: ignore[no-any-return]


DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"\x1f\x8b": Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": xz,
    b"\x04\x22\x4d\x18": lz4,
}
NAMES = dict(zip((*DECODERS, ZSTD), ("gzip", "bzip2", "xz", "LZ4", "zstd"), strict=True))
MAGIC_BYTES = 10
BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")  # a tar may begin with a member BZh.jpg


def packing(head: bytes) -> bytes | None:
    """The magic number of the compression of these bytes, or None."""
    found = next((magic for magic in (*DECODERS, ZSTD) if head.startswith(magic)), None)
    return None if found == b"BZh" and BZIP2.match(head) is None else found


def unpacked(file: IO[bytes], head: bytes, where: str, max_expansion: int = MAX_EXPANSION) -> IO[bytes] | None:
    """The decompressed bytes of a file whose first bytes, `head`, have already been read; None
    if it is not compressed."""
    magic = packing(head)
    if magic is None:
        return None
    counted = Counted(file, head)
    raw: io.RawIOBase = Zstd(counted, where, max_expansion) if magic == ZSTD else Unpacked(counted, magic, where, max_expansion)
    return io.BufferedReader(raw, CHUNK)


def open_unpacked(file: IO[bytes], where: str, max_expansion: int = MAX_EXPANSION) -> IO[bytes]:
    """A file from its start, decompressed if it is compressed."""
    inner = unpacked(file, file.read(MAGIC_BYTES), where, max_expansion)
    if inner is not None:
        return inner
    file.seek(0)
    return file


class Counted:
    """Compressed bytes, and how many were read."""

    def __init__(self, file: IO[bytes], head: bytes) -> None:
        self._file, self._buffer, self._at = file, head, 0
        self.taken = 0

    def read(self, size: int) -> bytes:
        if self._at == len(self._buffer):
            self._buffer, self._at = self._file.read(CHUNK), 0
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        self.taken += len(data)
        return data

    def unread(self, data: bytes) -> None:
        """Returns the last bytes that were read, to be read again."""
        self.taken -= len(data)
        if len(data) > self._at:
            self._buffer, self._at = data + self._buffer[self._at :], 0
        else:
            self._at -= len(data)


class Followed:
    """Compressed bytes for a zstd decoder, which also tracks the frames."""

    def __init__(self, source: Counted) -> None:
        self._source, self.frames = source, Frames()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.frames.feed(data)
        return data


class Limited(io.RawIOBase):
    """Decompressed bytes, compared with the number of compressed bytes."""

    def __init__(self, source: Counted, where: str, max_expansion: int) -> None:
        self._source, self._where, self._max_expansion = source, where, max_expansion
        self._returned = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.take(len(buffer))
        buffer[: len(data)] = data
        self._returned += len(data)
        if self._returned > FREE_BYTES and self._returned > self._max_expansion * self._source.taken:
            raise LimitError(
                f"{self._where}: byte {self._source.taken} of the compressed file: it expands more than {self._max_expansion} times, like a decompression bomb;"
                f" if you trust it, unpack it yourself, or raise the limit: --max-expansion {10 * self._max_expansion}, or max_expansion= in Python"
            )
        return len(data)

    def take(self, size: int) -> bytes:
        raise NotImplementedError

    def damaged(self, error: BaseException) -> CorruptError:
        return CorruptError(f"{self._where}: byte {self._source.taken} of the compressed file: {error}; fetch the file again")


class Unpacked(Limited):
    """gzip, bzip2, xz and LZ4: one stream, or several one after another."""

    def __init__(self, source: Counted, magic: bytes, where: str, max_expansion: int) -> None:
        super().__init__(source, where, max_expansion)
        self._magic, self._make = magic, DECODERS[magic]
        self._decoder = self._make()
        self._chunk = CHUNK

    def take(self, size: int) -> bytes:
        while True:
            if self._decoder.eof and not self._next_stream():
                return b""
            data = self._source.read(self._chunk) if self._decoder.needs_input else b""
            self._chunk = min(2 * self._chunk, CHUNK)
            if self._decoder.needs_input and not data:
                raise TruncatedError(f"{self._where}: byte {self._source.taken}: the compressed file ends too early; fetch it again")
            try:
                out = self._decoder.decompress(data, size)
            except (zlib.error, OSError, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
                if "memory" in str(error).lower():
                    raise LimitError(f"{self._where}: decompression needs more than {format_binary(MEMORY_LIMIT)} of memory; unpack it yourself") from error
                raise self.damaged(error) from error
            if out:
                return out

    def _next_stream(self) -> bool:
        """Begins what follows the end of a stream: another stream, zeros to the end (as on
        tapes), or nothing."""
        rest = self._decoder.unused_data or b""
        while not rest.strip(b"\0"):
            more = self._source.read(CHUNK)
            if not more:
                return False
            rest = more
        if len(rest) < len(self._magic):
            rest += self._source.read(CHUNK)
        if not rest.startswith(self._magic):
            raise CorruptError(f"{self._where}: byte {self._source.taken} of the compressed file: garbage after its end; remove it, or fetch the file again")
        self._source.unread(rest)
        self._decoder, self._chunk = self._make(), FIRST_CHUNK
        return True


class Zstd(Limited):
    def __init__(self, source: Counted, where: str, max_expansion: int) -> None:
        super().__init__(source, where, max_expansion)
        try:
            import zstandard
        except ImportError as error:
            raise AtlasError(f"{where}: reading zstd needs the zstandard package; install it: pip install 'atlas-ds[tar]'") from error
        self._error = zstandard.ZstdError
        self._followed = Followed(source)
        self._reader = zstandard.ZstdDecompressor(max_window_size=MEMORY_LIMIT).stream_reader(self._followed, CHUNK, read_across_frames=True)  # type: ignore[arg-type]

    def take(self, size: int) -> bytes:
        try:
            data: bytes = self._reader.read(size)
        except self._error as error:
            if "memory" in str(error).lower():
                raise LimitError(f"{self._where}: decompression needs more than {format_binary(MEMORY_LIMIT)} of memory; unpack it yourself") from error
            raise self.damaged(error) from error
        if not data and not self._followed.frames.at_end:
            raise TruncatedError(f"{self._where}: byte {self._source.taken}: the compressed file ends too early, or in garbage; fetch it again")
        return data
