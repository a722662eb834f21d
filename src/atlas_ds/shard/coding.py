"""Chooses how the values of a leaf are compressed, from a sample of them: one by one, some together or page by page,
by which codec, with which dictionary. Same sample, same choice; each says its reason.

docs/decisions/2026-11-29-forms.md and 2026-11-30-cells-of-several-values.md have the measurements behind the numbers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from atlas_ds import _core
from atlas_ds._core.base import Codec, Layout, Literals
from atlas_ds._core.records import PageSpec
from atlas_ds.schema.types import Leaf

CODECS = {codec.name.lower(): codec for codec in Codec}
Access = Literal["random", "scan"]
CodecName = Literal["auto", "none", "lz4", "zstd"]

TOO_SHORT = "too short to compress one by one"  # in the reason for no codec
MIN_VALUE_BYTES = 64  # mean bytes of a value from which compressing each value pays
DICTIONARY_VALUE = 16 << 10  # mean bytes of a value up to which a dictionary can help
TRIAL_BYTES = 1 << 20
HINT_BYTES = 16 << 10  # enough to say what a codec would save
TRAIN_BYTES = 8 << 20  # of the sample, evenly spread
DICTIONARY_BYTES = 384 << 10
NUMBERS_DICTIONARY_BYTES = 4 << 10  # more is slower to read (it leaves the processor's cache) and saves nothing
DICTIONARY_PART = 1 / 8  # of a row's bytes from which the pages of a leaf can have a dictionary
# A dictionary is used where it saves this part: much where it is large, since it is read when a shard is opened.
VALUES_PART, PAGES_PART, NUMBERS_PART = 8, 32, 128
SMALL_LEVELS = 2  # added to the zstd level of single values and small pages: smaller, as fast to read, slower to write
NUMBERS_LEVELS = 3  # the same for numbers: fewer and longer matches are faster to read, too
SMALL_PAGE = 64 << 10
SCAN_LEVELS = 4  # the same for values that are compressed together
CELL_BYTES, NUMBERS_CELL_BYTES = 5 << 10, 12 << 10  # of a row's group, compressed together at access="scan"
LEAST_CELL = 1 << 10  # of one column: with less, a cell saves too little
MOST_CELL = 32 << 10  # half of what the ends of its values can say
LZ4_VALUE_LEVEL = 9  # of lz4's slow encoder: smaller by an eighth, as fast to read
NO_MATCHES = -50  # a zstd level that finds next to no matches


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """What the user requested for. codec: of each leaf position, a number, or None for automatic.

    whole_pages: at access="scan", pages are compressed as a whole, whatever their size.
    """

    codecs: tuple[int | None, ...]
    level: int
    access: Access
    block_bytes: int
    block_rows: int | None
    dictionary: bool
    whole_pages: bool = False


@dataclass(frozen=True, slots=True)
class Coding:
    """How the pages of a leaf are compressed, and why.

    cell_rows: how many values are compressed together, 1 each by itself, 0 none. per_page: a value costs more than itself to
    read; its whole page, if cell_rows is 0. level and literals: of PageSpec.
    """

    codec: int
    why: str
    cell_rows: int = 0
    per_page: bool = False
    level: int = 0
    literals: Literals = Literals.AUTO
    dictionary: bytes = b""

    def spec(self, leaf: Leaf, number: int = 0, dictionary: _core.Dictionary | None = None) -> PageSpec:
        return PageSpec(
            leaf, self.codec, self.cell_rows, self.per_page and self.cell_rows == 0, light=True, level=self.level, literals=self.literals,
            number=number, dictionary=dictionary,
        )  # fmt: skip


class Tried(NamedTuple):
    """What a sample takes in one way of coding it. share: of the dictionary's bytes, as far as the sample pays for it."""

    coding: Coding
    raw: int
    stored: int
    layout: Layout | None
    share: float = 0.0


class Sample(NamedTuple):
    """The waiting rows of a leaf. mean: bytes of a value; part: of a row's bytes, 0 to 1; rows: of a block."""

    column: _core.Column
    mean: float
    part: float
    rows: int
    encoder: _core.Encoder

    @property
    def leaf(self) -> Leaf:
        return self.column.leaf


def choose_coding(sample: Sample, options: ShardOptions, requested: int | None, known: bytes) -> Coding:
    """requested: a codec, or None for automatic. known: the dictionary that the dataset already uses for the leaf."""
    if requested == Codec.NONE:
        return Coding(Codec.NONE, "no codec: requested for")
    codec = Codec.ZSTD if requested is None else requested
    if options.access == "scan":
        return choose_for_scan(sample, options, codec, known, automatic=requested is None)
    if sample.mean < MIN_VALUE_BYTES:
        stays = sample.leaf.fixed and requested is None
        return Coding(Codec.NONE, "values of constant width stay in place" if stays else f"values of {sample.mean:.0f} bytes are {TOO_SHORT}")
    if sample.leaf.fixed and requested is None:
        return Coding(Codec.NONE, f"values of constant width stay in place, so that a random row costs no decoding{hint(sample)}")
    return choose_per_value(sample, options, codec, known)


def hint(sample: Sample) -> str:
    """What zstd would save of values that stay in place."""
    rows = max(1, int(HINT_BYTES / sample.mean))
    quick = try_values(sample, Coding(Codec.ZSTD, "", cell_rows=1, level=1), 0, rows)
    return f'; compression="zstd" would save about {saved(quick)}' if quick.stored <= quick.raw - quick.raw // 8 else ""


def ways_of(leaf: Leaf, codec: int, level: int) -> list[Coding]:
    """The ways of coding single values by a codec, the fastest to read first.

    Numbers are tried without Huffman's code too (it takes half of the time to read), and with nothing else.
    """
    if codec == Codec.LZ4:
        return [Coding(codec, "", cell_rows=1, level=LZ4_VALUE_LEVEL)]
    numbers = is_numbers(leaf)
    usual = Coding(codec, "", cell_rows=1, level=small_level(level, NUMBERS_LEVELS if numbers else SMALL_LEVELS))
    if not numbers:
        return [usual]
    plain = Coding(codec, "", cell_rows=1, level=usual.level, literals=Literals.PLAIN)
    coded = Coding(codec, "", cell_rows=1, level=NO_MATCHES, literals=Literals.CODED)
    return [plain, coded, usual]


def choose_per_value(sample: Sample, options: ShardOptions, codec: int, known: bytes) -> Coding:
    column = sample.column
    start = held_out(sample)
    ways = ways_of(sample.leaf, codec, options.level)
    plain = [try_values(sample, way, start, column.rows) for way in ways]
    layout = plain[0].layout
    if layout in (Layout.CONST, Layout.ENUM):
        return with_reason(plain[0].coding, "values repeat: each distinct value is stored once", known)
    best = fastest(plain)
    dictionary = b""
    if codec == Codec.ZSTD and options.dictionary and sample.mean <= DICTIONARY_VALUE:
        dictionary = known or train_on_values(sample, start, narrow=layout == Layout.NARROW)
    if dictionary:
        packed = fastest([try_values(sample, way, start, column.rows, dictionary, known=bool(known)) for way in ways])
        part = NUMBERS_PART if is_numbers(sample.leaf) else VALUES_PART
        if pays(packed, best, part) and packed.stored <= packed.raw - packed.raw // 8:
            return with_reason(packed.coding, f"value by value with a dictionary: {saved(packed)} saved on rows that it was not trained on", dictionary)
    if best.stored > best.raw - best.raw // 8:
        return Coding(Codec.NONE, too_little(codec))
    return with_reason(best.coding, f"value by value: {saved(best)} saved on a sample")


def choose_for_scan(sample: Sample, options: ShardOptions, codec: int, known: bytes, *, automatic: bool) -> Coding:
    together = 0 if options.whole_pages else values_together(sample, options)
    piece = together or sample.rows
    what = "complete pages" if together == 0 else f"{together} values together"
    is_small = sample.mean * piece <= SMALL_PAGE
    ways = ways_of_pages(sample.leaf, codec, together, small_level(options.level, SCAN_LEVELS if together else SMALL_LEVELS) if is_small else options.level)
    start = held_out(sample)
    best = smallest([try_pages(sample, way, start) for way in ways])
    dictionary = b""
    if codec == Codec.ZSTD and options.dictionary and is_small and sample.part >= DICTIONARY_PART:
        dictionary = known or train_on_pieces(sample, start, piece)
    if dictionary:
        packed = smallest([try_pages(sample, way, start, dictionary, known=bool(known)) for way in ways])
        if pays(packed, best, PAGES_PART):
            return with_reason(packed.coding, f"{what} with a dictionary: {saved(packed)} saved on rows that it was not trained on", dictionary)
    if automatic and best.stored > best.raw - best.raw // 8:
        return Coding(Codec.NONE, too_little(codec))
    return with_reason(best.coding, f"{what}: {saved(best)} saved on a sample")


def values_together(sample: Sample, options: ShardOptions) -> int:
    """How many values a cell has: as many rows for all columns of a group, but no fewer than small values need."""
    cell_bytes = NUMBERS_CELL_BYTES if is_numbers(sample.leaf) else CELL_BYTES
    rows = max(sample.rows * cell_bytes // options.block_bytes, int(LEAST_CELL / max(sample.mean, 1 / 16)))
    return max(1, min(rows, int(MOST_CELL / max(sample.mean, 1)), sample.rows))


def small_level(level: int, more: int = SMALL_LEVELS) -> int:
    """The zstd level of single values and small pages."""
    return min(level + more, max(level, 19))


def ways_of_pages(leaf: Leaf, codec: int, together: int, level: int) -> list[Coding]:
    """The ways of coding complete pages, or some values together. Noise whose bytes are not alike in number takes least without matches."""
    if codec == Codec.LZ4:
        return [Coding(codec, "", together, per_page=True, level=LZ4_VALUE_LEVEL if together else 0)]
    usual = Coding(codec, "", together, per_page=True, level=level)
    return [usual, replace(usual, level=NO_MATCHES, literals=Literals.CODED)] if is_numbers(leaf) else [usual]


def smallest(tried: Sequence[Tried]) -> Tried:
    return min(tried, key=lambda one: one.stored)


def held_out(sample: Sample) -> int:
    """The first row that nothing is trained on: the last quarter of the sample, at most TRIAL_BYTES."""
    rows = sample.column.rows
    start = rows - min(rows // 4, int(TRIAL_BYTES / max(sample.mean, 1)))
    return 0 if start == rows else start


def fastest(tried: Sequence[Tried]) -> Tried:
    """The first (they are in order of speed) that takes at most a fifteenth more than the smallest."""
    least = min(one.stored for one in tried)
    return next(one for one in tried if one.stored <= least + least // 15)


def pays(packed: Tried, plain: Tried, part: int) -> bool:
    return packed.stored + packed.share <= plain.stored - plain.stored // part


def is_numbers(leaf: Leaf) -> bool:
    return leaf.fixed or leaf.element != 0


def try_values(sample: Sample, way: Coding, start: int, stop: int, dictionary: bytes = b"", *, known: bool = False) -> Tried:
    """One page of rows start .. stop."""
    handle = _core.Dictionary(dictionary, way.level) if dictionary else None
    raw, stored, layout = _core.trial(sample.column, start, stop, sample.encoder, way.spec(sample.leaf, 1 if dictionary else 0, handle))
    return Tried(way, raw, stored, layout, share_of(sample, raw, dictionary, known=known))


def try_pages(sample: Sample, way: Coding, start: int, dictionary: bytes = b"", *, known: bool = False) -> Tried:
    """Pages of a block's rows each, from row start to the end of the sample."""
    handle = _core.Dictionary(dictionary, way.level) if dictionary else None
    spec = way.spec(sample.leaf, 1 if dictionary else 0, handle)
    raw = stored = 0
    for first in range(start, sample.column.rows, sample.rows):
        page = _core.trial(sample.column, first, min(first + sample.rows, sample.column.rows), sample.encoder, spec)
        raw, stored = raw + page.raw, stored + page.stored
    return Tried(way, raw, stored, None, share_of(sample, raw, dictionary, known=known))


def share_of(sample: Sample, raw: int, dictionary: bytes, *, known: bool) -> float:
    return 0.0 if known else len(dictionary) * raw / max(sample.column.size, 1)


def train_on_values(sample: Sample, stop: int, *, narrow: bool) -> bytes:
    """A dictionary from the values before row stop; narrow: from the numbers that a NARROW page has for them."""
    data, lengths = sample.column.sample(stop)
    if narrow:
        data, lengths = narrowed(sample.leaf, data, lengths)
    return train(data, lengths, NUMBERS_DICTIONARY_BYTES if is_numbers(sample.leaf) else DICTIONARY_BYTES)


def train_on_pieces(sample: Sample, stop: int, rows: int) -> bytes:
    """A dictionary from the values before row stop, `rows` of them at a time."""
    data, lengths = sample.column.sample(stop)
    starts = np.arange(0, len(lengths), rows)
    pieces = np.add.reduceat(lengths, starts, dtype=np.uint32) if len(lengths) else lengths
    return train(data, pieces, DICTIONARY_BYTES)


def train(data: bytes, lengths: np.ndarray, most: int) -> bytes:
    """A dictionary of at most `most` bytes, or none where there is too little to train on."""
    capacity = min(most, len(data) // 20)
    if capacity < 1024 or len(lengths) < 16:
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


def with_reason(coding: Coding, why: str, dictionary: bytes = b"") -> Coding:
    return replace(coding, why=why, dictionary=dictionary)


def too_little(codec: int) -> str:
    return f"{name_of(codec)} saves less than 12.5 % on a sample"


def name_of(codec: int) -> str:
    return Codec(codec).name.lower()


def saved(tried: Tried) -> str:
    return f"{max(0.0, 100 * (1 - tried.stored / max(tried.raw, 1))):.1f} %"
