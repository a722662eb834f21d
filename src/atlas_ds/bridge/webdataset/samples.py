"""Groups the members of a tar into samples, by WebDataset's rule of names. It looks only at
headers, not at the members' data."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.refusals import MAX_LINES
from atlas_ds.bridge.source import OnError
from atlas_ds.bridge.tar.archive import Member, Tar
from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.text import printable

KEY = "__key__"
LITTER = "left by macOS: ._*, .DS_Store, __MACOSX"
MAX_FIELDS = 256
CHOICES = {"interleaved": ("error", "separate", "merge"), "duplicates": ("error", "first", "last"), "on_error": ("raise", "skip")}
Interleaved = Literal["error", "separate", "merge"]
Duplicates = Literal["error", "first", "last"]
MAC_LITTER = re.compile(r"(^|/)(\._[^/]*$|\.DS_Store$|(__MACOSX|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd|\.TemporaryItems)/)")
T = TypeVar("T")
KeyFn = Callable[[str], tuple[str, str] | None]


def split_name(name: str) -> tuple[str, str] | None:
    """(key, extension) of a member's name; None without an extension. The key is the folder and the
    base name up to its first dot.

    This is webdataset's pattern `^((?:.*/|)[^.]+)[.]([^/]*)$`, whose time is quadratic for names
    full of slashes.
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, extension = base.partition(".")
    key = folder + slash + stem
    if not dot or not key:
        return None
    last_dot = key.rfind(".")
    if last_dot >= 0:  # then a folder begins after it, and the key continues in there
        start = key.index("/", last_dot) + 1
        if start == len(key) or "\n" in key[:start]:
            return None
    return key, extension


def is_mac_litter(name: str) -> bool:
    """Whether macOS or Finder added a member to the data: file attributes stored as a file
    (AppleDouble), or folder metadata."""
    return ("._" in name or "__MACOSX/" in name or "/." in name or name[:1] == ".") and MAC_LITTER.search(name) is not None


@dataclass(frozen=True, slots=True)
class Rules:
    """How members become samples; see import_webdataset for each option."""

    key_fn: KeyFn | None = None
    fields: frozenset[str] | None = None
    interleaved: Interleaved = "error"
    duplicates: Duplicates = "error"
    strict: bool = False
    keep_case: bool = False
    on_error: OnError = "raise"
    encoding: str = "utf-8"
    max_expansion: int = MAX_EXPANSION

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {', '.join(map(repr, choices))}")
        try:
            "".encode(self.encoding)
        except LookupError:  # also for rot13 and the like, which are not text encodings
            raise AtlasError(f"encoding={self.encoding!r} (--encoding): not a text encoding; write e.g. latin-1 or cp1252") from None


@dataclass(slots=True)
class Tally:
    """Counts of samples, files, their bytes, samples with each field, extensions not in lower
    case, and what was left out and why."""

    samples: int = 0
    files: int = 0
    bytes: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)  # the first place of each reason in skipped
    left_out: list[str] = field(default_factory=list)  # samples whose values cannot be stored, each with its place and cause

    def skip(self, reason: str, place: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        self.first.setdefault(reason, place)

    def add(self, other: Tally) -> None:
        """Adds the counts of later tars."""
        self.samples, self.files, self.bytes = self.samples + other.samples, self.files + other.files, self.bytes + other.bytes
        for mine, its in ((self.fields, other.fields), (self.cases, other.cases), (self.skipped, other.skipped)):
            for name, count in its.items():
                mine[name] = mine.get(name, 0) + count
        for reason, place in other.first.items():
            self.first.setdefault(reason, place)
        self.left_out += other.left_out[: max(0, MAX_LINES - len(self.left_out))]


def is_tally(data: Any) -> bool:
    """Whether JSON from a file is that of a Tally, as asdict returns it."""
    kinds = {"samples": int, "files": int, "bytes": int, "fields": int, "cases": int, "skipped": int, "first": str}
    if not isinstance(data, dict) or data.keys() != {*kinds, "left_out"} or not all(type(data[name]) is int for name in ("samples", "files", "bytes")):
        return False
    inner = [(data[name], kinds[name]) for name in ("fields", "cases", "skipped", "first")]
    counted = all(isinstance(counts, dict) and all(type(value) is kind for value in counts.values()) for counts, kind in inner)
    listed = isinstance(data["left_out"], list) and all(type(line) is str for line in data["left_out"])
    return counted and listed and data["skipped"].keys() == data["first"].keys()


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """One sample: its fields in the order of the tar."""

    key: str
    fields: dict[str, T]


def samples(tar: Tar, rules: Rules, tally: Tally, load: Callable[[Member], T]) -> Iterator[Sample[T]]:
    """The samples of one tar. load(member) is called for each member in order, and returns its
    value in Sample.fields."""
    found = runs(tar, rules, tally, load)
    if rules.interleaved == "merge":
        found = iter(merged(tar, found, rules, tally))
    for sample in found:
        tally.samples += 1
        for name in sample.fields:
            tally.fields[name] = tally.fields.get(name, 0) + 1
        if len(tally.fields) > MAX_FIELDS:
            raise too_many(tar, sample.key)
        yield sample


def runs(tar: Tar, rules: Rules, tally: Tally, load: Callable[[Member], T]) -> Iterator[Sample[T]]:
    """Runs of consecutive members with one key."""
    key: str | None = None
    fields: dict[str, T] = {}
    keys = Keys()
    for member in tar:
        place = place_of(tar, member, rules, tally)
        if place is None:
            continue
        if place[0] != key:
            if key is not None and fields:
                yield Sample(key, fields)
            key, fields = place[0], {}
            if rules.interleaved == "error" and not keys.add(key):
                raise SchemaError(
                    f"{tar.where}: byte {member.header}: key {key!r} occurs again after other keys;"
                    ' pass interleaved="merge" (--interleaved merge) to merge its files into one sample, or "separate" for a sample of each run'
                )
        name = place[1]
        if len(fields) == MAX_FIELDS and name not in fields:
            raise too_many(tar, key)
        if name in fields:
            refuse_duplicate(f"{tar.where}: byte {member.header}: {member.name!r}", name, rules)
            tally.skip("field twice in a sample", f"{tar.where}: {printable(member.name)}")
            if rules.duplicates == "first":
                continue
        tally.files += 1
        tally.bytes += member.size
        fields[name] = load(member)
    if key is not None and fields:
        yield Sample(key, fields)


def too_many(tar: Tar, key: str) -> LimitError:
    return LimitError(f"{tar.where}: sample {key!r}: more than {MAX_FIELDS} different extensions; name those you want with fields=[...]")


def place_of(tar: Tar, member: Member, rules: Rules, tally: Tally) -> tuple[str, str] | None:
    """(key, field) of a member; None if it is not used."""
    if member.kind != "file":
        tally.skip(f"not a file: {member.kind}", f"{tar.where}: {printable(member.name)}")
        return None
    if rules.key_fn is None and is_mac_litter(member.name):
        tally.skip(LITTER, f"{tar.where}: {printable(member.name)}")
        return None
    place = (rules.key_fn or split_name)(member.name)
    if place is None:
        if rules.strict:
            raise SchemaError(f"{tar.where}: byte {member.header}: {member.name!r} has no extension, so it is not a field; rename it, or give key_fn=")
        tally.skip("no extension", f"{tar.where}: {printable(member.name)}")
        return None
    key, extension = place
    name = extension if rules.keep_case else extension.lower()
    if rules.fields is not None and name not in rules.fields:
        return None
    if name == KEY:
        raise SchemaError(f"{tar.where}: byte {member.header}: {member.name!r}: a field cannot be called {KEY}; rename it, or give key_fn=")
    if extension != extension.lower():
        tally.cases[extension] = tally.cases.get(extension, 0) + 1
    return key, name


def refuse_duplicate(place: str, name: str, rules: Rules) -> None:
    if rules.duplicates == "error":
        cure = 'pass duplicates="first" or "last" (--duplicates first) to keep one'
        raise SchemaError(f"{place}: the sample already has a field {name!r} (case is ignored); {cure}")


class Keys:
    """The keys so far. While they ascend, none can occur twice; only 8 bytes of each are kept,
    in case a later key does not ascend."""

    def __init__(self) -> None:
        self._last = ""
        self._hashes = array("q")
        self._set: set[int] | None = None

    def add(self, key: str) -> bool:
        """False if the key has occurred before (or, once in 2^64 pairs, another with the same
        hash)."""
        number = hash(key)
        if self._set is None and key > self._last:
            self._hashes.append(number)
            self._last = key
            return True
        if self._set is None:
            self._set = set(self._hashes)
            self._hashes = array("q")
        if number in self._set:
            return False
        self._set.add(number)
        return True


def merged(tar: Tar, found: Iterator[Sample[T]], rules: Rules, tally: Tally) -> list[Sample[T]]:
    """Samples with the runs of one key merged, ordered by the first occurrence of their keys.
    All samples of a tar are in memory."""
    by_key: dict[str, dict[str, T]] = {}
    for sample in found:
        fields = by_key.setdefault(sample.key, {})
        for name, value in sample.fields.items():
            if name in fields:
                refuse_duplicate(f"{tar.where}: key {sample.key!r}", name, rules)
                tally.skip("field twice in a sample", f"{tar.where}: {printable(sample.key)}.{printable(name)}")
            if name not in fields or rules.duplicates == "last":
                fields[name] = value
    return [Sample(key, fields) for key, fields in by_key.items()]
