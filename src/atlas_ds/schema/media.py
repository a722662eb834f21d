"""Encoded images, audio and video: what they are, and what is stored of a Media, a path or a PIL image.

The only table of how such files begin. Pixels are the business of images.py.
"""

from __future__ import annotations

import base64
import dataclasses
import mimetypes
import os
import re
import stat
from html import escape
from pathlib import Path
from typing import Any, Literal

from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.schema.describe import describe
from atlas_ds.schema.encoding import encoded_image
from atlas_ds.schema.fits import check_size
from atlas_ds.schema.images import MODES, decoded
from atlas_ds.schema.types import Field
from atlas_ds.schema.types import Media as MediaType
from atlas_ds.text import printable

SHOWN = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"))  # by every browser
SHOWN_BYTES = 1 << 20
# Files that a PIL image is stored as, where it is one of them unchanged; any other image becomes a PNG.
KEPT = SHOWN | {"image/tiff"}

SNIFF_BYTES = 64  # of a file that tell what it is

# How files begin. The only table of its kind: whoever wants to know what bytes are asks sniff().
SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"), (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"), (b"\0\0\0\x0cjP  ", "image/jp2"), (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"), (b"\x1aE\xdf\xa3", "video/webm"),
)  # fmt: skip
RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}  # at byte 8, after RIFF or RF64
NETPBM_START = re.compile(rb"P([1-6])[ \t\n\r][0-9#]")
NETPBM = {b"1": "bitmap", b"2": "graymap", b"3": "pixmap", b"4": "bitmap", b"5": "graymap", b"6": "pixmap"}
# The major brand of an ISO base media file; of any other brand it is video/mp4.
BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"heim": "image/heic", b"heis": "image/heic",
    b"hevc": "image/heic", b"hevx": "image/heic", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"qt  ": "video/quicktime",
}  # fmt: skip
IMAGE_BRANDS = (b"mif1", b"msf1")  # HEIF in general: one of the compatible brands tells how the image is encoded
QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip")  # the first atom of older videos, which have no brand


@dataclasses.dataclass(frozen=True, slots=True)
class Media:
    """An encoded image, audio or video: its bytes and what they are.

    Parameters
    ----------
    data
        The encoded bytes; a memoryview with `copy=False`.
    type
        The media type, such as "image/jpeg".
    """

    data: bytes | memoryview
    type: str

    def decode(self, format: Literal["numpy", "pil", "torch"] = "numpy") -> Any:
        """Decodes an image.

        It needs Pillow: `pip install 'atlas-ds[images]'`. See docs/guide/read.md#images.

        Parameters
        ----------
        format
            "numpy": a uint8 array, height x width x channels, or height x width of a grey image.
            "torch": a tensor, channels x height x width. "pil": a PIL image.

        Raises
        ------
        SchemaError
            It is audio or video, which Atlas does not decode.
        CorruptError
            The bytes are not a complete image.
        """
        if not self.type.startswith("image/"):
            raise SchemaError(
                f"{self.type} cannot be decoded here: take .data and give it to a library for audio or video"
            )
        if format not in MODES:
            raise ValueError(f"format must be 'numpy', 'pil' or 'torch', not {format!r}")
        return decode_image(self.data, format, where=self.type)

    def __repr__(self) -> str:
        return f"Media({printable(str(self.type), 80)}, {len(self.data)} bytes)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the image itself, if browsers show its type and it is not too large."""
        return inline(self, SHOWN_BYTES)


def inline(media: Media, limit: int) -> str:
    """HTML of an image of at most `limit` bytes; of anything else its type and size. SVG is never put into a page: it is a program."""
    kind = str(media.type)
    if kind not in SHOWN or not 0 < len(media.data) <= limit:
        return escape(f"{printable(kind, 80)}, {len(media.data):,} bytes")
    return (
        f'<img src="data:{kind};base64,{base64.b64encode(media.data).decode()}" style="max-height: 12em" alt="{kind}">'
    )


def sniff(data: bytes | bytearray | memoryview, name: str = "") -> str | None:
    """The media type of encoded bytes by how they begin, else by the file's name.

    data: all bytes, or the first SNIFF_BYTES.
    """
    head = bytes(data[:SNIFF_BYTES])
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] in (b"RIFF", b"RF64"):
        return RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    found = _without_signature(head)
    if found is not None or not name:
        return found
    guess = mimetypes.guess_type(name)[0]
    return guess if guess is not None and guess.split("/")[0] in ("image", "audio", "video") else None


def _by_brand(head: bytes) -> str:
    """Of an ISO base media file: MP4 and its kin."""
    major = head[8:12]
    if major not in IMAGE_BRANDS:
        return BRANDS.get(major, "video/mp4")
    compatible = (head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4))
    return next((BRANDS[brand] for brand in compatible if BRANDS.get(brand, "").startswith("image/")), "image/heif")


def _without_signature(head: bytes) -> str | None:
    """Of kinds without a signature; checked as far as it takes to tell them from texts and tables."""
    if head[4:8] in QUICKTIME and (min(head[:4]) < 0x20 or not head[:4].isascii()):  # a length before it, not letters
        return "video/quicktime"
    if netpbm := NETPBM_START.match(head):
        return f"image/x-portable-{NETPBM[netpbm[1]]}"
    return _mpeg_audio(head) if head[:1] == b"\xff" and len(head) > 2 else None


def _mpeg_audio(head: bytes) -> str | None:
    """Of MPEG audio without tags, by the first frame's header.

    None for reserved values, and for the byte order mark of UTF-16.
    """
    second, third = head[1], head[2]
    if second & 0xF6 == 0xF0:  # 12 bits of sync and layer 0: ADTS
        return "audio/aac"
    if second & 0xE0 != 0xE0 or second == 0xFE:  # no sync, or UTF-16
        return None
    has_rates = third < 0xF0 and third & 0x0C != 0x0C
    has_layer_and_version = second & 0x06 and second & 0x18 != 0x08
    return "audio/mpeg" if has_rates and has_layer_and_version else None


def decode_image(data: bytes | memoryview, mode: str, *, where: str) -> Any:
    """The pixels of an encoded image, as images.decoded() returns them."""
    return decoded(data, sniff(data), mode, where=where)


def is_pil(value: Any) -> bool:
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def to_bytes(value: Any, path: str) -> bytes | bytearray | memoryview:
    """What a column of bytes stores; of a memoryview its elements' bytes, in order."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise SchemaError(f"column {path!r}: expected bytes, got {describe(value)}")
    try:
        size = value.nbytes if isinstance(value, memoryview) else len(value)
        check_size(path, size)
        return value.tobytes() if isinstance(value, memoryview) and not value.c_contiguous else value
    except ValueError as cause:
        if isinstance(cause, AtlasError):
            raise
        raise SchemaError(f"column {path!r}: {cause}: pass it before it is released") from cause


def to_media(value: Any, field: Field, path: str) -> tuple[bytes | bytearray | memoryview, str]:
    """(encoded bytes, media type) of a Media, a path to a file, or a PIL image.

    A PIL image that is a file as it was opened is stored as that file; any other as PNG, without loss, with its EXIF and colour profile.
    """
    kind = field.type
    assert isinstance(kind, MediaType)
    if isinstance(value, Media):
        data, got = to_bytes(value.data, path), _media_type(value.type, path)
    elif isinstance(value, Path):
        data, got = _read_file(value, path)
    elif is_pil(value):
        data, got = _encode(value, kind.type, path)
    else:
        raise SchemaError(
            f"column {path!r}: expected {kind} (Media, a pathlib.Path or a PIL image), got {describe(value)}"
        )
    if kind.type is not None and got != kind.type:
        raise SchemaError(f"column {path!r}: expected {kind}, got {got}: declare the column as atlas.types.media()")
    check_size(path, memoryview(data).nbytes)
    return data, got


def _media_type(given: Any, path: str) -> str:
    try:
        if isinstance(given, str) and given.encode():
            return given
    except UnicodeEncodeError:
        pass
    raise SchemaError(f"column {path!r}: Media.type is {describe(given)}, not a media type such as 'image/jpeg'")


def _read_file(file: Path, path: str) -> tuple[bytes, str]:
    try:
        # Without O_NONBLOCK, opening a pipe that has no writer would wait for ever.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as opened:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise SchemaError(
                    f"column {path!r}: {str(file)!r} is not a regular file: give its bytes, or Media(data, type)"
                )
            check_size(path, status.st_size)
            data = opened.read()
    except OSError as cause:
        raise SchemaError(f"column {path!r}: cannot read {str(file)!r}: {cause.strerror}") from cause
    except ValueError as cause:  # a NUL character, or a lone surrogate
        if isinstance(cause, AtlasError):
            raise
        raise SchemaError(f"column {path!r}: cannot read {str(file)!r}: {cause}") from cause
    found = sniff(data, file.name)
    if found is None:
        raise SchemaError(
            f"column {path!r}: {str(file)!r} is not an image, audio or video of a known kind: give its bytes, or Media(data, type)"
        )
    return data, found


def _encode(image: Any, wanted: str | None, path: str) -> tuple[bytes, str]:
    """The file of a PIL image, where it is one of the wanted type; else PNG."""
    try:
        return encoded_image(
            image, lambda data: kind if (kind := sniff(data)) in KEPT and wanted in (None, kind) else None
        )
    except (SchemaError, LimitError) as cause:
        raise type(cause)(f"column {path!r}: {cause}") from cause
    except ValueError as cause:
        raise SchemaError(f"column {path!r}: the image cannot be read: {cause}; pass it before it is closed") from cause
