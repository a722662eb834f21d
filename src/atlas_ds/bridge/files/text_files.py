"""Opens text files for the readers of CSV and JSON, and names file and line in errors of
decoding."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from atlas_ds.bridge.files.encodings import UTF8, text_encoding
from atlas_ds.bridge.opening import open_binary, unreadable
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.errors import CorruptError, LimitError
from atlas_ds.sizes import format_binary

PIECE = 1 << 16
MAX_LINE = 1 << 29  # bytes; a value in a dataset has at most half of that
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are not text, as surrogateescape decodes them


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file and its encoding. careful: some bytes are not text, and the lines with such bytes
    are refused one by one."""

    path: Path
    encoding: str
    max_expansion: int
    careful: bool = False

    def open(self) -> IO[str]:
        """The text without a byte order mark, line ends untouched."""
        return self._text(open_binary(self.path, self.max_expansion))

    def open_lines(self) -> IO[str]:
        """The same, for reading line by line. LimitError if a line is longer than MAX_LINE."""
        return self._text(io.BufferedReader(BoundedLines(open_binary(self.path, self.max_expansion), str(self.path)), PIECE))

    def _text(self, file: IO[bytes]) -> IO[str]:
        return io.TextIOWrapper(file, encoding=self.encoding, errors="surrogateescape" if self.careful else "strict", newline="")


class BoundedLines(io.RawIOBase):
    """The bytes of a file, with an error for a line longer than MAX_LINE: a file without line
    ends would be read into memory completely."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where, self._open_line = file, where, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        ends = max(data.rfind(b"\n"), data.rfind(b"\r"))
        self._open_line = self._open_line + len(data) if ends < 0 else len(data) - ends - 1
        if self._open_line > MAX_LINE:
            raise LimitError(f"{self._where}: a line of more than {format_binary(MAX_LINE)}; is it a text file with a row in each line?")
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def text_file(path: Path, options: ReadOptions) -> TextFile:
    return TextFile(path, text_encoding(path, options), options.max_expansion)


def with_care(file: TextFile, error: UnicodeDecodeError, line: int) -> TextFile:
    """The same file, marked as careful after an error. CorruptError if a wrong byte shifts all
    that follows."""
    if file.careful or file.encoding.startswith(("utf-16", "utf-32", "utf-7")):
        raise CorruptError(f"{file.path}: after line {line}: not {file.encoding.upper()} ({error.reason}); save the file as UTF-8") from error
    return replace(file, careful=True)


def bad_bytes(file: TextFile, text: str, place: str) -> CorruptError | None:
    """The error for text with bytes that its encoding does not have; None for valid text."""
    if not file.careful or text.isascii():
        return None
    found = _ESCAPED.search(text)
    if found is None:
        return None
    name = "UTF-8" if file.encoding == UTF8 else file.encoding
    byte = ord(found[0]) - 0xDC00
    other = "cp1252" if byte < 0xA0 else "latin1 (or cp1252, if it was written on Windows)"  # latin1 has no letters below 0xa0
    return CorruptError(f"{file.path}: {place}: not {name} (byte 0x{byte:02x}); save the file as UTF-8, or set its encoding: --encoding {other}")


def lines_of(first: int, last: int) -> str:
    return f"line {last}" if first >= last else f"lines {first} to {last}"


@contextmanager
def named_errors(path: Path, line: list[int]) -> Iterator[None]:
    """Turns errors of reading a file into errors that name it. line: a list with the number of
    lines read so far."""
    place = f"{path}: after line"
    try:
        yield
    except MemoryError as error:
        raise LimitError(f"{place} {line[0]}: a value too large for memory; is a quote or a bracket never closed?") from error
    except OSError as error:
        raise unreadable(path, error) from error


class Places:
    """Finds the line of a row, by another pass over the file that continues from the last row
    looked up."""

    def __init__(self, lines: Iterator[int]) -> None:
        self._lines, self._row, self._line = lines, -1, 0

    def find(self, row: int) -> int | None:
        """The line of a row (from 0), or None for a row before the last one looked up."""
        while self._row < row:
            self._line = next(self._lines, self._line)
            self._row += 1
        return self._line if self._row == row else None


def places_of(paths: Mapping[int, Path], lines: Callable[[int], Iterator[int]]) -> Callable[[int, int], str]:
    """A function that returns file and line of a row, given the number of its file and its
    number there."""
    found: dict[int, Places] = {}

    def place(number: int, row: int) -> str:
        line = found.setdefault(number, Places(lines(number))).find(row)
        if line is None:
            found[number] = Places(lines(number))
            line = found[number].find(row)
        return f"{paths[number]}: line {line}"

    return place
