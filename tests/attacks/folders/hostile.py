"""Values that no writer writes, and ways to put them into the JSON of a folder. Used by attack.py, in a process with little memory."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import rfc8785

from atlas_ds.dataset.canonical import load_json
from atlas_ds.dataset.manifest import HASH_MEMBER, digest

RAW = "@@raw@@"  # stands before a text that goes into the JSON as it is
NUMBERS = [-(1 << 63), -1, 0, 1, 2, 1 << 31, 1 << 40, (1 << 53) - 1, 1 << 53, 1 << 63, 1 << 64, 10**30, 1.5, -0.0, 1e308]
RAWS = ["NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '{"a":1,"a":2}', "[" * 1500 + "]" * 1500, "[" * 100_000 + "]" * 100_000]
TEXTS = [
    "", "x", "\0", "\x1b[2J\x9b\u202e", "\u2028", "train", "create", "append", "overwrite", "0" * 16, "f" * 32, "1:" + "0" * 32, "\u0661:" + "0" * 32, "x" * 100_000,
    "00000-0000000000000000.atlas", "9" * 400 + "-0000000000000000.atlas", "999999999999999-0000000000000000.atlas", "atlas.json", ".atlas.lock", "../victim.txt",
    "../beside/00000-1111111111111111.atlas", "sub/00000-0000000000000000.atlas", "00000-0000000000000000.atlas\n", "\u0660\u0660\u0660\u0660\u0660-0000000000000000.atlas",
]  # fmt: skip
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [None], {"": None}, [[0, 5]] * 1000, [[0, 1 << 40]], [[0, 1], [1, 1 << 52]], {"a": [[0, 1 << 52]]}]
STATS = [
    "", "{", "null", "[]", "3", '{"columns":3}', '{"columns":[3,null,{}]}', '{"columns":{"a":1}}', '{"icc":3}', '{"icc":{"x":3}}', '{"icc":{"x":{"rows":1}}}', "[" * 100_000,
    '{"columns":[' + ",".join(['{"path":"x","why":"","raw_bytes":1,"stored_bytes":1,"layouts":{},"codecs":{}}'] * 9000) + "]}",
]  # fmt: skip


def values(victim: str) -> list[Any]:
    return [*NUMBERS, *[RAW + text for text in RAWS], *TEXTS, victim, *OTHERS]


def to_json(body: Any) -> bytes:
    """JSON of what may hold raw pieces, lone surrogates and numbers that are none."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    for raw in RAWS:
        text = text.replace(json.dumps(RAW + raw), raw)
    return text.encode()


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in some JSON."""
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def changed(body: Any, rng: random.Random, victim: str) -> Any:
    """A copy with one to three values replaced, removed, doubled or swapped."""
    body = copy.deepcopy(body)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = rng.choice(places(body)[1:] or [()])
        if not path:
            return copy.deepcopy(rng.choice(values(victim)))
        around = body
        for key in path[:-1]:
            around = around[key]
        key, way = path[-1], rng.random()
        if way < 0.75:
            around[key] = copy.deepcopy(rng.choice(values(victim)))
        elif way < 0.85:
            del around[key]
        elif isinstance(around, list):
            around.insert(rng.randrange(len(around) + 1), copy.deepcopy(around[key]))
        else:
            around[rng.choice(["", "rows", "hash", "\x1b", "x" * 5000])] = copy.deepcopy(around[key])
    return body


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes replaced, removed or added; or the text cut."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at, way = rng.randrange(len(out) + 1), rng.random()
        if way < 0.5 and at < len(out):
            out[at] = rng.choice(b'\0\n"\\[]{},:0129eE-+.tfn\xff\xed\xa0') if rng.random() < 0.7 else rng.randrange(256)
        elif way < 0.7:
            del out[at : at + rng.choice([1, 1, 2, 10])]
        elif way < 0.9:
            out[at:at] = rng.choice([b"[", b"{", b'"', b"\\ud800", b"1e999", b"NaN", b"\xed\xa0\x80", b"\0", b"\n", b"9" * 50])
        else:
            del out[at:]
    return bytes(out)


def in_canonical_form(data: bytes) -> bytes:
    """The manifest as a careful liar writes it, so that it is not refused for its form; as it is, if it has no such form."""
    try:
        body = load_json(data, exact=True)
        return rfc8785.dumps(body | {"hash": "0" * 32}) if isinstance(body, dict) else data
    except (ValueError, RecursionError):
        return data


def sealed(data: bytes) -> bytes:
    """A manifest with the hash that its bytes have, in canonical form where it has one."""
    data = in_canonical_form(data)
    found = HASH_MEMBER.search(data)
    start, plain = (found.start(), data[: found.start()] + data[found.end() :]) if found else (data.find(b',"metadata"'), data)
    return plain if start < 0 else plain[:start] + b',"hash":"' + digest(plain).encode() + b'"' + plain[start:]
