"""Every cut and every changed header byte of small tars, plain and packed: an error, or all that was there.

Not tested, since nothing could tell: changes of members' data and of the bodies of extended headers, of which a tar keeps no checksum.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard

import atlas_ds as atlas
from atlas_ds.errors import AtlasError, CorruptError, TruncatedError
from attacks.tars.craft import FORMATS, by_tarfile, good_members, listing, read

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
CHECKSUM = range(148, 156)  # its own leading zeros and what follows it may be blanks or zeros, which changes no number


def values(byte: int) -> set[int]:
    """Bytes that mean something in a header, and neighbours of the one that stands there."""
    chosen = {0, 1, 10, 0x20, 0x2F, 0x30, 0x31, 0x35, 0x37, 0x38, 0x4C, 0x78, 0x7F, 0x80, 0x81, 0xFF, byte ^ 1, byte ^ 0x80, byte ^ 0x20, (byte + 1) % 256}
    return chosen - {byte}


def headers(data: bytes) -> list[int]:
    """Where the headers are: blocks with a magic."""
    return [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_every_cut(format: str, seekable: bool) -> None:
    data = by_tarfile(good_members(format), FORMATS[format])
    whole = read(data)
    assert len(whole) == 3 and sum(len(fields) for _, fields in whole) == 6
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512 + 1024  # behind the end mark
    complete = 0
    for size in range(len(data)):
        if size >= end and size % 512 == 0:
            assert read(data[:size], seekable=seekable) == whole
            complete += 1
            continue
        with pytest.raises(TruncatedError, match=r"byte ([0-9]+)") as caught:
            read(data[:size], seekable=seekable)
        assert f"byte {size}:" in str(caught.value)
    assert complete == (len(data) - end) // 512


@pytest.mark.parametrize("format", FORMATS)
def test_every_header_byte(format: str) -> None:
    accepted = changed_headers(by_tarfile(good_members(format), FORMATS[format]), values)
    assert accepted and accepted <= set(CHECKSUM)


@pytest.mark.campaign
@pytest.mark.parametrize("format", FORMATS)
def test_every_value_of_every_header_byte(format: str) -> None:
    data = by_tarfile(good_members(format), FORMATS[format])
    assert changed_headers(data, lambda byte: set(range(256)) - {byte}) <= set(CHECKSUM)


def changed_headers(data: bytes, others: Callable[[int], set[int]]) -> set[int]:
    """The offsets in headers of which some change was taken; then nothing else may have changed."""
    whole, accepted, changed = read(data), set(), bytearray(data)
    found = headers(data)
    assert len(found) >= 6
    for at in (start + offset for start in found for offset in range(512)):
        for value in others(data[at]):
            changed[at] = value
            try:
                assert read(bytes(changed)) == whole, (at, value)
                accepted.add(at % 512)
            except CorruptError as error:
                assert "byte " in str(error)
        changed[at] = data[at]
    return accepted


@pytest.mark.parametrize("format", FORMATS)
def test_cuts_through_the_import(tmp_path: Path, format: str) -> None:
    """Some of them; the import and the index read by the same walk."""
    data = by_tarfile(good_members(format), FORMATS[format])
    path = tmp_path / "cut.tar"
    for size in (0, 1, 511, 512, 1000, 1024, 1537, 3000, len(data.rstrip(b"\0")), len(data) - 1):
        path.write_bytes(data[:size])
        for call in (
            lambda: atlas.import_webdataset(path, tmp_path / "out"),
            lambda: atlas.import_webdataset(path, tmp_path / "out", dry_run=True),
            lambda: atlas.open_tar(path, progress=False),
        ):
            with pytest.raises(TruncatedError, match=r"cut\.tar: byte [0-9]+"):
                call()
            assert listing(tmp_path) == {"cut.tar"}


# --- packed ---


@pytest.mark.parametrize("packer", PACKERS)
def test_every_cut_of_a_packed_tar(packer: str) -> None:
    data = PACKERS[packer](by_tarfile(good_members("pax"), FORMATS["pax"]))
    assert len(read(data)) == 3
    for size in range(len(data)):
        with pytest.raises(CorruptError, match=r"byte [0-9]+"):
            read(data[:size])


@pytest.mark.parametrize("packer", PACKERS)
def test_every_byte_of_a_packed_tar(packer: str) -> None:
    plain = by_tarfile(good_members("pax"), FORMATS["pax"])
    data, whole, refused = PACKERS[packer](plain), read(plain), 0
    for at, byte in enumerate(data):
        for value in values(byte):
            try:
                assert read(data[:at] + bytes([value]) + data[at + 1 :]) == whole, (at, value)
            except AtlasError as error:
                assert "byte " in str(error) or "memory" in str(error)
                refused += 1
    assert refused > 10 * len(data)


@pytest.mark.parametrize("packer", PACKERS)
def test_streams_behind_each_other_read_as_one(packer: str) -> None:
    plain = by_tarfile(good_members("gnu"), FORMATS["gnu"])
    whole = read(plain)
    pieces = [plain[start : start + 700] for start in range(0, len(plain), 700)]
    packed = b"".join(map(PACKERS[packer], [b"", *pieces, b""]))
    assert read(packed) == whole
    for cut in range(len(packed) - len(PACKERS[packer](b"")) - 30, len(packed) - len(PACKERS[packer](b""))):
        with pytest.raises(CorruptError):
            read(packed[:cut])


@pytest.mark.parametrize("garbage", [b"x", b"abc", b"\0\0x", b"\x28\xb5", b"and more than that" * 9])
@pytest.mark.parametrize("packer", PACKERS)
def test_garbage_behind_a_packed_stream(packer: str, garbage: bytes) -> None:
    with pytest.raises(CorruptError):
        read(PACKERS[packer](by_tarfile(good_members("ustar"))) + garbage)


def test_skippable_frames_are_skipped() -> None:
    plain = by_tarfile(good_members("ustar"))
    skip = b"\x51\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert read(PACKERS["zstd"](plain[:999]) + skip + PACKERS["zstd"](plain[999:]) + skip) == read(plain)
    with pytest.raises(TruncatedError):
        read(PACKERS["zstd"](plain) + skip[:-1])


@pytest.mark.parametrize("name", ["BZh.txt", "BZh91AY.txt", "BZhang/0.txt", "(.txt"])
def test_a_plain_tar_is_not_taken_for_a_packed_one(name: str) -> None:
    assert read(by_tarfile([(name, b"1")]))[0][1] == {"txt": b"1"}
