"""Makes the annotated bytes of FORMAT.md, section 18, from a real shard: `python tests/shape/format_example.py` rewrites the section."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

FORMAT = Path(__file__).parents[2] / "FORMAT.md"
MARK = "<!-- example -->"
EXAMPLES = [{"label": 7, "text": "hello"}, {"label": 9, "text": None}, {"label": 8, "text": "you"}]


def table(name: str, size: int) -> list[tuple[int, int, str]]:
    """(offset, length, field) of a table of FORMAT.md, from its own rows."""
    text = FORMAT.read_text().split(f"<!-- table: {name} -->")[1].split("\n\n")[0]
    rows = [(int(offset), field) for offset, field in re.findall(r"^\| (\d+) \| [^|]* \| `(\w+)` \|", text, re.M)]
    ends = [offset for offset, _ in rows[1:]] + [size]
    return [(offset, end - offset, field) for (offset, field), end in zip(rows, ends, strict=True) if offset < size]


def make_shard(folder: Path) -> bytes:
    import atlas_ds

    with atlas_ds.AtlasDatasetWriter(folder / "example", schema={"label": "int64", "text": atlas_ds.types.nullable("str")}, workers=0) as writer:
        writer.extend(EXAMPLES)
    (path,) = (folder / "example").glob("*.atlas")
    return path.read_bytes()


def number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "little")


def fields(data: bytes) -> Iterator[tuple[int, int, str]]:
    """(offset, length, meaning) of every byte of the shard."""
    yield from ((offset, size, f"header.{name}") for offset, size, name in table("HEADER", 64))
    at = 64
    while at < len(data) - 64:
        kind, body = data[at + 8 : at + 12].decode(), number(data, at + 16, 8)
        yield from ((at + offset, size, f"{kind}: chunk.{name}") for offset, size, name in table("CHUNK", 32))
        yield from {"SCHM": layout, "DATA": block, "FOOT": foot}[kind](data, at + 32, body)
        end = at + 32 + body
        at = -(-end // 64) * 64
        yield end, at - end, "padding"
    yield from ((at + offset, size, f"trailer.{name}") for offset, size, name in table("TRAILER", 64))


def layout(data: bytes, at: int, size: int) -> Iterator[tuple[int, int, str]]:
    leaves, groups = number(data, at), number(data, at + 4)
    yield from ((at + offset, length, f"layout.{name}") for offset, length, name in table("LAYOUT", 16))
    place = at + 16
    for k in range(leaves):
        yield from ((place + offset, length, f"leaf {k}: {name}") for offset, length, name in table("LEAF", 16))
        place += 16
    for k in range(groups):
        yield from ((place + offset, length, f"group {k}: {name}") for offset, length, name in table("GROUP", 8))
        place += 8
    yield place, at + size - place, "schema JSON"


def block(data: bytes, at: int, size: int) -> Iterator[tuple[int, int, str]]:
    chunk, pages = at - 32, number(data, at + 14, 2)
    yield from ((chunk + offset, length, f"block.{name}") for offset, length, name in table("BLOCK", 48))
    for k in range(pages):
        yield from ((chunk + 48 + 32 * k + offset, length, f"page {k}: {name}") for offset, length, name in table("PAGE", 32))
    end = chunk + 48 + 32 * pages
    for k in range(pages):
        entry = chunk + 48 + 32 * k
        start, stored = chunk + number(data, entry + 8), number(data, entry + 12)
        yield end, start - end, "padding"
        parts = {3: ["the value"], 4: ["base, element, stored, zero", "numbers"], 1: ["values"]}.get(data[entry + 2], ["offsets", "data"])
        sizes = {4: [16, stored - 16], 2: [64, stored - 64]}.get(data[entry + 2], [stored])
        if data[entry + 4] & 1:
            parts, sizes = ["validity", *parts], [64, *sizes[:-1], sizes[-1] - 64]
        for part, length in zip(parts, sizes, strict=True):
            yield start, length, f"page {k}: {part}"
            start += length
        end = start


def foot(data: bytes, at: int, size: int) -> Iterator[tuple[int, int, str]]:
    yield from ((at + offset, length, f"footer.{name}") for offset, length, name in table("FOOT", 128))
    length = number(data, at + 96)
    yield at + 128, length, "footer.layout: as in SCHM"
    place = at + 128 + -(-length // 8) * 8
    yield at + 128 + length, place - at - 128 - length, "padding"
    for k in range(number(data, at + 104)):
        yield from ((place + offset, count, f"index {k}: {name}") for offset, count, name in table("INDEX", 24))
        place += 24
    yield place, at + size - place, "stats JSON"


def dump(data: bytes) -> str:
    lines = []
    expected = 0
    for at, size, meaning in fields(data):
        assert at == expected, (at, expected, meaning)
        expected = at + size
        for start in range(at, at + size, 16):
            part = data[start : min(start + 16, at + size)]
            note = meaning + (": " + part.decode("ascii") if meaning.endswith("JSON") else "") if start == at or meaning.endswith("JSON") else ""
            lines.append(f"{start:5d}  {part.hex(' '):<47}  {note}".rstrip())
    assert expected == len(data)
    return "\n".join(lines)


def section() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return dump(make_shard(Path(folder)))


if __name__ == "__main__":
    text = FORMAT.read_text()
    before, _, rest = text.partition(MARK)
    FORMAT.write_text(before + MARK + "\n```text\n" + section() + "\n```\n" + rest.partition("\n```\n")[2])
