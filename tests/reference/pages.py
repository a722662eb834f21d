"""Sections 8 and 9: from the stored bytes of one page to its values. Not where pages lie (`reader.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .wire import (
    CELLS,
    CONST,
    ENUM,
    FIXED,
    FIXED_LEAF,
    LZ4,
    MAX_PAGE,
    NARROW,
    NONE,
    PAGE_CODED,
    SHORT,
    VALIDITY,
    VAR,
    ZSTD,
    ZSTD_MAGIC,
    Limit,
    decompress,
    need,
    need_zero,
    pad,
)

Cell = bytes | None


def decode_page(stored: bytes, page: Any, leaf: Any, rows: int, dictionary: bytes) -> list[Cell]:
    """One entry a row. `page` and `leaf` are entries of the PAGE and LEAF tables; every rule of section 8 is checked."""
    need(page.layout in (FIXED, VAR, CONST, NARROW, ENUM), f"unknown page layout {page.layout}")
    need(page.codec in (NONE, LZ4, ZSTD), f"unknown codec {page.codec}")
    need(page.flags < 8, f"unknown page flags {page.flags}")
    need(page.layout != (VAR if leaf.kind == FIXED_LEAF else FIXED), "a fixed leaf with a VAR page, or a variable leaf with a FIXED page")
    need(not page.flags & CELLS or page.layout in (FIXED, VAR, NARROW), "CELLS are for FIXED, VAR and NARROW pages")
    need(not page.flags & SHORT or _has_offsets(page, leaf), "SHORT without offsets")
    need((page.cell_rows > 0) == bool(page.flags & CELLS), "cell_rows is for CELLS, and at least 1 there")
    need(page.cell_rows <= 1 or leaf.flags & PAGE_CODED, "cells of several values in a leaf that is not PAGE_CODED")

    if page.flags & CELLS:
        need(page.codec != NONE, "CELLS without a codec")
        form = stored
    elif page.codec == NONE:
        need(page.raw == page.stored, "raw and stored differ without a codec")
        form = stored
    else:
        form = decompress(page.codec, stored, page.raw, dictionary)

    valid, content = _split_validity(form, page, rows)
    if page.layout == CONST:
        need(leaf.kind != FIXED_LEAF or len(content) == leaf.width, "CONST: the value has not the leaf's width")
        values = [content] * rows
    elif page.layout == ENUM:
        values = _enum(content, leaf, rows, valid)
    else:
        values = _values(content, len(form) - len(content), page, leaf, rows, valid, dictionary)

    made = leaf.width * rows if leaf.kind == FIXED_LEAF else sum(len(value) for value, ok in zip(values, valid) if ok)
    need(made <= MAX_PAGE, "the page's values take more than 2^30 bytes", Limit)
    return [value if ok else None for value, ok in zip(values, valid)]


def _split_validity(form: bytes, page: Any, rows: int) -> tuple[list[bool], bytes]:
    if not page.flags & VALIDITY:
        need(page.nulls == 0, "nulls without VALIDITY")
        return [True] * rows, form
    size = pad(-(-rows // 8), 64)
    need(len(form) >= size, "the page ends in its validity")
    bits = int.from_bytes(form[:size], "little")
    need(bits >> rows == 0, "validity bits after the last row")
    valid = [bool(form[row // 8] >> row % 8 & 1) for row in range(rows)]
    need(page.nulls == rows - sum(valid) > 0, "nulls do not match the validity bits")
    return valid, form[size:]


def _numbers(data: bytes, size: int) -> list[int]:
    return list(memoryview(data).cast({1: "B", 2: "H", 4: "I", 8: "Q"}[size]))  # of a little-endian machine


def _slices(data: bytes, offsets: list[int]) -> list[bytes]:
    need(offsets[0] == 0, "the first offset is not 0")
    need(all(a <= b for a, b in zip(offsets, offsets[1:])), "offsets decrease")
    need(offsets[-1] == len(data), "the last offset is not the length of the data")
    return [data[a:b] for a, b in zip(offsets, offsets[1:])]


def _has_offsets(page: Any, leaf: Any) -> bool:
    return bool(page.flags & CELLS) or (leaf.kind != FIXED_LEAF and page.layout in (VAR, NARROW))


def _values(content: bytes, head: int, page: Any, leaf: Any, rows: int, valid: list[bool], dictionary: bytes) -> list[bytes]:
    """The values of a FIXED, VAR or NARROW page, whose content begins `head` bytes after the start of its raw form."""
    width, widen = leaf.width, _as_they_are
    if page.layout == NARROW:
        width, widen = _narrow_head(content, leaf)
        content_sizes = content[8], content[9]
        content, head = content[16:], head + 16
    if page.cell_rows > 1:
        stored = _of_cells_of_several(content, head, page, leaf, rows, width, dictionary)
        need(not any(value.strip(b"\0") if leaf.kind == FIXED_LEAF else value for value, ok in zip(stored, valid) if not ok), "bytes under a null")
    elif _has_offsets(page, leaf):
        stored = _by_offsets(content, page, rows)[0]
        need(not any(value for value, ok in zip(stored, valid) if not ok), "bytes under a null")
        if page.flags & CELLS:
            stored = _open_cells(stored, page, [bytes(width)] * rows, dictionary)
            _check_raw(stored, head, page, leaf)
        need(leaf.kind != FIXED_LEAF or all(len(value) == width for value in stored), "CELLS: a value has not the leaf's width")
    else:
        need(len(content) == rows * width, "FIXED, NARROW: not rows * width bytes")
        stored = [content[i * width : (i + 1) * width] for i in range(rows)]
        need(not any(value.strip(b"\0") for value, ok in zip(stored, valid) if not ok), "bytes under a null")
    if page.layout == NARROW:
        element, number = content_sizes
        need(sum(map(len, stored)) // number * element <= MAX_PAGE, "the page's values take more than 2^30 bytes", Limit)
    return [widen(value) for value in stored]


def _check_raw(values: list[bytes], head: int, page: Any, leaf: Any) -> None:
    plain = head + sum(map(len, values)) + (0 if leaf.kind == FIXED_LEAF else pad(4 * (len(values) + 1), 64))
    need(plain == page.raw, f"CELLS: raw is {page.raw}, the values make {plain}")


def _by_offsets(content: bytes, page: Any, count: int, ends: int = 0) -> tuple[list[bytes], list[int]]:
    """The bytes between offsets; and the numbers between offsets and data, `ends` of them."""
    size = 2 if page.flags & SHORT else 4
    end = size * (count + 1)
    between = pad(end, 64)
    data = between + pad(2 * ends, 64)
    need(len(content) >= data, "the page ends in its offsets")
    need_zero(content[end:between] + content[between + 2 * ends : data], "offsets, ends: padding")
    return _slices(content[data:], _numbers(content[:end], size)), _numbers(content[between : between + 2 * ends], 2)


def _of_cells_of_several(content: bytes, head: int, page: Any, leaf: Any, rows: int, width: int, dictionary: bytes) -> list[bytes]:
    """The values, as they are stored, of a page whose cells have `cell_rows` values each."""
    fixed = leaf.kind == FIXED_LEAF
    starts = range(0, rows, page.cell_rows)
    cells, ends = _by_offsets(content, page, len(starts), 0 if fixed else rows)
    counts = [min(page.cell_rows, rows - start) for start in starts]
    empty = [bytes(count * width) if fixed else b"" for count in counts]
    yields = _open_cells(cells, page, empty, dictionary)
    values = []
    for start, count, made in zip(starts, counts, yields):
        bounds = [k * width for k in range(count + 1)] if fixed else [0, *ends[start : start + count]]
        values += _slices(made, bounds)
    _check_raw(values, head, page, leaf)
    return values


def _open_cells(cells: list[bytes], page: Any, zeros: list[bytes], dictionary: bytes) -> list[bytes]:
    """`zeros`: for each cell, what it stands for if it has no bytes."""
    budget = page.raw  # no cell may announce more than the page has left
    values = []
    for cell, zero in zip(cells, zeros):
        value = _open_cell(cell, page.codec, budget, dictionary) if cell else zero
        need(value or not cell, "a cell of an empty value")
        budget -= len(value)
        values.append(value)
    return values


def _open_cell(cell: bytes, codec: int, budget: int, dictionary: bytes) -> bytes:
    need(len(cell) >= 3, "a cell is too short")
    size, body = int.from_bytes(cell[:2], "little"), cell[2:]
    if size == 0 and cell[2] == 0:
        return cell[3:]
    if size == 0:
        need(cell[2] == 1 and len(cell) > 7, "a cell of an unknown form, or too short")
        size, body = int.from_bytes(cell[3:7], "little"), cell[7:]
        if codec == ZSTD:
            body = ZSTD_MAGIC + body
    elif codec == ZSTD:
        body = _block_frame(size, body)
    need(1 <= size <= budget, "a cell announces no bytes, or more than the page has")
    return decompress(codec, body, size, dictionary)


def _block_frame(size: int, body: bytes) -> bytes:
    """The whole zstd frame of a block cell: its headers follow from the two lengths."""
    sized = b"\x20" + bytes([size]) if size < 256 else b"\x60" + (size - 256).to_bytes(2, "little")
    need(len(body) < size or len(body) == 1, "a block is not shorter than its value")
    header = 1 + 2 + 8 * size if len(body) == 1 else 1 + 4 + 8 * len(body)
    return ZSTD_MAGIC + sized + header.to_bytes(3, "little") + body



def _as_they_are(value: bytes) -> bytes:
    return value


def _narrow_head(content: bytes, leaf: Any) -> tuple[int, Callable[[bytes], bytes]]:
    """Bytes of a narrowed value (of a fixed leaf), and what widens one."""
    need(len(content) >= 16, "NARROW: the page ends in its head")
    base, element, number = int.from_bytes(content[:8], "little"), content[8], content[9]
    need_zero(content[10:16], "NARROW: padding")
    need(element in (2, 4, 8) and number in (1, 2, 4) and number < element, "NARROW: element or stored")
    need(leaf.width % element == 0, "NARROW: width is not a multiple of element")

    def widen(value: bytes) -> bytes:
        need(len(value) % number == 0, "NARROW: a value is not a multiple of stored")
        return b"".join(((base + n) % 2 ** (8 * element)).to_bytes(element, "little") for n in _numbers(value, number))

    return leaf.width // element * number, widen


def _enum(content: bytes, leaf: Any, rows: int, valid: list[bool]) -> list[bytes]:
    need(len(content) >= 8, "ENUM: the page ends in its head")
    count, code_bytes = _numbers(content[:8], 4)
    need(1 <= count <= 65536 and code_bytes in (1, 2), "ENUM: count or code_bytes")
    end = 8 + rows * code_bytes
    start = 8 + pad(rows * code_bytes, 8)
    need(len(content) >= start, "ENUM: the page ends in its codes")
    need_zero(content[end:start], "ENUM: padding")
    codes = _numbers(content[8:end], code_bytes)
    if leaf.kind == FIXED_LEAF:
        need(len(content) == start + count * leaf.width, "ENUM: length of the table")
        entries = [content[start + i * leaf.width : start + (i + 1) * leaf.width] for i in range(count)]
    else:
        data = start + 4 * (count + 1)
        need(len(content) >= data, "ENUM: the page ends in its offsets")
        entries = _slices(content[data:], _numbers(content[start:data], 4))
    need(all(code < count for code in codes), "ENUM: a code is not less than count")
    need(not any(code for code, ok in zip(codes, valid) if not ok), "ENUM: a code under a null")
    return [entries[code] for code in codes]
