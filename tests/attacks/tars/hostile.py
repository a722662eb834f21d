"""Hostile archives, one function each; the docstring says what it tries. Each must be refused with the error that its decorator names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import lz4.frame
import zstandard

from attacks.craft import rle_frame
from attacks.tars.craft import END, block, by_tarfile, member, padded, pax, record

GOOD = member(b"a.txt", b"1") + member(b"b.txt", b"2")
SPARSE = b"GNU.sparse."


class Attack(NamedTuple):
    name: str
    error: str
    match: str
    make: Callable[[], bytes]


ATTACKS: list[Attack] = []


def refused(error: str, match: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def keep(make: Callable[[], bytes]) -> Callable[[], bytes]:
        ATTACKS.append(Attack(make.__name__, error, match, make))
        return make

    return keep


# --- ends ---


@refused("CorruptError", "after the end")
def two_archives_joined_by_cat() -> bytes:
    """The second one is lost to whoever stops at the first end mark."""
    return (GOOD + END) * 2


@refused("CorruptError", "after the end")
def garbage_behind_the_end() -> bytes:
    """Bytes that are no part of any member."""
    return GOOD + END + bytes(512) + b"garbage"


@refused("CorruptError", "end mark is two")
def one_zero_block() -> bytes:
    """A block that was zeroed by a bad disk hides all members behind it."""
    return member(b"a.txt", b"1") + bytes(512) + member(b"b.txt", b"2") + END


@refused("TruncatedError", "end mark")
def no_end_mark() -> bytes:
    """Cut between two members: nothing but the missing end mark shows it."""
    return GOOD


@refused("LimitError", "MiB of zeros")
def endless_padding() -> bytes:
    """Zeros behind the end, which cost nothing to send packed."""
    return GOOD + bytes(17 << 20)


@refused("CorruptError", "without a member after it")
def extended_header_at_the_end() -> bytes:
    """Its member was cut away."""
    return GOOD + pax((b"path", b"c.txt")) + END


@refused("TruncatedError", "it is empty")
def nothing_at_all() -> bytes:
    """A download that did not begin."""
    return b""


# --- sizes ---


@refused("TruncatedError", "inside 'a.txt'")
def size_beyond_the_file() -> bytes:
    """8 GiB claimed, one block there."""
    return block(size=(8 << 30) - 1) + bytes(512) + END


@refused("TruncatedError", "inside")
def size_of_2_63_less_one() -> bytes:
    """Whoever adds 511 to it gets a negative number."""
    return block(size=b"\x80" + ((1 << 63) - 1).to_bytes(11, "big")) + END


@refused("LimitError", "over 2")
def size_of_2_63() -> bytes:
    """One more than any file has."""
    return block(size=b"\x80" + (1 << 63).to_bytes(11, "big")) + END


@refused("LimitError", "over 2")
def size_of_2_88() -> bytes:
    """All bits of the field."""
    return block(size=b"\x80" + b"\xff" * 11) + END


@refused("CorruptError", "negative")
def size_negative() -> bytes:
    """Goes back to an earlier header, and on, for ever."""
    return member(b"a.txt", b"1") + block(b"b.txt", b"\xff" * 10 + b"\xfc\x00") + END


@refused("CorruptError", "octal")
def size_with_a_minus() -> bytes:
    """int() takes it."""
    return block(size=b"-0000001000\0") + END


@refused("CorruptError", "octal")
def size_of_two_numbers() -> bytes:
    """GNU tar reads the first, others both as one."""
    return block(size=b"0 0000000777") + bytes(512) + END


@refused("CorruptError", "not a number")
def pax_size_negative() -> bytes:
    """A record may say what the field cannot."""
    return pax((b"size", b"-512")) + member() + END


@refused("LimitError", "over 2")
def pax_size_of_2_63() -> bytes:
    """As in base 256."""
    return pax((b"size", b"%d" % (1 << 63))) + member() + END


@refused("CorruptError", "not a number")
def pax_size_of_100000_digits() -> bytes:
    """int() takes time that grows with the square of their number."""
    return pax((b"size", b"9" * 100_000)) + member() + END


@refused("CorruptError", "claims")
def directory_with_a_size() -> bytes:
    """Is there data behind it? Readers differ."""
    return block(b"d.x/", 512, b"5") + padded(b"hidden") + member() + END


@refused("CorruptError", "claims")
def hard_link_with_a_size() -> bytes:
    """pax writes data behind it, tar does not."""
    return block(b"l.txt", 512, b"1", at={157: b"a.txt"}) + member(b"hidden.txt", b"1") + END


@refused("CorruptError", "claims")
def symbolic_link_with_a_size() -> bytes:
    """As with hard links."""
    return block(b"l.txt", 5, b"2", at={157: b"/etc/passwd"}) + padded(b"hello") + END


# --- types ---


@refused("UnsupportedError", "another volume")
def rest_of_another_volume() -> bytes:
    """Half of a member."""
    return member(b"a.txt", b"half", b"M") + END


@refused("UnsupportedError", "unknown type")
def unknown_type() -> bytes:
    """Who does not know it may skip what is a file to others."""
    return member(b"a.txt", b"1", b"Z") + END


# --- extended headers ---


@refused("LimitError", "extended header of")
def pax_header_of_1_gib() -> bytes:
    """Claimed only: it is the reader that would ask for memory."""
    return block(b"x", 1 << 30, b"x") + END


@refused("LimitError", "records")
def pax_header_of_100000_records() -> bytes:
    """Each a string in a dictionary."""
    return pax(raw=b"7 a=bc\n" * 100_000) + member() + END


@refused("CorruptError", "damaged PAX")
def pax_record_longer_than_its_header() -> bytes:
    """Reads on in the member's header."""
    return pax(raw=b"99 path=b.txt\n") + member() + END


@refused("CorruptError", "damaged PAX")
def pax_record_of_no_length() -> bytes:
    """Never comes to its end."""
    return pax(raw=b"0 path=b.txt\n") + member() + END


@refused("CorruptError", "damaged PAX")
def pax_record_shorter_than_its_length() -> bytes:
    """Ends inside its own key."""
    return pax(raw=b"5 path=b.txt\n") + member() + END


@refused("CorruptError", "damaged PAX")
def pax_record_without_an_end() -> bytes:
    """tarfile stops at it and takes the name in the header."""
    return pax(raw=record(b"path", b"b.txt")[:-1] + b"#") + member() + END


@refused("UnsupportedError", "global PAX header sets 'path'")
def global_name() -> bytes:
    """All members get one name."""
    return pax((b"path", b"b.txt"), kind=b"g") + GOOD + END


@refused("UnsupportedError", "global PAX header sets 'size'")
def global_size() -> bytes:
    """All members get one size: headers become data."""
    return pax((b"size", b"0"), kind=b"g") + GOOD + END


@refused("UnsupportedError", "global PAX header sets 'GNU.sparse.size'")
def global_sparse_map() -> bytes:
    """All members become holes."""
    return pax((SPARSE + b"size", b"9"), kind=b"g") + GOOD + END


@refused("CorruptError", "two extended headers")
def chain_of_extended_headers() -> bytes:
    """A reader that calls itself for each runs out of stack."""
    return pax((b"path", b"b.txt")) * 5000 + member() + END


@refused("CorruptError", "too many extended")
def chain_of_global_headers() -> bytes:
    """These may be repeated, but not so often."""
    return pax((b"comment", b"x"), kind=b"g") * 5000 + member() + END


@refused("CorruptError", "two names")
def two_names() -> bytes:
    """GNU's long name and PAX's: each reader believes another one."""
    return member(b"@", b"good.txt\0", b"L") + pax((b"path", b"evil.txt")) + member() + END


@refused("CorruptError", "is longer than its size says")
def name_longer_than_its_size() -> bytes:
    """tarfile reads a GNU long name up to its first zero, GNU tar as many bytes as its header says. Found by mutation."""
    return block(b"@", 6, b"L") + padded(b"evil.txt.png\0") + member() + END


@refused("UnsupportedError", "charset")
def names_in_binary() -> bytes:
    """Bytes of no charset."""
    return pax((b"hdrcharset", b"BINARY"), (b"path", b"\xff.txt")) + member() + END


# --- names ---


@refused("LimitError", "extended header of")
def name_of_70000_bytes() -> bytes:
    """As a GNU long name."""
    return member(b"@", b"n" * 70_000 + b".txt\0", b"L") + member() + END


@refused("LimitError", "a name of")
def name_of_a_million_slashes() -> bytes:
    """Takes a pattern an hour to find no extension in."""
    return pax((b"path", b"/" * 1_000_000)) + member() + END


@refused("SchemaError", "no sample")
def name_of_60000_slashes() -> bytes:
    """The longest name that is read: no extension, in no time."""
    return pax((b"path", b"/" * 60_000 + b"a")) + member() + END


@refused("CorruptError", "zero byte")
def name_with_a_zero() -> bytes:
    """good.txt to whoever stops there."""
    return pax((b"path", b"good.txt\0.exe")) + member() + END


@refused("CorruptError", "without a name")
def name_that_is_empty() -> bytes:
    """A key of nothing."""
    return member(b"") + END


@refused("CorruptError", "not utf-8")
def name_that_is_not_utf8() -> bytes:
    """Must be told, not replaced: two names could become one."""
    return member(b"\xff\xfe.txt") + END


@refused("SchemaError", "__key__")
def name_of_the_key_column() -> bytes:
    """Would overwrite the key."""
    return member(b"a.__key__", b"evil") + END


@refused("LimitError", "256 different extensions")
def extensions_without_end() -> bytes:
    """10^5 columns."""
    return b"".join(member(b"a.%d" % number) for number in range(20_000)) + END


@refused("LimitError", "256 different extensions")
def an_extension_for_each_sample() -> bytes:
    """One column each."""
    return b"".join(member(b"%05d.x%05d" % (number, number)) for number in range(2_000)) + END


@refused("SchemaError", "already")
def field_twice() -> bytes:
    """The second differs in case only."""
    return member(b"a.txt", b"1") + member(b"a.TXT", b"2") + END


@refused("SchemaError", "occurs again")
def keys_interleaved() -> bytes:
    """a, b, a: two samples or three?"""
    return member(b"a.txt", b"1") + member(b"b.txt", b"2") + member(b"a.bin", b"3") + END


# --- sparse members ---


def old_sparse(size: int, pieces: list[tuple[int, int]], data: bytes = b"", *, extensions: int = 0) -> bytes:
    """A header of type S with the first four pieces, and blocks with the others."""
    fields = [b"%011o\0%011o\0" % piece for piece in pieces]
    at = {386: b"".join(fields[:4]), 482: b"\1" if len(fields) > 4 or extensions else b"\0", 483: b"%011o\0" % size}
    out, rest = block(b"s.bin", len(data), b"S", magic=b"ustar  \0", at=at), fields[4:]
    blocks = max(extensions, -(-len(rest) // 21))
    for number in range(blocks):
        out += b"".join(rest[21 * number : 21 * number + 21]).ljust(504, b"\0") + (b"\1" if number + 1 < blocks else b"\0") + bytes(7)
    return out + padded(data) + END


def sparse_0(size: int, pieces: list[tuple[int, int]], data: bytes = b"") -> bytes:
    both = [item for offset, length in pieces for item in ((SPARSE + b"offset", b"%d" % offset), (SPARSE + b"numbytes", b"%d" % length))]
    return pax((SPARSE + b"size", b"%d" % size), (SPARSE + b"numblocks", b"%d" % len(pieces)), *both) + member(b"s.bin", data) + END


def sparse_01(size: int, pieces: list[tuple[int, int]], data: bytes = b"") -> bytes:
    numbers = b",".join(b"%d,%d" % piece for piece in pieces)
    records = (SPARSE + b"size", b"%d" % size), (SPARSE + b"numblocks", b"%d" % len(pieces)), (SPARSE + b"map", numbers)
    return pax(*records, (SPARSE + b"name", b"s.bin")) + member(b"GNUSparseFile.1/s.bin", data) + END


def sparse_1(size: int, pieces: list[tuple[int, int]], data: bytes = b"") -> bytes:
    numbers = padded(b"%d\n" % len(pieces) + b"".join(b"%d\n%d\n" % piece for piece in pieces))
    version = (SPARSE + b"major", b"1"), (SPARSE + b"minor", b"0")
    return pax(*version, (SPARSE + b"name", b"s.bin"), (SPARSE + b"realsize", b"%d" % size)) + member(b"GNUSparseFile.1/s.bin", numbers + data) + END


FORMS = {"old": old_sparse, "0.0": sparse_0, "0.1": sparse_01, "1.0": sparse_1}
MAPS: dict[str, tuple[str, str, int, list[tuple[int, int]], bytes]] = {
    "of a huge hole": ("LimitError", "bytes|pieces", 1 << 32, [(0, 4)], b"data"),
    "of pieces that overlap": ("CorruptError", "overlap", 100, [(0, 8), (4, 8)], bytes(16)),
    "out of order": ("CorruptError", "order", 100, [(50, 4), (0, 4)], bytes(8)),
    "beyond its size": ("CorruptError", "fit", 100, [(98, 4)], b"data"),
    "with less data": ("CorruptError", "fit", 100, [(0, 8)], b"data"),
    "with more data": ("CorruptError", "fit", 100, [(0, 4)], b"datadata"),
    "without an entry": ("CorruptError", "fit", 100, [], b"data"),
    "of many pieces": ("LimitError", "pieces|records|extended header", 16 << 20, [(number, 0) for number in range(40_000)], b""),
}
for form, write in FORMS.items():
    for what, (error, match, size, pieces, data) in MAPS.items():
        ATTACKS.append(Attack(f"sparse {form} {what}", error, match, lambda write=write, size=size, pieces=pieces, data=data: write(size, pieces, data)))


@refused("LimitError", "pieces")
def sparse_map_of_a_million_entries() -> bytes:
    """Each a tuple of two numbers."""
    return sparse_1(16 << 20, [(0, 0)] * 1_000_000)


@refused("CorruptError", "negative")
def sparse_map_with_a_negative_number() -> bytes:
    """In base 256."""
    data = bytearray(old_sparse(100, [(0, 4)], b"data"))
    return block(b"s.bin", 4, b"S", magic=b"ustar  \0", at={386: b"\xff" * 12, 398: b"%011o\0" % 4, 483: b"%011o\0" % 100}) + bytes(data[512:])


@refused("CorruptError", "not a number")
def sparse_map_of_one_long_number() -> bytes:
    """A pattern that looks for digits begins again at each of them: minutes for 1 MiB (tarfile)."""
    return pax((SPARSE + b"size", b"9"), (SPARSE + b"numblocks", b"1"), (SPARSE + b"map", b"0," + b"1" * 1_000_000)) + member(b"s.bin") + END


@refused("TruncatedError", "sparse map")
def sparse_map_that_goes_on() -> bytes:
    """It continues behind the end of the file."""
    return old_sparse(100, [(0, 4)] * 5, extensions=3)[: 3 * 512]


@refused("CorruptError", "map of a sparse file")
def sparse_map_of_a_directory() -> bytes:
    """A size by the back door."""
    return pax((SPARSE + b"size", b"9"), (SPARSE + b"map", b"0,9")) + member(b"d.x/", b"", b"5") + END


@refused("UnsupportedError", "version")
def sparse_of_the_future() -> bytes:
    """Version 2.0."""
    return pax((SPARSE + b"major", b"2"), (SPARSE + b"minor", b"0")) + member(b"s.bin") + END


# --- bombs ---


def start(pack: Callable[[bytes], bytes]) -> bytes:
    """A member of 1 GiB; its data follow as streams that are all alike."""
    return pack(block(b"zeros.bin", (1 << 30) - 512) + bytes(512))


@refused("LimitError", "expands")
def gzip_bomb() -> bytes:
    """1 GiB of zeros in a member, in 1 MiB."""
    return start(gzip.compress) + gzip.compress(bytes(1 << 20)) * 1023


@refused("LimitError", "expands")
def bzip2_bomb() -> bytes:
    """1 GiB in 1 KiB or so."""
    return start(bz2.compress) + bz2.compress(bytes(8 << 20)) * 127


@refused("LimitError", "expands")
def xz_bomb() -> bytes:
    """1 GiB in 160 KiB."""
    return start(lzma.compress) + lzma.compress(bytes(1 << 20)) * 1023


@refused("LimitError", "expands")
def zstd_bomb() -> bytes:
    """1 GiB in 32 KiB."""
    return start(zstandard.compress) + rle_frame((1 << 30) - 1024)


@refused("LimitError", "expands")
def lz4_bomb() -> bytes:
    """As much as LZ4 can: 255 times."""
    return start(lz4.frame.compress) + lz4.frame.compress(bytes(4 << 20), block_size=lz4.frame.BLOCKSIZE_MAX4MB) * 255


@refused("LimitError", "MiB of zeros|expands")
def bomb_behind_the_end() -> bytes:
    """A good archive, and then zeros without end."""
    return gzip.compress(GOOD + END) + gzip.compress(bytes(1 << 20)) * 1024


@refused("TruncatedError", "ends")
def empty_streams() -> bytes:
    """20,000 gzip streams of nothing, each with a decoder of its own."""
    return gzip.compress(b"") * 20_000


def with_crc(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


@refused("LimitError", "memory")
def xz_dictionary_of_1_5_gib() -> bytes:
    """Asked for in a byte of the block's header."""
    data = bytearray(lzma.compress(GOOD + END))
    assert data[12:16] == b"\x02\x00\x21\x01"
    data[16] = 37
    data[12:24] = with_crc(bytes(data[12:20]))
    return bytes(data)


@refused("LimitError", "memory")
def zstd_window_of_2_gib() -> bytes:
    """Asked for in a byte of the frame's header."""
    return b"\x28\xb5\x2f\xfd" + bytes([0x00, 21 << 3]) + ((len(GOOD) << 3) | 1).to_bytes(3, "little") + GOOD


# --- what is taken, and must hurt nothing ---


class Taken(NamedTuple):
    name: str
    samples: list[tuple[str, dict[str, bytes]]]
    data: bytes


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise RuntimeError('a pickle ran')",)


def taken() -> Iterator[Taken]:
    """Archives that are read: odd, perhaps meant badly, but with one meaning."""
    links = block(b"p.txt", 0, b"2", at={157: b"/etc/passwd"}) + block(b"q.txt", 0, b"1", at={157: b"../../x"})
    devices = b"".join(block(b"d%d.txt" % kind, 0, b"%d" % kind) for kind in (3, 4, 6)) + block(b"d.x/", 0, b"5")
    yield Taken("links and devices", [("a", {"txt": b"1"})], links + devices + member(b"a.txt", b"1") + END)
    for what, name in {"parent": "../../evil", "absolute": "/etc/cron.d/evil", "control": "\x1b[2Jevil\x07", "newline": "ev\nil", "turned": "\u202eevil"}.items():
        yield Taken(f"name {what}", [(name, {"txt": b"1"})], pax((b"path", f"{name}.txt".encode())) + member(b"x.txt", b"1") + END)
    long = "n" * 65_000
    yield Taken("name long", [(long, {"txt": b"1"})], member(b"@", long.encode() + b".txt\0", b"L") + member(b"x.txt", b"1") + END)
    yield Taken("extension empty", [("a", {"": b"1"}), ("b", {".c": b"2"})], member(b"a.", b"1") + member(b"b..c", b"2") + END)
    yield Taken("extension hidden", [("a", {"txt": b"1"})], member(b".hidden", b"1") + member(b"a.txt", b"1") + END)
    yield Taken("pickle", [("a", {"pkl": pickle.dumps(Evil())})], member(b"a.pkl", pickle.dumps(Evil())) + END)
    yield Taken("base 256", [("a", {"txt": b"1"})], block(b"a.txt", b"\x80" + bytes(10) + b"\1") + padded(b"1") + END)
    yield Taken("global comment", [("a", {"txt": b"1"})], pax((b"comment", b"c" * 40), kind=b"g") + member(b"a.txt", b"1") + END)
    inner = gzip.compress(bytes(8 << 20))
    yield Taken("nested", [("a", {"tar.gz": inner})], gzip.compress(member(b"a.tar.gz", inner) + END))


def by_gnu(form: str) -> bytes:
    """A sparse file as GNU tar would store it."""
    return FORMS[form](10_000, [(0, 4), (512, 6), (4096, 3), (5000, 1), (6000, 2), (10_000, 0)], b"data" + b"second" + b"end" + b"x" + b"yz")


def tarfile_reads(data: bytes) -> bytes:
    """Of its first file."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        return file.read()


def plain() -> bytes:
    return by_tarfile([("a.txt", b"1"), ("b.txt", b"2")])
