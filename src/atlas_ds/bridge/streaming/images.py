"""Images in the byte layouts of MosaicML and LitData: raw ones of Pillow, and lists of encoded
ones. It decodes no images."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from atlas_ds.schema.media import Media, sniff

CHANNELS = {"L": 1, "P": 1, "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3, "RGBA": 4, "RGBX": 4, "RGBa": 4, "CMYK": 4}
PIL_NOTE = "raw images become uint8 arrays, height x width or height x width x channels"


def raw_image(data: bytes) -> np.ndarray:
    """[width: u32][height: u32][length of mode: u32][mode][pixels] as a uint8 array. ValueError
    if the bytes are invalid."""
    width, height, mode, pixels = raw_parts(data)
    if mode not in CHANNELS:
        raise ValueError(f"a raw image of mode {mode!r}, whose pixels are not uint8; convert it to L, RGB or RGBA before it is written")
    shape = (height, width) if CHANNELS[mode] == 1 else (height, width, CHANNELS[mode])
    if len(pixels) != width * height * CHANNELS[mode]:
        raise ValueError(f"a raw image of {width} x {height} in {mode} has {len(pixels):,} bytes of pixels")
    return np.frombuffer(pixels, np.uint8).reshape(shape)


class RawImage(NamedTuple):
    """mode: Pillow's name of the pixel format."""

    width: int
    height: int
    mode: str
    pixels: bytes


def raw_parts(data: bytes) -> RawImage:
    """The parts of a raw image."""
    if len(data) < 12:
        raise ValueError(f"{len(data)} bytes are too few for the header of a raw image")
    width, height, length = struct.unpack_from("<3I", data)
    if 12 + length > len(data):
        raise ValueError(f"the mode of a raw image ends at byte {12 + length:,} of {len(data):,}")
    return RawImage(width, height, data[12 : 12 + length].decode("utf-8"), data[12 + length :])


def sized_parts(data: bytes, start: int) -> list[bytes]:
    """[count: u32][sizes: u32 each][the parts] from `start` to the end."""
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
    """Encoded bytes with the media type detected in them, or else that of the column."""
    return Media(data, sniff(data) or otherwise)
