"""Plans how a shard is stored, from a sample of its rows: groups, rows per block, codecs, dictionaries.

A pure function of the sample and the options: same rows, same plan. It records its reasons as text, for `atlas-ds info`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from atlas_ds import _core
from atlas_ds._core import base
from atlas_ds._core.base import MAX_BLOCK_ROWS, MAX_DICTIONARIES, MAX_GROUPS, Codec, Layout
from atlas_ds._core.records import PageSpec
from atlas_ds.schema.types import MAX_PAGE, Leaf

CODECS = {codec.name.lower(): codec for codec in Codec}
Access = Literal["random", "scan"]
CodecName = Literal["auto", "none", "lz4", "zstd"]
BULKY = 256  # mean bytes of a value from which a column has a group of its own, so that reading the small ones never touches it
HOT_SPAN = 8 << 20  # most bytes of bulky rows next to a block of small columns: then a truncated file keeps complete rows
MIN_VALUE_BYTES = 64  # mean bytes of a value from which compressing each value pays
MAX_DICTIONARY_BYTES = 384 << 10
TRAIN_BYTES = 8 << 20  # of the sample, evenly spread
DICTIONARY_VALUE = 16 << 10  # mean bytes of a value up to which a dictionary can help
TRIAL_BYTES = 1 << 20
VALUE_LEVELS = 2  # added to the zstd level of values that are compressed one by one: smaller, as fast to read, slower to write
MAX_BLOCK_BYTES = base.MAX_BLOCK_BYTES // 2  # of a block's pages: half of the format's limit, since sizes are those of a sample


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """What the user requested for. codec: of each leaf position, a number, or None for automatic."""

    codecs: tuple[int | None, ...]
    level: int
    access: Access
    block_bytes: int
    block_rows: int | None
    dictionary: bool


@dataclass(frozen=True, slots=True)
class LeafPlan:
    """How the pages of one leaf are written, and why.

    per_value: each value is compressed by itself. per_page: each page is. dictionary: number of a dictionary, 0 for none.
    """

    leaf: Leaf
    group: int
    codec: int
    per_value: bool
    per_page: bool
    dictionary: int
    why: str


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """groups: leaf positions of each group; rows: rows per block of each group; dictionaries: their bytes, number 1 first."""

    groups: tuple[tuple[int, ...], ...]
    rows: tuple[int, ...]
    pages: tuple[LeafPlan, ...]
    dictionaries: tuple[bytes, ...]


def make_plan(columns: Sequence[_core.Column], options: ShardOptions, known: dict[int, bytes]) -> StoragePlan:
    """columns: the waiting rows of each leaf. known: dictionaries that the dataset already uses, by leaf id."""
    means = [column.size / max(column.rows, 1) for column in columns]
    groups = make_groups(means)
    rows = [rows_per_block(group, means, columns, options, hot=k == 0 and not is_bulky(group, means)) for k, group in enumerate(groups)]
    encoder = _core.Encoder()
    dictionaries: list[bytes] = []
    pages = []
    for position, column in enumerate(columns):
        group = next(k for k, members in enumerate(groups) if position in members)
        codec, per_value, per_page, dictionary, why = choose_codec(column, means[position], rows[group], options, position, known, encoder)
        number = 0
        if dictionary and (dictionary in dictionaries or len(dictionaries) < MAX_DICTIONARIES):
            if dictionary not in dictionaries:
                dictionaries.append(dictionary)
            number = dictionaries.index(dictionary) + 1
        pages.append(LeafPlan(column.leaf, group, codec, per_value, per_page, number, why))
    return StoragePlan(tuple(groups), tuple(rows), tuple(pages), tuple(dictionaries))


def make_groups(means: Sequence[float]) -> list[tuple[int, ...]]:
    """One group of all small columns, and one for each bulky column (the least bulky join the small ones if there are too many)."""
    bulky = [i for i, mean in enumerate(means) if mean >= BULKY]
    if len(bulky) > MAX_GROUPS - 1:
        bulky = sorted(sorted(bulky, key=lambda i: (-means[i], i))[: MAX_GROUPS - 1])
    hot = tuple(i for i in range(len(means)) if i not in bulky)
    return ([hot] if hot else []) + [(i,) for i in bulky]


def is_bulky(group: tuple[int, ...], means: Sequence[float]) -> bool:
    return len(group) == 1 and means[group[0]] >= BULKY


def rows_per_block(group: tuple[int, ...], means: Sequence[float], columns: Sequence[_core.Column], options: ShardOptions, *, hot: bool) -> int:
    most = most_rows(group, means, columns)
    if options.block_rows is not None:
        return min(options.block_rows, most)
    row_bytes = sum(means[i] + (0 if columns[i].leaf.fixed else 4) for i in group)
    rows = int(options.block_bytes / max(row_bytes, 1 / 16))
    rest = sum(means) - sum(means[i] for i in group)
    if hot and rest > 0:
        rows = min(rows, int(HOT_SPAN / rest))
    return max(1, min(rows, most))


def most_rows(group: tuple[int, ...], means: Sequence[float], columns: Sequence[_core.Column]) -> int:
    """Most rows of a block so that each page, and all together, stay within the limits of readers; half of that where values vary in size."""
    most = MAX_BLOCK_ROWS
    total = 0.0
    for i in group:
        leaf: Leaf = columns[i].leaf
        row = leaf.width + 1 / 8 if leaf.fixed else means[i] + 4 + 1 / 8
        total += row
        most = min(most, int((MAX_PAGE - 128 if leaf.fixed else MAX_PAGE / 2) / row))
    return max(1, min(most, int(MAX_BLOCK_BYTES / total)))


def choose_codec(
    column: _core.Column, mean: float, rows: int, options: ShardOptions, position: int, known: dict[int, bytes], encoder: _core.Encoder
) -> tuple[int, bool, bool, bytes, str]:
    """(codec, per_value, per_page, dictionary, why) of a leaf."""
    requested = options.codecs[position]
    leaf: Leaf = column.leaf
    if requested == Codec.NONE:
        return Codec.NONE, False, False, b"", "no codec: requested for"
    codec = Codec.ZSTD if requested is None else requested
    stop = min(column.rows, max(rows, int(TRIAL_BYTES / max(mean, 1))))
    if options.access == "scan":
        return choose_per_page(column, codec, rows, stop, options, encoder, requested)
    if leaf.fixed and requested is None:
        return Codec.NONE, False, False, b"", "values of constant width stay in place, so that a random row costs no decoding"
    if mean < MIN_VALUE_BYTES:
        return Codec.NONE, False, False, b"", f"values of {mean:.0f} bytes are too short to compress one by one"
    return choose_per_value(column, mean, codec, stop, options, known, encoder, requested)


def choose_per_page(
    column: _core.Column, codec: int, rows: int, stop: int, options: ShardOptions, encoder: _core.Encoder, requested: int | None
) -> tuple[int, bool, bool, bytes, str]:
    raw = stored = 0
    spec = PageSpec(column.leaf, codec, per_value=False, whole=True, light=True, level=options.level)
    for start in range(0, stop, rows):
        page = _core.trial(column, start, min(start + rows, stop), encoder, spec)
        raw, stored = raw + page.raw, stored + page.stored
    if requested is None and stored > raw - raw // 8:
        return Codec.NONE, False, False, b"", f"a codec saves {saved(raw, stored)} on a sample, less than 12.5 %"
    return codec, False, True, b"", f"complete pages: {saved(raw, stored)} saved on a sample"


def choose_per_value(
    column: _core.Column, mean: float, codec: int, stop: int, options: ShardOptions, known: dict[int, bytes], encoder: _core.Encoder, requested: int | None
) -> tuple[int, bool, bool, bytes, str]:
    leaf: Leaf = column.leaf
    start = column.rows - min(column.rows // 4, int(TRIAL_BYTES / max(mean, 1)))  # held out: not trained on
    if start == column.rows:
        start = 0
    spec = PageSpec(leaf, codec, per_value=True, whole=False, light=True, level=value_level(options.level))
    raw, plain, layout = _core.trial(column, start, column.rows, encoder, spec)
    if layout in (Layout.CONST, Layout.ENUM):
        return codec, True, False, known.get(leaf.id, b""), "values repeat: each distinct value is stored once"
    dictionary = b""
    if codec == Codec.ZSTD and options.dictionary and mean <= DICTIONARY_VALUE:
        dictionary = known.get(leaf.id) or train_dictionary(column, start, narrow=layout == Layout.NARROW)
    if dictionary:
        handle = _core.Dictionary(dictionary, spec.level)
        packed = _core.trial(column, start, column.rows, encoder, spec._replace(number=1, dictionary=handle)).stored
        share = len(dictionary) * raw / max(column.size, 1)
        if packed + share <= plain - plain / 8 or (leaf.id in known and packed <= plain - plain / 8):
            return codec, True, False, dictionary, f"value by value with a dictionary: {saved(raw, packed)} saved on rows that it was not trained on"
    if requested is None and plain > raw - raw // 8:
        return Codec.NONE, False, False, b"", f"a codec saves {saved(raw, plain)} on a sample, less than 12.5 %"
    return codec, True, False, b"", f"value by value: {saved(raw, plain)} saved on a sample"


def value_level(level: int) -> int:
    """The zstd level of values that are compressed one by one."""
    return min(level + VALUE_LEVELS, max(level, 19))


def train_dictionary(column: _core.Column, stop: int, *, narrow: bool) -> bytes:
    """A dictionary from the values before row stop; narrow: from the numbers that a NARROW page has for them."""
    data, lengths = column.sample(stop)
    if narrow:
        data, lengths = narrowed(column.leaf, data, lengths)
    capacity = min(MAX_DICTIONARY_BYTES, len(data) // 20)
    if capacity < 1024 or stop < 16:
        return b""
    step = -(-len(data) // TRAIN_BYTES)
    if step > 1:
        ends = np.cumsum(lengths, dtype=np.int64)
        data = b"".join([data[end - length : end] for end, length in zip(ends[::step].tolist(), lengths[::step].tolist(), strict=True)])
        lengths = lengths[::step]
    return _core.train_dictionary(np.frombuffer(data, np.uint8), lengths.astype(np.uintp), capacity)


def narrowed(leaf: Leaf, data: bytes, lengths: np.ndarray) -> tuple[bytes, np.ndarray]:
    """(values, lengths) as a NARROW page stores them; as they are where their range is too wide for one."""
    numbers = np.frombuffer(data, f"{'i' if leaf.signed else 'u'}{leaf.element}")
    least, most = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    for size in (1, 2, 4):
        fits = most - least < 256**size
        if fits and size < leaf.element:
            base = 0 if least >= 0 and most < 256**size else least
            return (numbers - numbers.dtype.type(base)).astype(f"u{size}").tobytes(), lengths // leaf.element * size
    return data, lengths


def saved(raw: int, stored: int) -> str:
    return f"{100 * (1 - stored / max(raw, 1)):.1f} %"
