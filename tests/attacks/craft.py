"""What the attack scripts share: building a shard with one piece replaced before its hash is taken. No attack itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reference.builder import Plan, build, no_patch

ZSTD_MAGIC = bytes.fromhex("28 B5 2F FD")


def patched(plan: Plan, name: str, change: Callable[[Any], Any], key: tuple[Any, ...] | None = None) -> bytes:
    """The shard of `plan`, with `change` applied to the pieces called `name` (see `reference/builder.py`), or to one of them."""

    def patch(piece: str, where: tuple[Any, ...], value: Any) -> Any:
        earlier = plan.patch(piece, where, value) if plan.patch is not no_patch else value
        return change(earlier) if piece == name and key in (None, where) else earlier

    return build(replace(plan, patch=patch))


def setting(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda value: value | fields


def rle_frame(size: int, announced: int | None = None) -> bytes:
    """A zstd frame of `size` zero bytes: 4 bytes for each 128 KiB. It may announce another content size (RFC 8878, 3.1.1)."""
    descriptor, window = 0b10_0_00000, 0x38  # u32 content size, no checksum, no dictionary; window of 128 KiB
    frame = ZSTD_MAGIC + bytes([descriptor, window]) + (size if announced is None else announced).to_bytes(4, "little")
    left = size
    while True:
        part = min(left, 128 * 1024)
        left -= part
        frame += ((part << 3) | (1 << 1) | (left == 0)).to_bytes(3, "little") + b"\0"
        if not left:
            return frame
