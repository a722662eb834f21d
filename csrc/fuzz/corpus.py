"""Writes the seeds of the fuzz targets, `corpus/<target>/`, from the shards of tests/reference. Needs what the tests need."""

from __future__ import annotations

import random
import struct
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests"))

from reference import sample, wire  # noqa: E402
from reference.builder import Encoding, Plan, build, make_cell  # noqa: E402
from reference.reader import Shard  # noqa: E402


def plans() -> dict[str, Plan]:
    words = [b"train", b"test", None, b"train", b"", b"valid"] * 2
    numbers = [struct.pack("<q", 2**40 + i) for i in range(9)]
    text = [b"a caption of row %d, a caption" % i for i in range(9)]
    arrays, near = ([struct.pack("<16h", *([base] * 16 if i % 4 == 0 else [300 + i % 5] * 12 + [301 + k for k in range(4)])) for i in range(12)] for base in (0, 250))
    lists = [struct.pack(f"<{5 * i}q", *(2**40 + k // 4 for k in range(5 * i))) for i in range(12)]
    some = [[None if i % 5 == 3 else value for i, value in enumerate(values)] for values in (arrays, lists, near)]
    grid, steps = {"array": {"dtype": "int16", "shape": [16]}}, {"tensor": {"dtype": "int64", "ndim": 1}}
    coded = wire.PAGE_CODED
    return {
        "tiny": sample.tiny(),
        "rich": sample.rich(),
        "enum": sample.one("bytes", words, Encoding(wire.ENUM), nullable=True),
        "const": sample.one("bytes", [b"same"] * 9, Encoding(wire.CONST)),
        "narrow": sample.one("int64", numbers, Encoding(wire.NARROW, element=8, number=1), width=8),
        "fixed": sample.one("int64", numbers, Encoding(wire.FIXED), width=8),
        "fixed_null": sample.one("int64", [None, *numbers], Encoding(wire.FIXED), width=8, nullable=True),
        "zstd": sample.one("int64", numbers * 4, Encoding(wire.FIXED, wire.ZSTD), width=8, flags=coded),
        "narrow_lz4": sample.one("int64", numbers * 4, Encoding(wire.NARROW, wire.LZ4, element=8, number=2), width=8, flags=coded),
        "cells": sample.one("bytes", text, Encoding(wire.VAR, wire.ZSTD, cells=True, short=True)),
        "cells_lz4": sample.one("bytes", [value * 3 for value in text], Encoding(wire.VAR, wire.LZ4, cells=True)),
        "cells_dictionary": sample.one("bytes", [*text, None], Encoding(wire.VAR, wire.ZSTD, cells=True, dictionary=True),
                                       dictionaries=(sample.dictionary(),), leaf_dictionary=1, nullable=True),
        "fixed_cells": sample.one(grid, arrays, Encoding(wire.FIXED, wire.ZSTD, cells=True, short=True), width=32),
        "fixed_cells_lz4": sample.one(grid, some[0], Encoding(wire.FIXED, wire.LZ4, cells=True), width=32, nullable=True),
        "narrow_cells": sample.one(grid, some[2], Encoding(wire.NARROW, wire.ZSTD, cells=True, element=2, number=1, base=250), width=32, nullable=True),
        "narrow_cells_lz4": sample.one(grid, near, Encoding(wire.NARROW, wire.LZ4, cells=True, short=True, element=2, number=1, base=240), width=32),
        "narrow_var": sample.one(steps, some[1], Encoding(wire.NARROW, element=8, number=1, short=True), nullable=True),
        "narrow_var_zstd": sample.one(steps, lists, Encoding(wire.NARROW, wire.ZSTD, element=8, number=2), flags=coded),
        "narrow_var_cells": sample.one(steps, some[1], Encoding(wire.NARROW, wire.ZSTD, cells=True, short=True, element=8, number=4), nullable=True),
        "narrow_var_cells_lz4": sample.one(steps, lists, Encoding(wire.NARROW, wire.LZ4, cells=True, element=8, number=1)),
        "narrow_var_cells_dictionary": sample.one(steps, lists, Encoding(wire.NARROW, wire.ZSTD, cells=True, dictionary=True, element=8, number=2),
                                                  dictionaries=(sample.dictionary(),), leaf_dictionary=1),
        "var": sample.one("bytes", text, Encoding(wire.VAR)),
        "empty": sample.one("bytes", [], Encoding(wire.VAR)),
    }


def page_seeds(shard: bytes) -> list[bytes]:
    """Entry, leaf and rows, stored page (of a page with a codec: its raw form) for fuzz_page."""
    out = []
    whole = Shard(shard)
    for position, leaf in enumerate(whole.leaves):
        for number in range(len(whole.index[leaf.group])):
            head, pages = whole.block(leaf.group, number)
            page = pages[whole.members[leaf.group].index(position)]
            start = whole.index[leaf.group][number].offset + page.offset
            entry = wire.PAGE.pack(**page._asdict())
            how = struct.pack("<BBHHBB", leaf.kind & 1, leaf.flags | 2, leaf.width & 0xFFFF, head.rows - 1, 3, 0)
            out.append(entry + how + shard[start : start + page.stored])
    return out


def dict_seeds() -> list[bytes]:
    good = sample.dictionary()
    cell = make_cell(wire.ZSTD, b'{"caption": "row 9 of many", "source": "test"}' * 3, good)
    return [struct.pack("<H", len(good)) + good + b"\x28\xb5\x2f\xfd" + cell, struct.pack("<H", 9) + b"123456789some text that repeats some text"]


def round_seeds() -> list[bytes]:
    random.seed(7)
    return [bytes([random.choice([3, 20, 255]), random.randrange(16) | random.choice([0, 0, 192]), random.randrange(4)]) + random.randbytes(random.choice([40, 200]))
            for _ in range(24)] + [bytes([random.choice([3, 20, 60]), 16 | random.randrange(16), random.randrange(4)])
                                   + b"".join(bytes([random.randrange(64) | 33 * (k % 2), 4 | random.randrange(256), random.randrange(16, 64), 8 | random.randrange(64)])
                                              + random.randbytes(40) for k in range(4)) for _ in range(60)] + [
                bytes([k & 1, 16, 0, 32, 4 | k, 9, 8]) + b"\xff" * 3 + bytes(range(40)) for k in (1, 2, 5, 6, 69, 70)] + [
                bytes([20, 16, 0, a | 16 * signed, 16 | cells, 3, 3 | near << 4]) + random.randbytes(60)
                for a in (5, 7, 4, 6) for near in (0, 1, 2) for signed in (0, 1) for cells in (0, 5)]


def write(target: str, seeds: dict[str, bytes]) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, seed in seeds.items():
        (folder / name).write_bytes(seed)


def main() -> None:
    shards = {name: build(replace(plan, nonce=0x1234)) for name, plan in plans().items()}
    for target in ("chunk", "open", "read", "verify"):
        write(target, {f"{name}{control}": bytes([control]) + shard for name, shard in shards.items() for control in (0, 19)})
    pages = [seed for shard in shards.values() for seed in page_seeds(shard)]
    write("page", {f"{i:03}": seed for i, seed in enumerate(dict.fromkeys(pages))})
    write("dict", {str(i): seed for i, seed in enumerate(dict_seeds())})
    write("round", {f"{i:02}": seed for i, seed in enumerate(round_seeds())})


if __name__ == "__main__":
    main()
