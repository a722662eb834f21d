"""Literals in four streams (csrc/literals.c): frames that were rewritten yield the same bytes, and damaged ones are left as they are.

Frames with one stream are made here, because zstd's encoder does not make all that its decoder must read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
import zstandard

from safety import core as c

DECLARATIONS = """
typedef struct { uint8_t longest; uint8_t lengths[256]; uint16_t codes[256]; uint16_t next[2048]; } atlas_huffman;
void atlas_huffman_of_dictionary(atlas_huffman *table, const uint8_t *dictionary, size_t size);
size_t atlas_literals_split(uint8_t *frame, size_t size, size_t capacity, const atlas_huffman *known, size_t least);
typedef struct atlas_dict atlas_dict;
typedef struct { uint64_t at; const char *why; int status; } atlas_error;
int atlas_dict_open(const uint8_t *bytes, size_t size, int level, atlas_dict **out, atlas_error *error);
void atlas_dict_close(atlas_dict *dict);
void *atlas_codec_encoder_open(void);
size_t atlas_codec_encode(void *e, int codec, const atlas_dict *d, int level, int literals,
  const uint8_t *src, size_t n, uint8_t *out, size_t most);
void *ZSTD_createCCtx(void);
size_t ZSTD_CCtx_setParameter(void *, int, int);
size_t ZSTD_CCtx_loadDictionary(void *, const void *, size_t);
size_t ZSTD_compress2(void *, void *, size_t, const void *, size_t);
void *ZSTD_createDCtx(void);
size_t ZSTD_decompress_usingDict(void *, void *, size_t, const void *, size_t, const void *, size_t);
"""
HEAD = bytes.fromhex("37a430ec") + bytes(4)  # of a dictionary
OWN, KNOWN = 2, 3  # the table is in the block, or the dictionary's
RUN = 1027  # bytes after the literals: the last one repeated, so that a block is shorter than its content
LENGTH_CODES = [(i, 0) for i in range(16)] + list(
    zip((16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512), (1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9), strict=True)
)  # of the number of literals before a match: least, and extra bits
SIZES = range(6, 1024)


@pytest.fixture(scope="session")
def ffi() -> Any:
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    return ffi


@pytest.fixture(scope="session")
def lib(ffi: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    files = [c.CSRC / "literals.c", c.CSRC / "codec.c"]
    return ffi.dlopen(str(c.compile_c(tmp_path_factory.mktemp("literals") / "literals.so", files, "-O2", "-shared", "-fPIC", *c.STRICT)))


def skewed(rng: np.random.Generator, symbols: int, count: int) -> bytes:
    """Bytes below `symbols`, small ones more often."""
    return np.minimum(symbols ** rng.random(count), symbols - 1).astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def trained() -> bytes:
    rng = np.random.default_rng(3)
    return zstandard.train_dictionary(4096, [skewed(rng, 256, 900) for _ in range(600)]).as_bytes()


def table_of(ffi: Any, lib: Any, dictionary: bytes) -> Any:
    table = ffi.new("atlas_huffman *")
    lib.atlas_huffman_of_dictionary(table, dictionary, len(dictionary))
    return table


def direct_tree() -> bytes:
    """Weights of 4 bits: of the bytes 0 .. 7; 3 of them have no code, and that of byte 7 follows from the others."""
    weights = [5, 4, 0, 3, 2, 0, 1]
    return bytes([127 + len(weights), *(a << 4 | b for a, b in zip(weights[::2], [*weights[1::2], 0], strict=True))])


def fse_tree(ffi: Any, lib: Any, symbols: int) -> bytes:
    """As zstd describes the table of bytes that are not alike in number."""
    frame = compress(ffi, lib, skewed(np.random.default_rng(symbols), symbols, 30_000))
    start = 10 if frame[4] >> 6 == 1 else 12
    assert frame[start] & 3 == OWN
    start += {0: 3, 1: 3, 2: 4, 3: 5}[frame[start] >> 2 & 3]
    assert frame[start] < 128
    return frame[start : start + 1 + frame[start]]


def compress(ffi: Any, lib: Any, data: bytes, dictionary: bytes = b"", level: int = 3) -> bytes:
    context, out = lib.ZSTD_createCCtx(), ffi.new("uint8_t[]", len(data) + 512)
    for parameter, value in ((100, level), (202, 0), (1002, 1)):  # level, no dictionary ID, Huffman's code wherever it can be
        lib.ZSTD_CCtx_setParameter(context, parameter, value)
    if dictionary:
        lib.ZSTD_CCtx_loadDictionary(context, dictionary, len(dictionary))
    size = lib.ZSTD_compress2(context, out, len(out), data, len(data))
    assert size <= len(out)
    return bytes(ffi.buffer(out, size))


def one_stream(table: Any, tree: bytes, literals: bytes) -> tuple[bytes, bytes] | None:
    """A frame, and its content: the literals, and the last of them 1,027 times; None if one stream cannot have so many bytes."""
    bits, length = 1, 0
    for byte in literals:
        bits, length = bits << table.lengths[byte] | table.codes[byte], length + table.lengths[byte]
    coded = tree + bits.to_bytes(length // 8 + 1, "little")
    if len(coded) > 1023:
        return None
    n = len(literals)
    code = max(k for k, (base, _) in enumerate(LENGTH_CODES) if base <= n)
    base, extra = LENGTH_CODES[code]
    last = 1 << (2 + 10 + extra) | (n - base)
    sequences = bytes([1, 0x54, code, 2, 46]) + last.to_bytes(last.bit_length() // 8 + (last.bit_length() % 8 != 0), "little")
    head = ((OWN if tree else KNOWN) | n << 4 | len(coded) << 14).to_bytes(3, "little")
    block = head + coded + sequences
    content = n + RUN
    frame = bytes.fromhex("28b52ffd60") + (content - 256).to_bytes(2, "little") + (5 | len(block) << 3).to_bytes(3, "little") + block
    return frame, literals + literals[-1:] * RUN


def split(ffi: Any, lib: Any, frame: bytes, table: Any, *, room: int = 16, least: int = 6) -> bytes:
    buffer = ffi.new("uint8_t[]", len(frame) + room)
    ffi.memmove(buffer, frame, len(frame))
    size = lib.atlas_literals_split(buffer, len(frame), len(frame) + room, table, least)
    return bytes(ffi.buffer(buffer, size))


def decode(ffi: Any, lib: Any, frame: bytes, size: int, dictionary: bytes = b"") -> bytes:
    """By libzstd and by the package zstandard, which must agree."""
    out = ffi.new("uint8_t[]", size + 1)
    got = lib.ZSTD_decompress_usingDict(lib.ZSTD_createDCtx(), out, size, frame, len(frame), dictionary or ffi.NULL, len(dictionary))
    assert got == size
    given = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    data = zstandard.ZstdDecompressor(dict_data=given).decompress(frame)
    assert data == bytes(ffi.buffer(out, size))
    return data


def streams(frame: bytes) -> int:
    start = 5 + (1, 2, 4, 8)[frame[4] >> 6] + 3
    return 4 if frame[start] >> 2 & 3 else 1


def same_after(ffi: Any, lib: Any, made: tuple[bytes, bytes], table: Any, dictionary: bytes = b"") -> bytes:
    frame, content = made
    assert decode(ffi, lib, frame, len(content), dictionary) == content
    changed = split(ffi, lib, frame, table)
    assert streams(frame) == 1 and streams(changed) == 4
    assert len(frame) + 6 <= len(changed) <= len(frame) + 10
    assert decode(ffi, lib, changed, len(content), dictionary) == content
    return changed


@pytest.mark.parametrize("kind", ["direct", "fse", "fse of few"])
def test_every_size_with_a_table_of_its_own(ffi: Any, lib: Any, kind: str) -> None:
    tree = direct_tree() if kind == "direct" else fse_tree(ffi, lib, 256 if kind == "fse" else 60)
    table = table_of(ffi, lib, HEAD + tree)
    coded = np.array([byte for byte in range(256) if table.lengths[byte]], np.uint8)
    assert len(coded) == {"direct": 6, "fse": 255, "fse of few": 59}[kind]
    rng = np.random.default_rng(1)
    made = [one_stream(table, tree, rng.choice(coded, n).tobytes() if n % 2 else skewed_of(rng, coded, n)) for n in SIZES]
    changed = [same_after(ffi, lib, one, ffi.NULL) for one in made if one is not None]
    assert len(changed) > len(SIZES) * 3 // 4


def skewed_of(rng: np.random.Generator, coded: np.ndarray, count: int) -> bytes:
    return coded[np.frombuffer(skewed(rng, len(coded), count), np.uint8)].tobytes()


def test_every_size_with_the_table_of_a_dictionary(ffi: Any, lib: Any, trained: bytes) -> None:
    table = table_of(ffi, lib, trained)
    assert all(table.lengths[byte] for byte in range(256))
    rng = np.random.default_rng(2)
    for n in SIZES:
        made = one_stream(table, b"", skewed(rng, 256, n))
        assert made is not None
        same_after(ffi, lib, made, table, trained)
        assert split(ffi, lib, made[0], ffi.NULL) == made[0]


@pytest.mark.parametrize("kind", [OWN, KNOWN])
def test_streams_of_more_than_1023_bytes_have_a_longer_head(ffi: Any, lib: Any, trained: bytes, kind: int) -> None:
    tree = fse_tree(ffi, lib, 256) if kind == OWN else b""
    table = table_of(ffi, lib, HEAD + tree if tree else trained)
    rng = np.random.default_rng(4)
    rare = [byte for byte in range(256) if table.lengths[byte] > 8]
    usual = [byte for byte in range(256) if 0 < table.lengths[byte] <= 6]
    found = 0
    for n in range(780, 1024):
        for part in np.linspace(0, 1, 41):
            literals = np.where(rng.random(n) < part, rng.choice(rare, n), rng.choice(usual, n)).astype(np.uint8).tobytes()
            total = len(tree) + sum(table.lengths[byte] for byte in literals) // 8 + 1
            if 1017 < total <= 1023:
                made = one_stream(table, tree, literals)
                assert made is not None
                changed = same_after(ffi, lib, made, table, trained if kind == KNOWN else b"")
                found += changed[10] >> 2 & 3 == 2
    assert found > 10


def test_frames_that_zstd_makes(ffi: Any, lib: Any, trained: bytes) -> None:
    """Of every size, by themselves and with a dictionary; all that has one stream is rewritten unless it would be longer than its content."""
    rng = np.random.default_rng(5)
    table, changed = table_of(ffi, lib, trained), {b"": 0, trained: 0}
    for n in SIZES:
        for dictionary in changed:
            for symbols in (6, 40, 256):
                data = skewed(rng, symbols, n)
                frame = compress(ffi, lib, data, dictionary, level=-50 if n % 2 else 3)
                after = split(ffi, lib, frame, table if dictionary else ffi.NULL)
                assert decode(ffi, lib, after, n, dictionary) == data
                changed[dictionary] += after != frame
    assert changed[b""] > 400 and changed[trained] > 2000


def test_what_has_no_room_or_too_few_literals_stays(ffi: Any, lib: Any, trained: bytes) -> None:
    table = table_of(ffi, lib, trained)
    made = one_stream(table, b"", skewed(np.random.default_rng(6), 256, 300))
    assert made is not None
    frame = made[0]
    grown = len(split(ffi, lib, frame, table)) - len(frame)
    for room in range(16):
        assert len(split(ffi, lib, frame, table, room=room)) == len(frame) + (grown if room >= grown else 0)
    assert split(ffi, lib, frame, table, least=301) == frame != split(ffi, lib, frame, table, least=300)


def test_frames_of_other_kinds_stay(ffi: Any, lib: Any, trained: bytes) -> None:
    table = table_of(ffi, lib, trained)
    made = one_stream(table, b"", skewed(np.random.default_rng(7), 256, 300))
    assert made is not None
    frame = made[0]
    for at, value in ((4, 0x64), (4, 0x61), (4, 0x40), (4, 0x70), (7, frame[7] & ~1), (7, frame[7] ^ 6), (8, frame[8] ^ 1)):
        other = frame[:at] + bytes([value]) + frame[at + 1 :]
        assert split(ffi, lib, other, table) == other
    longer = frame + b"\0"
    assert split(ffi, lib, longer, table) == longer


def test_the_codec_makes_four_streams_from_256_literals_on(ffi: Any, lib: Any, trained: bytes) -> None:
    out, error = ffi.new("atlas_dict **"), ffi.new("atlas_error *")
    assert lib.atlas_dict_open(trained, len(trained), -50, out, error) == c.OK
    encoder, packed = lib.atlas_codec_encoder_open(), ffi.new("uint8_t[]", 2048)
    rng = np.random.default_rng(8)
    for n, expected in ((200, 1), (240, 1), (300, 4), (600, 4), (1000, 4), (1023, 4)):
        data = skewed(rng, 256, n)
        size = lib.atlas_codec_encode(encoder, 2, out[0], -50, 1, data, n, packed, n)
        frame = bytes(ffi.buffer(packed, size))
        assert streams(frame) == expected and decode(ffi, lib, frame, n, trained) == data
    lib.atlas_dict_close(out[0])


def test_dictionaries_without_a_table(ffi: Any, lib: Any, trained: bytes) -> None:
    for dictionary in (b"", trained[:4], trained[:8], b"raw content" * 9, HEAD, HEAD + b"\x80", HEAD + b"\xff" + bytes(64), HEAD + bytes(200)):
        assert table_of(ffi, lib, dictionary).longest == 0


def test_damaged_dictionaries_and_frames_are_harmless(ffi: Any, lib: Any, trained: bytes, tmp_path: Path) -> None:
    """Every truncation, and 20,000 times some flipped bits, in memory of the exact size, under the sanitizers."""
    table, tree, rng = table_of(ffi, lib, trained), fse_tree(ffi, lib, 256), np.random.default_rng(9)
    made = [one_stream(table, b"", skewed(rng, 256, 700)), one_stream(table_of(ffi, lib, HEAD + tree), tree, skewed(rng, 255, 500)),
            one_stream(table_of(ffi, lib, HEAD + direct_tree()), direct_tree(), bytes([0, 1, 3, 7] * 60))]
    frames = [tmp_path / f"frame{k}" for k in range(len(made))]
    for path, one in zip(frames, made, strict=True):
        assert one is not None
        path.write_bytes(one[0])
    (tmp_path / "dictionary").write_bytes(trained)
    driver = c.compile_c(tmp_path / "driver", [c.ROOT / "tests/safety/literals.c", c.CSRC / "literals.c", c.CSRC / "codec.c"], "-O1", *c.ASAN)
    tables, rewritten = c.run(driver, tmp_path / "dictionary", *frames)
    assert tables > 1000 and rewritten > 1000
