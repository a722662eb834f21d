"""The walk through a tar: what it reads, and which limits it keeps. Hostile archives are in tests/attacks."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from atlas_ds.bridge.tar import Tar, open_tar_file, tar_of
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError, UnsupportedError
from tests.unit.bridge.tars import tar_bytes, write_tar

LONG = "d" * 60 + "/" + "n" * 120 + ".txt"
MEMBERS = [("a.txt", b"one"), ("empty.bin", b""), ("dir/b.é.png", bytes(range(256)) * 5), ("x" * 90 + "/" + "y" * 80 + ".cls", b"7")]
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
PACKERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}


def contents(tar: Tar) -> list[tuple[str, bytes]]:
    return [(member.name, tar.read()) for member in tar if member.kind == "file"]


def walk(data: bytes, *, seekable: bool = True) -> list[tuple[str, bytes]]:
    return contents(tar_of(io.BytesIO(data), "t.tar", seekable=seekable))


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_all_formats_read_alike(format: str, seekable: bool) -> None:
    members = MEMBERS + ([] if format == "ustar" else [(LONG, b"long"), ("ü" * 80 + ".txt", b"utf-8")])
    assert walk(tar_bytes(members, FORMATS[format]), seekable=seekable) == members


def test_v7_headers_are_read() -> None:
    header = bytearray(tar_bytes([("old.txt", b"abc")])[:512])
    header[257:] = bytes(512 - 257)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert walk(bytes(header) + b"abc".ljust(512, b"\0") + bytes(1024)) == [("old.txt", b"abc")]


def test_sizes_in_base_256_are_read() -> None:
    header = bytearray(tar_bytes([("a.txt", b"abc")])[:512])
    header[124:136] = b"\x80" + (3).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert walk(bytes(header) + b"abc".ljust(512, b"\0") + bytes(1024)) == [("a.txt", b"abc")]


@pytest.mark.parametrize("packer", PACKERS)
def test_what_compresses_is_told_by_magic(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "name-says-nothing.bin"
    path.write_bytes(PACKERS[packer](tar_bytes(MEMBERS)))
    with open_tar_file(path) as tar:
        assert contents(tar) == MEMBERS
    with path.open("rb") as stream:
        assert contents(tar_of(stream, "stream")) == MEMBERS


@pytest.mark.parametrize("packer", sorted(set(PACKERS) - {"plain"}))
def test_packed_streams_may_follow_each_other(packer: str) -> None:
    data = tar_bytes(MEMBERS)
    assert walk(PACKERS[packer](data[:700]) + PACKERS[packer](data[700:])) == MEMBERS


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "lz4"])
def test_garbage_behind_a_packed_stream_is_named(packer: str) -> None:
    with pytest.raises(CorruptError, match="garbage after its end"):
        walk(PACKERS[packer](tar_bytes(MEMBERS)) + b"and more of something else")


def test_a_small_read_leaves_the_rest_to_be_skipped(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", MEMBERS)
    with open_tar_file(path) as tar:
        assert [member.name for member in tar] == [name for name, _ in MEMBERS]
    with open_tar_file(path) as tar:
        members = list(tar)
        assert [tar.read_at(member) for member in reversed(members)] == [data for _, data in reversed(MEMBERS)]


def test_data_is_given_once(tmp_path: Path) -> None:
    with open_tar_file(write_tar(tmp_path / "t.tar", MEMBERS)) as tar:
        next(iter(tar))
        tar.read()
        with pytest.raises(AtlasError, match="was read already"):
            tar.read()


@pytest.mark.parametrize("kind, name", [(tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link"), (tarfile.DIRTYPE, "directory"),
                                        (tarfile.CHRTYPE, "device"), (tarfile.BLKTYPE, "device"), (tarfile.FIFOTYPE, "pipe")])  # fmt: skip
def test_what_is_no_file_is_told_and_not_read(kind: bytes, name: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("special.jpg")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    out.seek(0)
    assert [(member.name.rstrip("/"), member.kind, member.size) for member in tar_of(out, "t.tar", seekable=True)] == [("special.jpg", name, 0)]


def test_padding_may_be_of_any_length_in_whole_blocks() -> None:
    data = tar_bytes(MEMBERS)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for zeros in (2, 3, 20, 4000):
        assert walk(data[:end] + bytes(512 * zeros)) == MEMBERS
    for zeros in (0, 1):
        with pytest.raises(TruncatedError, match="end mark"):
            walk(data[:end] + bytes(512 * zeros))
    with pytest.raises(LimitError, match="MiB of zeros"):
        walk(data[:end] + bytes(17 << 20))


def test_an_empty_archive_and_an_empty_file_differ() -> None:
    assert walk(bytes(1024)) == []
    with pytest.raises(TruncatedError, match="empty"):
        walk(b"")


def test_errors_name_file_and_byte() -> None:
    data = tar_bytes(MEMBERS)
    with pytest.raises(CorruptError, match=r"t\.tar: byte 1024: no header of a member"):
        walk(data[:1024] + b"#" + data[1025:])
    with pytest.raises(CorruptError, match=r"perhaps a second one"):
        walk(data + data)
    with pytest.raises(TruncatedError, match=r"byte 1600: the archive ends inside"):
        walk(data[:1600])


def test_names_of_other_encodings_need_to_be_told() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("grün.txt"))
    with pytest.raises(CorruptError, match="encoding="):
        walk(data.getvalue())
    data.seek(0)
    assert [member.name for member in tar_of(data, "t.tar", encoding="latin-1", seekable=True)] == ["grün.txt"]


def test_unknown_types_are_refused() -> None:
    header = bytearray(tar_bytes([("a.txt", b"")])[:512])
    header[156:157] = b"M"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(UnsupportedError, match="another volume"):
        walk(bytes(header) + bytes(1024))
