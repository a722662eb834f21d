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
            how = struct.pack("<BBHHBB", leaf.kind & 1, leaf.flags | 2, leaf.width & 0xFFFF, head.rows - 1, 1, 0)
            out.append(entry + how + shard[start : start + page.stored])
    return out


def dict_seeds() -> list[bytes]:
    good = sample.dictionary()
    cell = make_cell(wire.ZSTD, b'{"caption": "row 9 of many", "source": "test"}' * 3, good)
    return [struct.pack("<H", len(good)) + good + b"\x28\xb5\x2f\xfd" + cell, struct.pack("<H", 9) + b"123456789some text that repeats some text"]


def round_seeds() -> list[bytes]:
    random.seed(7)
    return [bytes([random.choice([3, 20, 255]), random.randrange(16) | random.choice([0, 0, 192]), random.randrange(4)]) + random.randbytes(random.choice([40, 200]))
            for _ in range(24)]


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
