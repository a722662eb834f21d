"""Parses the objects of a JSON file one by one: lines, or the items of one array. json_table.py
makes rows of them.

Text is read as it is needed: one line at a time, or for an array the largest item and PIECE
characters at most.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_ds.bridge.files.text_files import TextFile, bad_bytes, named_errors, with_care
from atlas_ds.bridge.source import Example, Refused
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, UnsupportedError

PIECE = 1 << 20
MAX_ITEM = 1 << 30  # of an array, in characters
_SPACE = re.compile(r"[ \t\r\n]*")
_LIST_KEY = re.compile(r'"([^"\\]*)"\s*:\s*\[\s*\{')
_INNER = 16  # more than the longest token that may be truncated at the end of the text


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON file. array: it is one array of objects; else it has an object per line."""

    text: TextFile
    array: bool


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. SchemaError if it has a key twice, since a dict keeps only the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise SchemaError(f"the key {name!r} occurs twice in one object; rename one of them")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise LimitError(f"the number {text[:40]} is too large for a float64; write it as text")
    return value


FAST = json.JSONDecoder()
CAREFUL = json.JSONDecoder(object_pairs_hook=unique, parse_float=_finite)


def open_json(text: TextFile) -> JsonFile | None:
    """The file, and whether it is one array; None if it is empty. An object over many lines is
    an error, since it is not a table."""
    line = [0]
    try:
        return _open_json(text, line)
    except UnicodeDecodeError as error:
        return open_json(with_care(text, error, line[0]))


def _open_json(text: TextFile, line: list[int]) -> JsonFile | None:
    with named_errors(text.path, line), text.open() as file:
        while first := file.readline(PIECE):
            line[0] += 1
            start = first.lstrip("\ufeff \t\r\n")
            if not start:
                continue
            if start.startswith("["):
                return JsonFile(text, not (_is_complete(first) and file.readline(PIECE).lstrip().startswith("[")))
            if start.startswith("{"):
                _refuse_one_object(text, first, file.read(PIECE))
            return JsonFile(text, False)
    return None


def _is_complete(line: str) -> bool:
    try:
        FAST.decode(line.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_one_object(text: TextFile, first: str, more: str) -> None:
    """SchemaError for an object that is written over many lines: it is not a row."""
    second = next((line for line in more.splitlines() if line.strip()), "")
    if len(first) == PIECE and not first.endswith("\n"):
        return  # one long line; only its beginning was read
    if not second or _is_complete(first) or (_is_complete(second) and second.lstrip().startswith("{")):
        return
    try:
        FAST.decode(first.lstrip("\ufeff"))
    except json.JSONDecodeError as error:
        if error.pos < len(first.rstrip()):
            return  # an error in its middle: that line is refused
    except RecursionError:
        return
    names = f"{shlex.quote(text.path.name)} > {shlex.quote(_other_name(text.path))}"
    if _continues(first + more):
        raise SchemaError(f"{text.path}: JSON objects over many lines each; write one object per line: jq -c . {names}")
    found = _LIST_KEY.search(first + more)
    if found is not None:
        raise SchemaError(
            f"{text.path}: one JSON object over many lines, with objects under its key {found[1]!r}; {rows_of_key(text.path, found[1])}"
        )
    raise SchemaError(f"{text.path}: a JSON object over many lines, which is not a table; write one object per line: jq -c . {names}")


def rows_of_key(path: Path, key: str) -> str:
    """How to make rows of the objects that a file has under one key."""
    wanted, name, other = (shlex.quote(text) for text in (f".[{json.dumps(key)}][]", path.name, _other_name(path)))
    return f"write these objects one per line: jq -c {wanted} {name} > {other} (or in Python: writer.extend(json.load(open({path.name!r}))[{key!r}]))"


def _other_name(path: Path) -> str:
    """A name for the JSON lines made from a file."""
    return f"{path.stem}.jsonl" if path.suffix == ".json" else f"{path.stem}-lines.jsonl"


def _continues(text: str) -> bool:
    """Whether another object follows the first. False if the first is longer than the text."""
    try:
        end = FAST.raw_decode(text.lstrip("\ufeff \t\r\n"))[1]
    except (ValueError, RecursionError):
        return False
    return text.lstrip("\ufeff \t\r\n")[end:].lstrip().startswith("{")


def json_lines(file: TextFile, line: list[int]) -> Iterator[str]:
    """The lines that are not empty. line: the number of the last one that was read."""
    with named_errors(file.path, line), file.open_lines() as lines:
        for number, text in enumerate(lines, 1):
            line[0] = number
            if not text.isspace():
                yield text.removeprefix("\ufeff") if number == 1 else text


def refused_line(file: TextFile, text: str, error: Exception, place: str) -> Refused:
    """A Refused for a line or item that cannot be an example, with the reason."""
    return Refused(bad_bytes(file, text, place) or _named(f"{file.path}: {place}", error))


def _named(place: str, error: Exception) -> AtlasError:
    if isinstance(error, json.JSONDecodeError):
        column = min(error.pos, len(error.doc.rstrip())) + 1
        return CorruptError(f"{place}, column {column}: not JSON: {_what(error)}")
    if isinstance(error, RecursionError):
        return UnsupportedError(f"{place}: JSON nested too deeply; flatten it")
    if isinstance(error, AtlasError):
        return type(error)(f"{place}: {error}")
    return LimitError(f"{place}: an integer of thousands of digits; write it as text")  # the only other error of Python's parser


def _what(error: json.JSONDecodeError) -> str:
    """The error of Python's parser in one line, and what to do."""
    rest = error.doc[error.pos :].strip()
    if not rest:
        return "the line ends inside the object; is it truncated?"
    if error.msg == "Extra data" and rest == ",":
        return "a comma follows the object; remove it (lines have none between them)"
    if error.msg == "Extra data" and rest.startswith("{"):
        return "another object on the same line; write one object per line"
    if rest.startswith(("'", "None", "True", "False")):
        return "written as Python prints it; write it with json.dumps"
    return f"{error.msg.removesuffix(' at')}; correct it"


def not_an_object(value: object) -> SchemaError:
    kind = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
    return SchemaError(f'not a JSON object, but {kind}; every row is an object, such as {{"text": "..."}}')


class ArrayItems:
    """The items of a file that is one array, decoded while the text is read. line: where the
    last item began."""

    def __init__(self, file: TextFile, decoder: json.JSONDecoder) -> None:
        self._file, self._decoder = file, decoder
        self._text, self._at = "", 0
        self._line, self._seen = 1, 0  # the line of the text at _seen
        self._piece = PIECE
        self.line = [0]

    def __iter__(self) -> Iterator[Example | Refused]:
        with named_errors(self._file.path, self.line), self._file.open() as source:
            self._source, self._text = source, source.read(PIECE).removeprefix("\ufeff")
            self._skip("[")
            if self._peek() == "]":
                self._skip("]")
            else:
                yield from self._items()
            if self._peek():
                raise self._wrong("text after the end of the array")

    def _items(self) -> Iterator[Example | Refused]:
        while True:
            self._peek()
            yield self._item()
            mark = self._peek()
            if mark not in (",", "]"):
                raise self._wrong("a comma or ] is missing" if mark else "the array is never closed")
            self._skip(mark)
            if mark == "]":
                return

    def _item(self) -> Example | Refused:
        self.line[0] = self._line_at(self._at)
        place = f"line {self.line[0]}"
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                truncated = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _INNER
                if not (truncated and self._more()):
                    raise self._wrong(f"not JSON: {self._what(error)}", error.pos) from error
                continue
            except (AtlasError, ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._pass_over():
                    raise _named(f"{self._file.path}: {place}", error) from error
                return Refused(_named(f"{self._file.path}: {place}", error))
            if not isinstance(value, dict | list | str) and end == len(self._text) and self._more():  # a number may continue
                continue
            raw, self._at = self._text[self._at : end] if self._file.careful else "", end
            wrong = bad_bytes(self._file, raw, place)
            if wrong is not None:
                return Refused(wrong)
            return value if isinstance(value, dict) else Refused(_named(f"{self._file.path}: {place}", not_an_object(value)))

    def _what(self, error: json.JSONDecodeError) -> str:
        """The error of Python's parser, as it occurs in an array."""
        rest = self._text[error.pos :].strip()
        if not rest:
            return "the file ends inside the array; is it truncated?"
        return "a comma before the ]; remove it" if rest == "]" else error.msg

    def _pass_over(self) -> bool:
        """Skips an item that is JSON, but cannot be an example."""
        while True:
            try:
                self._at = json.JSONDecoder(parse_int=str).raw_decode(self._text, self._at)[1]
            except json.JSONDecodeError:
                if not self._more():
                    return False
            else:
                return True

    def _more(self) -> bool:
        """Reads more text, twice as much each time that one item needs more."""
        more = self._source.read(self._piece)
        if len(self._text) - self._at > MAX_ITEM:
            raise LimitError(f"{self._file.path}: line {self.line[0]}: an item of more than {MAX_ITEM:,} characters; is a bracket never closed?")
        if not more:
            return False
        self._line_at(self._at)
        self._text, self._at, self._seen = self._text[self._at :] + more, 0, 0
        self._piece = min(2 * self._piece, 64 * PIECE)
        return True

    def _line_at(self, at: int) -> int:
        self._line += self._text.count("\n", self._seen, at)
        self._seen = at
        return self._line

    def _peek(self) -> str:
        """The next character that is not space; "" at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _skip(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._wrong(f"{mark} is missing")
        self._at += 1
        self._piece = PIECE

    def _wrong(self, text: str, at: int | None = None) -> CorruptError:
        at = self._at if at is None else at
        line = self._line + self._text.count("\n", self._seen, at)
        column = at - self._text.rfind("\n", 0, at)
        return CorruptError(f"{self._file.path}: line {line}, column {column}: {text}; correct the file")
