"""Opens, scans and reads tars from files, standard input and URLs as examples. It writes
nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.opening import unreadable
from atlas_ds.bridge.tar.archive import Member, Tar
from atlas_ds.bridge.tar.opening import open_tar_file, tar_of
from atlas_ds.bridge.values.by_extension import decode_value, value_spec
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.bridge.webdataset.samples import KEY, Rules, Sample, Tally, samples
from atlas_ds.dataset.foreign import HEAD, call_of, head_of
from atlas_ds.dataset.foreign_kinds import KINDS
from atlas_ds.dataset.foreign_kinds import kind_of as file_kind_of
from atlas_ds.errors import CorruptError, LimitError, SchemaError, TruncatedError, UnsupportedError
from atlas_ds.schema.infer import infer_schema
from atlas_ds.schema.media import Media, decode_image, sniff
from atlas_ds.schema.specs import media, nullable
from atlas_ds.store.file_url import FileUrl
from atlas_ds.text import named, printable

STDIN = "-"
TYPE_SAMPLES = 1024  # from which the type of decoded arrays is inferred
TYPE_SAMPLES_PER_TAR = 64
Convert = Callable[[bytes, str], object]
Example = dict[str, object]
REFUSED = (CorruptError, UnsupportedError, LimitError)


def is_stream(name: str) -> bool:
    """Whether a source can be read only once, or only at the cost of another download."""
    return name == STDIN or isinstance(name, FileUrl)


@contextmanager
def opened(name: str, rules: Rules, *, sequential: bool = False) -> Iterator[Tar]:
    """A tar by a name from urls.expand. sequential: as in open_tar_file. If not even the first
    header is valid, the error says what the file is."""
    with _opened(name, rules, sequential) as tar:
        try:
            yield tar
        except (CorruptError, TruncatedError) as error:
            what = None if tar.began or name == STDIN else not_a_tar(name)
            if what is None:
                raise
            raise type(error)(f"{name}: byte 0: {what}") from error


def not_a_tar(name: str) -> str | None:
    """What a file is instead of a tar, and what to do; None if unknown."""
    if isinstance(name, FileUrl):
        head = name.read(0, min(HEAD, name.info().size))
    else:
        head = head_of(Path(name))
    kind = file_kind_of("", head)
    if kind in ("tar", "packed"):
        return None
    if kind is not None:
        return f"is {KINDS[kind].one}, not a tar" + ("; pass the tars" if isinstance(name, FileUrl) else f": {call_of(KINDS[kind].call, Path(name))}")
    text = "" if b"\0" in head else head.decode("utf-8", "replace").strip()
    if not text:
        return None
    return f"is a text file that begins with {named(text.splitlines()[0], 40)}, not a tar; check the path or address, and fetch it again"


@contextmanager
def _opened(name: str, rules: Rules, sequential: bool) -> Iterator[Tar]:
    encoding, limit = rules.encoding, rules.max_expansion
    if name == STDIN:
        yield tar_of(sys.stdin.buffer, "standard input", encoding=encoding, max_expansion=limit)
    elif isinstance(name, FileUrl):
        with name.stream() as stream:
            yield tar_of(stream, name, encoding=encoding, max_expansion=limit)
    else:
        with open_tar_file(name, encoding=encoding, sequential=sequential, max_expansion=limit) as tar:
            yield tar


def scan(name: str, rules: Rules) -> Tally:
    """The content of a tar, from its headers. Compressed tars are decompressed for this."""
    tally = Tally()
    with opened(name, rules) as tar:
        for _ in samples(tar, rules, tally, itself):
            pass
    return tally


def read_samples(name: str, rules: Rules, tally: Tally) -> Generator[Sample[bytes], None, None]:
    """The samples of a tar with the bytes of their fields."""
    with opened(name, rules, sequential=True) as tar:
        if rules.interleaved != "merge":
            yield from samples(tar, rules, tally, lambda member: tar.read())
            return
        if not tar.seekable:
            raise UnsupportedError(f'{name}: interleaved="merge" is for plain local tars; unpack or fetch it first')
        for sample in samples(tar, rules, tally, itself):
            yield Sample(sample.key, {field: tar.read_at(member) for field, member in sample.fields.items()})


def itself(member: Member) -> Member:
    return member


def identity(name: str) -> list[Any]:
    """Identifies a source and its version: its name, size, and modification time or that of a store."""
    if name == STDIN:
        return [name]
    if isinstance(name, FileUrl):
        file = name.info()
        return [str(name), file.size, file.version]
    try:
        state = os.stat(name)
    except OSError as error:
        raise unreadable(name, error) from error
    return [os.path.abspath(name), state.st_size, state.st_mtime_ns]


# --- values ---


def converters(
    fields: Sequence[str], decode: bool | Sequence[str], images: str | None = None, max_expansion: int = MAX_EXPANSION
) -> dict[str, Convert]:
    """How each field's bytes become its value; other fields stay bytes. images: how images are
    decoded; None: they are not."""
    made: dict[str, Convert] = {}
    for field in fields:
        if images is not None and kind_of(last(field)) == "image":
            made[field] = image_decoder(images)
        elif is_decoded(field, decode):
            made[field] = decoder(field, max_expansion)
        elif kind_of(last(field)):
            made[field] = as_media
    return made


def refuse_text(option: str, value: object) -> None:
    """TypeError for a string instead of a list of extensions: its letters would be taken as the
    list."""
    if isinstance(value, str):
        raise TypeError(f"{option}={value!r}: give a list of extensions: {option}=[{value!r}]")


def without_dot(name: str, known: Collection[str]) -> str:
    """A hint for an extension written with its dot."""
    return f"; write {printable(name[1:])!r}, without the dot" if name[:1] == "." and name[1:] in known else ""


def check_decode(decode: bool | Sequence[str], fields: Iterable[str], where: str) -> None:
    """SchemaError for an extension to decode that no sample has."""
    known = {name: None for field in fields for name in (field, last(field))}
    unknown = [] if isinstance(decode, bool) else [name for name in decode if name not in known]
    if unknown:
        others = ", ".join(map(printable, sorted(known)))
        raise SchemaError(f"{where}: decode= names .{printable(unknown[0])}, which no sample has; the extensions are {others}{without_dot(unknown[0], known)}")


def is_decoded(field: str, decode: bool | Sequence[str]) -> bool:
    return decode if isinstance(decode, bool) else field in decode or last(field) in decode


def last(field: str) -> str:
    return field.rpartition(".")[2].lower()


def decoder(field: str, max_expansion: int) -> Convert:
    return lambda data, where: decode_value(field, data, where, max_expansion=max_expansion)


def image_decoder(mode: str) -> Convert:
    return lambda data, where: decode_image(data, mode, where=where)


def as_media(data: bytes, where: str = "") -> Media:
    return Media(data, sniff(data) or "application/octet-stream")


def to_example(sample: Sample[bytes], converts: Mapping[str, Convert], where: str) -> Example:
    example: Example = {KEY: sample.key}
    for field, data in sample.fields.items():
        convert = converts.get(field)
        example[field] = data if convert is None else convert(data, f"{where}: {printable(sample.key)}.{printable(field)}")
    return example


def column_types(
    names: Sequence[str], heads: Sequence[Sample[bytes]], rules: Rules, fields: Sequence[str], decode: bool | Sequence[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The type of each field: the given one, or that of its extension. The types of arrays come
    from the first samples; for a stream these are heads."""
    types: dict[str, Any] = {}
    for field in fields:
        known = value_spec(field) if is_decoded(field, decode) else media() if kind_of(last(field)) else "bytes"
        types[field] = given.get(field, known)
    unknown = {field for field, kind in types.items() if kind is None}
    seen = first_values(names, heads, rules, unknown) if unknown else {}
    for field in unknown:
        if not seen[field]:
            raise SchemaError(f"{names[0]}: no .{printable(field)} was read from which to infer its type; give it: schema={{{field!r}: ...}}")
        types[field] = infer_schema([{field: value} for value in seen[field]])[field]
    return types


def first_values(names: Sequence[str], heads: Sequence[Sample[bytes]], rules: Rules, fields: set[str]) -> dict[str, list[object]]:
    """Decoded values of some fields, from the first samples of each tar until there are enough."""
    seen: dict[str, list[object]] = {field: [] for field in fields}
    total, refused = 0, None
    streams = [name for name in names if is_stream(name)]
    for name in [*streams[:1], *(name for name in names if not is_stream(name))]:
        for number, sample in enumerate(heads if is_stream(name) else read_samples(name, rules, Tally())):
            total += 1
            for field in fields & sample.fields.keys():
                try:
                    seen[field].append(decoder(field, rules.max_expansion)(sample.fields[field], f"{name}: {printable(sample.key)}.{printable(field)}"))
                except REFUSED as error:  # reported, or left out, when all values are read
                    refused = refused or error
            if number >= TYPE_SAMPLES_PER_TAR and all(seen.values()):
                break
        if total >= TYPE_SAMPLES and all(seen.values()):
            break
    if refused is not None and not all(seen.values()):
        raise refused
    return seen


class Beginning(NamedTuple):
    """The first samples of a stream. rest: the iterator over the other samples, which also
    continues the tally."""

    tally: Tally
    samples: list[Sample[bytes]]
    rest: Generator[Sample[bytes], None, None]


def first_samples(name: str, rules: Rules, count: int) -> Beginning:
    """Reads the first samples of a stream."""
    tally = Tally()
    rest = read_samples(name, rules, tally)
    return Beginning(tally, list(islice(rest, count)), rest)


def wrap(kind: Any, count: int, total: int | None) -> Any:
    """The type, nullable if the field is or may be missing in some sample."""
    return kind if count == total else nullable(kind)
