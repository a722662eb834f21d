"""The bytes of an Atlas shard: errors, hashes, limits, fixed tables and codecs, as FORMAT.md has them.

Not the structure of a shard (`reader.py`), not what a page holds (`pages.py`), not what values mean (`schema.py`).
"""

from __future__ import annotations

import struct
from collections import namedtuple
from typing import Any, NamedTuple

import lz4.block
import xxhash
import zstandard


class ShardError(Exception):
    """What is read is not a good Atlas file."""


class Corrupt(ShardError):
    """The bytes break a rule of the format."""


class Truncated(Corrupt):
    """The file ends too early: its end is not a trailer, or the trailer speaks of a longer file."""


class Unsupported(ShardError):
    """The file needs a feature that this reader does not know."""


class Limit(ShardError):
    """The file is larger than the format, or this reader, allows."""


def need(condition: object, message: str, error: type[ShardError] = Corrupt) -> None:
    if not condition:
        raise error(message)


# Section 1

def pad(n: int, k: int) -> int:
    return -(-n // k) * k


def H(data: bytes, seed: int = 0) -> int:
    return xxhash.xxh3_64_intdigest(data, seed)


def H128(data: bytes) -> bytes:
    return stored128(xxhash.xxh3_128_intdigest(data))


def stored128(number: int) -> bytes:
    """The low u64, then the high u64, each little-endian: that is the whole number little-endian."""
    return number.to_bytes(16, "little")


def need_zero(data: bytes, what: str) -> None:
    need(not data.strip(b"\0"), f"{what} is not zero")


# The tables, one line each: fields in order, with the letters of `struct`

class Table(NamedTuple):
    name: str
    fields: tuple[str, ...]
    code: struct.Struct
    record: Any

    @property
    def size(self) -> int:
        return self.code.size

    def offset(self, field: str) -> int:
        """Where the field lies, from the start of the table."""
        letters = self.code.format.lstrip("<")
        sizes = [struct.calcsize("<" + letter) for letter in _letters(letters)]
        return sum(sizes[: self.fields.index(field)])

    def read(self, data: bytes, at: int = 0) -> Any:
        """The record at `at`, its reserved fields checked."""
        need(at >= 0 and at + self.size <= len(data), f"{self.name} ends outside of what holds it")
        record = self.record(*self.code.unpack_from(data, at))
        for field in self.fields:
            if field.startswith("reserved"):
                value = getattr(record, field)
                need(not (any(value) if isinstance(value, bytes) else value), f"{self.name}.{field} is not zero")
        return record

    def pack(self, **values: Any) -> bytes:
        empty = {f: b"" if letter.endswith("s") else 0 for f, letter in zip(self.fields, _letters(self.code.format[1:]))}
        return self.code.pack(*(empty | values).values())


def _letters(code: str) -> list[str]:
    out, digits = [], ""
    for character in code:
        digits += character
        if character.isalpha():
            out, digits = [*out, digits], ""
    return out


def table(name: str, text: str) -> Table:
    pairs = [word.split(":") for word in text.split()]
    fields = tuple(field for field, _ in pairs)
    return Table(name, fields, struct.Struct("<" + "".join(code for _, code in pairs)), namedtuple(name, fields))


HEADER = table("HEADER", "magic:8s major:H minor:H header_bytes:I incompat:Q compat:Q nonce:Q reserved:16s hash:Q")
CHUNK = table("CHUNK", "hash:Q kind:4s flags:I body_bytes:Q head_bytes:I reserved:I")
LAYOUT = table("LAYOUT", "leaf_count:I group_count:I schema_bytes:I reserved:I")
LEAF = table("LEAF", "id:H kind:B group:B dictionary:B flags:B reserved:H width:I reserved2:I")
GROUP = table("GROUP", "rows_per_block:I reserved:I")
BLOCK = table("BLOCK", "first_row:Q rows:I group:H pages:H")  # lies right after the chunk header, at 32
PAGE = table("PAGE", "leaf:H layout:B codec:B flags:B dictionary:B cell_rows:H offset:I stored:I raw:I nulls:I hash:Q")
FOOT = table("FOOT", "header:64s row_count:Q raw_bytes:Q digest:16s layout_bytes:I dictionary_count:I block_count:I "
                     "stats_bytes:I reserved:16s")
DICTIONARY = table("DICTIONARY", "offset:Q bytes:I reserved:I digest:16s")
INDEX = table("INDEX", "offset:Q bytes:I raw_bytes:I hash:Q")
TRAILER = table("TRAILER", "footer_offset:Q footer_bytes:Q file_bytes:Q row_count:Q nonce:Q footer_hash:Q hash:Q magic:8s")
TABLES = (HEADER, CHUNK, LAYOUT, LEAF, GROUP, BLOCK, PAGE, FOOT, DICTIONARY, INDEX, TRAILER)

MAGIC = bytes.fromhex("89 41 54 4C 0D 0A 1A 0A")
END_MAGIC = bytes.fromhex("41 54 4C 45 4E 44 0D 0A")
FIXED_LEAF, VARIABLE_LEAF = 1, 2
NULLABLE, PAGE_CODED = 1, 2
FIXED, VAR, CONST, NARROW, ENUM = 1, 2, 3, 4, 5
NONE, LZ4, ZSTD = 0, 1, 2
VALIDITY, CELLS, SHORT = 1, 2, 4

# Section 17, and this reader's own limits
MAX_FILE = 2**63 - 1
MAX_ROWS = 2**20
MAX_PAGE = 2**30
MAX_LEAVES = 4096
MAX_GROUPS = 64
MAX_DICTIONARIES = 255
MAX_DICTIONARY = 2**20
MAX_SCHEMA = 2**22
MAX_FOOTER = 2**30
MAX_DIMENSIONS = 32
MAX_ELEMENTS = 2**30  # the lengths of a shape, multiplied, each 0 as 1
MAX_STRUCTS = 64  # inside each other
MIN_DICTIONARY = 8
OWN_PAGE_LIMIT = 256 * 2**20 + 128
OWN_DEPTH_LIMIT = 512  # brackets of JSON inside each other


# Codecs: exactly `size` bytes come out and every byte that went in is used, or Corrupt

ZSTD_MAGIC = bytes.fromhex("28 B5 2F FD")


def decompress(codec: int, data: bytes, size: int, dictionary: bytes) -> bytes:
    try:
        out = _unlz4(data, size, dictionary) if codec == LZ4 else _unzstd(data, size, dictionary)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError, MemoryError) as error:
        raise Corrupt(f"not decompressible: {error}") from error
    need(len(out) == size, f"{len(out)} bytes came out, {size} were announced")
    return out


def _unlz4(block: bytes, size: int, dictionary: bytes) -> bytes:
    return lz4.block.decompress(block, uncompressed_size=size, dict=dictionary[-65536:])


def _unzstd(frame: bytes, size: int, dictionary: bytes) -> bytes:
    need(zstd_content_size(frame) == size, f"the frame does not announce {size} bytes")
    need(_frame_length(frame) == len(frame), "the frame does not end where its bytes end")
    decoder = zstandard.ZstdDecompressor(dict_data=zstd_dictionary(dictionary) if dictionary else None)
    # `decompress` never makes more than the announced size, but looks at nothing if that is 0
    return decoder.decompress(frame) if size else decoder.decompressobj().decompress(frame)


def zstd_dictionary(data: bytes) -> zstandard.ZstdCompressionDict:
    """Formatted if it begins with the magic number, raw content otherwise."""
    return zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_AUTO)


def check_dictionary(data: bytes) -> None:
    """A formatted dictionary can be decoded, whatever codec uses it."""
    try:
        zstandard.ZstdDecompressor(dict_data=zstd_dictionary(data)).decompress(bytes.fromhex("28 B5 2F FD 20 01 09 00 00 78"))
    except zstandard.ZstdError as error:
        raise Corrupt(f"not a zstd dictionary: {error}") from error


def zstd_content_size(frame: bytes) -> int:
    need(frame[:4] == ZSTD_MAGIC, "not a zstd frame")
    try:
        facts = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as error:
        raise Corrupt(f"not a zstd frame: {error}") from error
    need(not facts.has_checksum and not facts.dict_id, "a zstd frame has no checksum and no dictionary ID")
    need(facts.content_size != zstandard.CONTENTSIZE_UNKNOWN, "the frame does not carry its content size")
    return facts.content_size


def _frame_length(frame: bytes) -> int:
    """Walks the frame's blocks (RFC 8878, 3.1.1.2): 3 bytes of last:1, type:2, size:21, then the block."""
    at, last = zstandard.frame_header_size(frame), 0
    while not last:
        need(at + 3 <= len(frame), "a zstd frame is cut")
        head = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == 1 else size)  # kind 1: one byte, repeated
    return at
