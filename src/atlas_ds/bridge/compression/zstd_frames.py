"""Parses the frames of a zstd file while it is read (RFC 8878), to detect whether it ends at the
end of a frame. It decompresses nothing.

The decoder does not report this: it treats truncation, or a few bytes of garbage, as the end.
"""

from __future__ import annotations

from collections.abc import Callable

MAGIC = b"\x28\xb5\x2f\xfd"
CONTENT_SIZE = (0, 2, 4, 8)  # bytes, by flag
DICTIONARY = (0, 1, 2, 4)
RLE = 1


class Frames:
    """Receives the file's bytes in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0  # bytes before the next field
        self._checksum = 0
        self._needs = 0
        self._step: Callable[[bytes], int]
        self._expect(4, self._magic)

    @property
    def at_end(self) -> bool:
        """Whether the bytes so far end with a complete frame."""
        return self._step == self._magic and not self._skip and not self._rest

    def feed(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while True:
            jump = min(self._skip, len(data) - at)
            self._skip -= jump
            at += jump
            if self._skip or len(data) - at < self._needs:
                self._rest = data[at:]
                return
            part = data[at : at + self._needs]
            at += self._needs
            self._skip = self._step(part)

    def _expect(self, needs: int, step: Callable[[bytes], int]) -> None:
        self._needs, self._step = needs, step

    # --- each step parses the bytes it needs, sets the next step, and returns how many bytes to skip before it ---

    def _magic(self, part: bytes) -> int:
        if part == MAGIC:
            self._expect(1, self._descriptor)
        elif part[0] & 0xF0 == 0x50 and part[1:] == b"\x2a\x4d\x18":
            self._expect(4, self._skippable)
        else:  # garbage: the end is never reached
            self._expect(1, self._garbage)
        return 0

    def _garbage(self, part: bytes) -> int:
        return 1 << 62

    def _skippable(self, part: bytes) -> int:
        self._expect(4, self._magic)
        return int.from_bytes(part, "little")

    def _descriptor(self, part: bytes) -> int:
        flags = part[0]
        single = flags >> 5 & 1
        self._checksum = 4 if flags & 4 else 0
        self._expect(3, self._block)
        return (1 - single) + DICTIONARY[flags & 3] + (CONTENT_SIZE[flags >> 6] or single)

    def _block(self, part: bytes) -> int:
        header = int.from_bytes(part, "little")
        size = 1 if header >> 1 & 3 == RLE else header >> 3
        if not header & 1:
            return size
        self._expect(4, self._magic)
        return size + self._checksum
