"""Iterates over all members of a tar archive: any inconsistency is an error that names the byte.
Nothing is ever extracted.

It reads V7, USTAR, GNU and PAX headers itself, because tarfile stops silently at a damaged header
or a missing end (see docs/decisions). Extended headers are parsed by pax.py, sparse members by
sparse.py.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, NamedTuple, NoReturn

from atlas_ds._tar import MappedFile, header_hash, plain_header
from atlas_ds.bridge.tar.checksum import BLOCK, is_sum
from atlas_ds.bridge.tar.numbers import octal
from atlas_ds.bridge.tar.pax import Extended, read_pax
from atlas_ds.bridge.tar.sparse import MAX_SPARSE, Sparse, check, filled, from_pax, old_gnu
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError, UnsupportedError
from atlas_ds.sizes import format_binary

ZEROS = bytes(BLOCK)
NOTHING = Extended()  # for members without extended headers; never changed
PIECE = 1 << 20  # bytes per read, so that a false size costs no memory
MAX_PAX = 1 << 20  # bytes of one PAX header; real ones have a few hundred
MAX_NAME = 1 << 16  # bytes of a name
MAX_EXTENDED = 16  # extended headers before one member
MAX_PADDING = 16 << 20  # zeros after the end
GNU = b"ustar  \0"  # the magic of its headers
ASCII_ENCODINGS = ("ascii", "utf-8", "iso8859-1", "iso8859-15", "cp1252", "koi8-r", "gb18030", "euc_jp", "euc_kr")
FILES = b"\0" b"07"
OTHERS = {b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device", b"5": "directory", b"6": "pipe", b"V": "volume label"}
UNSUPPORTED = {b"M": "the rest of a member of another volume", b"N": "an old long name", b"D": "a directory dump"}


class Member(NamedTuple):
    """One entry. kind: "file", or what else it is. header, start: bytes in the (unpacked)
    archive where its last header and its data begin; size: bytes of data as stored; hashed: the
    last header's header_hash. sparse: its map, if it is a sparse file."""

    name: str
    kind: str
    header: int
    start: int
    size: int
    hashed: int
    sparse: Sparse | None = None


class Tar:
    """The members of one archive, in order: `for member in tar: ... tar.read() ...`. read gives
    the data of the last member, once."""

    def __init__(self, file: IO[bytes] | MappedFile, where: str, *, size: int | None = None, encoding: str = "utf-8", packed: bool = False) -> None:
        """file: the uncompressed archive from its first byte; size: its size if it is seekable,
        None for a stream. packed: whether it is decompressed while it is read."""
        self.packed = packed
        self._file, self.where, self._size, self._encoding = file, where, size, encoding
        self._ascii = is_ascii(encoding)  # whether ASCII names have the same bytes in it
        self._at = 0  # bytes read or skipped
        self._next = 0  # where the next header is
        self._member: Member | None = None

    @property
    def began(self) -> bool:
        """Whether a member has been found."""
        return self._member is not None

    # --- members ---

    def __iter__(self) -> Iterator[Member]:
        while True:
            self._skip_to(self._next)
            extended = NOTHING
            block = self._block("a header")
            plain = plain_header(block) if self._ascii else None
            if plain is not None:
                member = self._member = Member(plain[0], "file", self._at - BLOCK, self._at, plain[1], plain[2])
                self._behind(member)
                yield member
                continue
            while block[156:157] in b"xXLKg" and block != ZEROS:
                extended = Extended() if extended is NOTHING else extended
                self._extend(extended, block)
                block = self._block("a header")
            if block == ZEROS:
                if extended is not NOTHING:
                    self._bad(self._at - BLOCK, "an extended header without a member after it")
                self._end()
                return
            member = self._member = self._read_member(block, extended)
            self._behind(member)
            yield member

    def _behind(self, member: Member) -> None:
        self._next = member.start + -(-member.size // BLOCK) * BLOCK
        if self._size is not None and member.start + member.size > self._size:
            raise TruncatedError(self._says(self._size, f"the archive ends inside {member.name!r}, which has {member.size:,} bytes; fetch it again"))

    def _read_member(self, block: bytes, extended: Extended) -> Member:
        header = self._at - BLOCK
        self._check(block, header)
        hashed = header_hash(block)
        kind = block[156:157]
        name = self._name(block, extended, header)
        size = octal(block[124:136], self.where, header + 124)
        size = size if extended.size is None else extended.size
        if kind in UNSUPPORTED:
            raise UnsupportedError(self._says(header + 156, f"{name!r} is {UNSUPPORTED[kind]}, which is not read; write the archive again"))
        if extended.sparse and kind not in FILES:
            self._bad(header + 156, f"{name!r} has the type {kind!r}, but the map of a sparse file")
        if kind in OTHERS or (kind in FILES and name.endswith("/")):
            if size:
                self._bad(header + 124, f"{name!r} is a {OTHERS.get(kind, 'directory')} that claims {size:,} bytes of data")
            return Member(name, OTHERS.get(kind, "directory"), header, self._at, 0, hashed)
        if kind == b"S" or extended.sparse:
            return self._sparse_member(block, extended, Member(name, "file", header, self._at, size, hashed))
        if kind not in FILES:
            raise UnsupportedError(self._says(header + 156, f"{name!r} is of the unknown type {kind!r}; write the archive again"))
        return Member(name, "file", header, self._at, size, hashed)

    def _sparse_member(self, block: bytes, extended: Extended, plain: Member) -> Member:
        if plain.size > MAX_SPARSE:
            raise LimitError(
                self._says(plain.header + 124, f"{plain.name!r} is a sparse file with {plain.size:,} bytes of data; store it as a plain file")
            )
        place = self._says(plain.header, repr(plain.name))
        sparse = from_pax(extended.sparse, place) if extended.sparse else old_gnu(block, lambda: self._block("a sparse map"), place)
        check(sparse, plain.size, place)
        return plain._replace(start=self._at, sparse=sparse)

    def _check(self, block: bytes, header: int) -> None:
        if not is_sum(octal(block[148:156], self.where, header + 148), block):
            self._bad(header, "not a member's header: its checksum is wrong")

    def _name(self, block: bytes, extended: Extended, header: int) -> str:
        if extended.long is not None and extended.path is not None and extended.long != extended.path:
            self._bad(header, f"two names for one member, {extended.long[:80]!r} and {extended.path[:80]!r}; readers disagree on which to use")
        name = next((name for name in (extended.sparse_path, extended.path, extended.long) if name is not None), None)
        of_pax = name is not None and name is not extended.long
        if name is None:
            name = block[:100].split(b"\0", 1)[0]
            if block[345] and block[257:265] != GNU:  # which keeps times there
                if block[257:263] != b"ustar\0":
                    self._bad(header + 257, "a header of an unknown format, so it is unclear which bytes are the name")
                name = block[345:500].split(b"\0", 1)[0] + b"/" + name
        if not name:
            self._bad(header, "a member without a name")
        if len(name) > MAX_NAME:
            raise LimitError(self._says(header, f"a name of {len(name):,} bytes; at most {MAX_NAME:,} are read"))
        if b"\0" in name:
            self._bad(header, f"a name with a zero byte in it: {name[:80]!r}")
        return self._decoded(name, header, of_pax)

    def _decoded(self, name: bytes, header: int, of_pax: bool) -> str:
        """The name as text. PAX names are always UTF-8 by the standard; the encoding is for
        other names."""
        if of_pax and self._encoding != "utf-8":
            with suppress(UnicodeDecodeError):
                return name.decode()
        try:
            return name.decode(self._encoding)
        except UnicodeError as error:
            cure = 'set the encoding of names: encoding="cp1252" (--encoding cp1252), or latin-1, which reads any'
            raise CorruptError(self._says(header, f"the name {name[:80]!r} is not {self._encoding}; {cure}")) from error

    # --- extended headers ---

    def _extend(self, extended: Extended, block: bytes) -> None:
        header, kind = self._at - BLOCK, block[156:157]
        self._check(block, header)
        if kind in extended.seen and kind != b"g":
            self._bad(header, "two extended headers of one kind before one member")
        extended.seen += kind
        if len(extended.seen) > MAX_EXTENDED:
            self._bad(header, "too many extended headers before one member")
        size, limit = octal(block[124:136], self.where, header + 124), MAX_NAME + 1 if kind in b"LK" else MAX_PAX
        if size > limit:
            raise LimitError(self._says(header + 124, f"an extended header of {size:,} bytes; at most {limit:,} are read"))
        start = self._at
        blocks = self._take(-(-size // BLOCK) * BLOCK, "an extended header")
        data = blocks[:size]
        if kind == b"L":
            if blocks[size:].strip(b"\0"):
                self._bad(start + size, "a long name that is longer than its size says, so readers disagree on the name")
            extended.long = data.rstrip(b"\0")
        elif kind in b"xXg":
            read_pax(extended, data, start, self.where, is_global=kind == b"g")

    # --- data ---

    def read(self) -> bytes:
        """The data of the last member; holes of a sparse member are filled with zeros."""
        member = self._member
        assert member is not None and member.kind == "file"
        if self._at != member.start:
            raise AtlasError(self._says(member.start, f"the data of {member.name!r} has already been read"))
        data = self._take(member.size, repr(member.name))
        return data if member.sparse is None else filled(member.sparse, data, self._says(member.header, repr(member.name)))

    @property
    def seekable(self) -> bool:
        return self._size is not None

    def read_at(self, member: Member) -> bytes:
        """The data of any earlier member; only if the archive is seekable."""
        here, self._member = (self._next, self._member), member
        self._skip_to(member.start)
        self._next = member.start + -(-member.size // BLOCK) * BLOCK
        try:
            return self.read()
        finally:
            self._next, self._member = here

    def _block(self, what: str) -> bytes:
        return self._take(BLOCK, what)

    def _take(self, size: int, what: str) -> bytes:
        if size <= PIECE or self._size is not None:
            data = self._file.read(size)
        else:
            pieces = []
            left = size
            while left and (piece := self._file.read(min(left, PIECE))):
                pieces.append(piece)
                left -= len(piece)
            data = b"".join(pieces)
        self._at += len(data)
        if len(data) < size:
            at_end = "" if self._at else " (it is empty)"
            raise TruncatedError(self._says(self._at, f"the archive ends inside {what}, or without its end mark{at_end}; fetch it again"))
        return data

    def _skip_to(self, at: int) -> None:
        if self._size is not None:
            if at != self._at:
                self._file.seek(at)
                self._at = min(at, self._size)
            return
        while self._at < at:
            self._take(min(at - self._at, PIECE), "a member")

    def _end(self) -> None:
        """After two blocks of zeros there may be more zeros, but nothing else."""
        mark = self._at - BLOCK
        if self._block("its end mark") != ZEROS:
            self._bad(mark, "one block of zeros, then other data: the end mark is two blocks")
        while data := self._file.read(PIECE):
            if data.count(0) != len(data):
                at = self._at + len(data) - len(data.lstrip(b"\0"))
                self._bad(at, "data after the end of the archive, perhaps a second archive: split them, or join them with `tar --concatenate`")
            self._at += len(data)
            if self._at - mark > MAX_PADDING:
                raise LimitError(self._says(self._at, f"more than {format_binary(MAX_PADDING)} of zeros after the end of the archive; remove them"))
        if self._at % BLOCK:
            raise TruncatedError(self._says(self._at, "the archive ends inside a block of zeros; fetch it again"))

    def _says(self, at: int, what: str) -> str:
        return f"{self.where}: byte {at}: {what}"

    def _bad(self, at: int, what: str) -> NoReturn:
        raise CorruptError(self._says(at, f"{what}; fetch the archive again or write it again"))


def is_ascii(encoding: str) -> bool:
    """Whether bytes below 128 are always ASCII characters in it. This is false for UTF-16, and
    for ISO-2022, which has shift states."""
    try:
        return codecs.lookup(encoding).name in ASCII_ENCODINGS
    except LookupError:
        return False
