"""Pictures as MosaicML and LitData lay them out in bytes: raw ones of Pillow, and lists of encoded ones. Nothing is decoded here."""

from __future__ import annotations

import struct

import numpy as np

from atlas_ds.schema.media import Media, sniff

CHANNELS = {"L": 1, "P": 1, "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3, "RGBA": 4, "RGBX": 4, "RGBa": 4, "CMYK": 4}
PIL_NOTE = "raw pictures become uint8 arrays, height x width or height x width x channels"


def raw_picture(data: bytes) -> np.ndarray:
    """[width: u32][height: u32][length of mode: u32][mode][pixels] as a uint8 array; ValueError says which rule is broken."""
    width, height, mode, pixels = raw_parts(data)
    if mode not in CHANNELS:
        raise ValueError(f"a raw picture of mode {mode!r}, whose pixels are not uint8; convert it to L, RGB or RGBA before it is written")
    shape = (height, width) if CHANNELS[mode] == 1 else (height, width, CHANNELS[mode])
    if len(pixels) != width * height * CHANNELS[mode]:
        raise ValueError(f"a raw picture of {width} x {height} in {mode} has {len(pixels):,} bytes of pixels")
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def raw_parts(data: bytes) -> tuple[int, int, str, bytes]:
    """Width, height, mode and pixels of a raw picture."""
    if len(data) < 12:
        raise ValueError(f"{len(data)} bytes are too few for the head of a raw picture")
    width, height, length = struct.unpack_from("<3I", data)
    if 12 + length > len(data):
        raise ValueError(f"the mode of a raw picture ends at byte {12 + length:,} of {len(data):,}")
    return width, height, data[12 : 12 + length].decode("utf-8"), data[12 + length :]


def sized_parts(data: bytes, start: int) -> list[bytes]:
    """[count: u32][sizes: u32 each][the parts] from `start` on, with nothing left over."""
    if len(data) < start + 4:
        raise ValueError(f"{len(data)} bytes are too few for a list")
    (count,) = struct.unpack_from("<I", data, start)
    at = start + 4 + 4 * count
    if at > len(data):
        raise ValueError(f"a list of {count:,} has its sizes up to byte {at:,} of {len(data):,}")
    parts = []
    for size in struct.unpack_from(f"<{count}I", data, start + 4):
        parts.append(data[at : at + size])
        at += size
    if at != len(data):
        raise ValueError(f"the parts of a list end at byte {at:,} of {len(data):,}")
    return parts


def as_media(data: bytes, otherwise: str) -> Media:
    """Encoded bytes with the media type they announce, or the one the column stands for."""
    return Media(data, sniff(data) or otherwise)
