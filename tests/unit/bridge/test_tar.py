"""The walk through a tar: what it reads, and which limits it keeps. Hostile archives are in tests/attacks."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_ds._tar import MappedFile, header_hash, plain_header
from atlas_ds.bridge.tar import archive as tar_module
from atlas_ds.bridge.tar import opening as tar_opening
from atlas_ds.bridge.tar.archive import Member, Tar
from atlas_ds.bridge.tar.opening import open_tar_file, tar_of
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
        with pytest.raises(AtlasError, match="has already been read"):
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
    with pytest.raises(CorruptError, match=r"t\.tar: byte 1024: not a member's header"):
        walk(data[:1024] + b"#" + data[1025:])
    with pytest.raises(CorruptError, match=r"perhaps a second archive"):
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


# --- the usual headers, which are read in Cython ---


def seen(data: bytes) -> list[Member | str]:
    """The members of a tar up to the end or an error, and the error."""
    out: list[Member | str] = []
    try:
        out.extend(tar_of(io.BytesIO(data), "t.tar", seekable=True))
    except AtlasError as error:
        out.append(f"{type(error).__name__}: {error}")
    return out


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.tuples(st.integers(0, 511), st.one_of(st.sampled_from(b"\0 07x/1\x80\xff"), st.integers(0, 255))), max_size=3),
    st.booleans(),
)
def test_usual_headers_are_read_as_the_others(format: str, changes: list[tuple[int, int]], mend: bool) -> None:
    """With and without the Cython path: equal members, equal errors, for headers with some bytes changed and their checksum mended or not."""
    data = bytearray(tar_bytes([("dir/a.txt", b"one"), ("d" * 90 + "/" + "n" * 40 + ".txt", b"")], FORMATS[format]))
    for place, value in changes:
        data[place] = value
    if mend:
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
    with pytest.MonkeyPatch.context() as patch:
        fast = seen(bytes(data))
        patch.setattr(tar_module, "plain_header", lambda block: None)
        assert fast == seen(bytes(data))


def test_which_headers_are_usual() -> None:
    def first(name: str, format: int = tarfile.USTAR_FORMAT) -> tuple[str, int, int] | None:
        return plain_header(tar_bytes([(name, b"abc")], format)[:512])

    block = tar_bytes([("a.txt", b"abc")])[:512]
    assert first("a.txt") == ("a.txt", 3, header_hash(block))
    long = "d" * 154 + "/" + "n" * 100
    assert first(long) == (long, 3, header_hash(tar_bytes([(long, b"abc")])[:512]))
    assert first("a.txt", tarfile.GNU_FORMAT) and first("a.txt", tarfile.PAX_FORMAT)
    assert first("\u00e9.txt") is None and first("\u00e9.txt", tarfile.PAX_FORMAT) is None and first("folder/") is None
    for bad in (b"", block[:511], block + b"\0", bytes(512), block.replace(b"ustar", b"xstar"), block[:124] + b"\x80" + block[125:]):
        assert plain_header(bad) is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp037", "utf-16-le", "iso2022_jp", "unicode_escape"])
def test_names_in_other_encodings(encoding: str) -> None:
    """The second writes letters as other bytes than ASCII does, the third as two."""
    data = tar_bytes([("a\x1b$B8!\x1b(B.txt" if encoding == "iso2022_jp" else "ab\\x41.txt" if encoding == "unicode_escape" else "ab.txt", b"one")])
    names = [member.name for member in tar_of(io.BytesIO(data), "t.tar", seekable=True, encoding=encoding)]
    assert names == [data[:100].rstrip(b"\0").decode(encoding)]


def test_a_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(200)) * 100)
    with open(path, "rb", buffering=0) as file:
        mapped = MappedFile(file.fileno(), 20_000)
        assert mapped.read(3) == b"\0\1\2" and mapped.read(2) == b"\3\4" and mapped.seek(19_999) == 19_999 and mapped.read(10) == b"\xc7"
        assert mapped.read(10) == b"" and mapped.seek(30_000) and mapped.read(1) == b""
        path.write_bytes(bytes(100))  # it shrinks
        assert mapped.seek(90) and mapped.read(20) == bytes(10) and mapped.read(20) == b""
        with pytest.raises(ValueError, match="-1"):
            mapped.seek(-1)
        with pytest.raises(TypeError):
            MappedFile("x", 1)
        os.fstat(0)  # and nothing was closed
        with pytest.raises(OSError):
            MappedFile(file.fileno(), 0)


def test_large_reads_of_a_mapped_file_are_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may shrink while they last."""
    data = os.urandom(1 << 20)
    (tmp_path / "x").write_bytes(data)
    real, calls = os.pread, 0

    def short(fd: int, size: int, at: int) -> bytes:
        nonlocal calls
        calls += 1
        return real(fd, min(size, 300_000), at)

    monkeypatch.setattr(os, "pread", short)
    with open(tmp_path / "x", "rb", buffering=0) as file:
        mapped = MappedFile(file.fileno(), 1 << 20)
    assert mapped.read(1 << 18) == data[: 1 << 18] and calls == 0
    assert mapped.read(1 << 20) == data[1 << 18 :] and calls == 3
    assert mapped.read(5) == b""


def test_what_cannot_be_mapped_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", MEMBERS, tarfile.GNU_FORMAT)
    monkeypatch.setattr(tar_opening, "map_file", lambda file, size: file)
    with open_tar_file(path, sequential=True) as tar:
        assert [(member.name, tar.read()) for member in tar] == MEMBERS
    monkeypatch.undo()
    with open_tar_file(path, sequential=True) as tar:
        assert [(member.name, tar.read()) for member in tar] == MEMBERS
