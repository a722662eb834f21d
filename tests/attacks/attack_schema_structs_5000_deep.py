"""A legal schema of 5000 structs in each other, and one leaf: every walk over the tree is a recursion."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED

EXPECT = "LimitError"


def make() -> bytes:
    depth = 5000
    inner = b'{"leaves":[0],"name":"x","nullable":false,"type":"int8"}'
    text = (b'{"leaves":[],"name":"x","nullable":false,"type":{"struct":[' * depth) + inner + b"]}}" * depth
    schema = b'{"container":"list","fields":[' + text + b"]}"
    return patched(sample.one("int8", [b"a"], Encoding(FIXED), width=1), "schema", lambda _: schema)
