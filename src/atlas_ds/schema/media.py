"""Encoded images, sound and film: what they are, and what is stored of a Media, a path or a PIL image. Pixels are the business of pictures.py."""

from __future__ import annotations

import base64
import dataclasses
import mimetypes
import os
import stat
from html import escape
from pathlib import Path
from typing import Any, Literal

from atlas_ds.errors import AtlasError, LimitError, SchemaError
from atlas_ds.schema.describe import describe
from atlas_ds.schema.encoding import encoded_image
from atlas_ds.schema.fits import check_size
from atlas_ds.schema.pictures import MODES, decode_image
from atlas_ds.schema.types import Field
from atlas_ds.schema.types import Media as MediaType
from atlas_ds.text import printable

SHOWN = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"))  # by every browser
SHOWN_BYTES = 1 << 20

SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"), (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"), (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"), (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)  # fmt: skip


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
            raise SchemaError(f"{self.type} cannot be decoded here: take .data and give it to a library for sound or film")
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
    return f'<img src="data:{kind};base64,{base64.b64encode(media.data).decode()}" style="max-height: 12em" alt="{kind}">'


def sniff(data: bytes, name: str = "") -> str | None:
    """The media type of encoded bytes by their signature, else by the file's name."""
    for signature, kind in SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return "image/avif" if data[8:12] in (b"avif", b"avis") else "image/heic" if data[8:12] in (b"heic", b"heix") else "video/mp4"
    guess = mimetypes.guess_type(name)[0] if name else None
    return guess if guess is not None and guess.split("/")[0] in ("image", "audio", "video") else None


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
        raise SchemaError(f"column {path!r}: {cause}: give it before it is released") from cause


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
        raise SchemaError(f"column {path!r}: expected {kind} (Media, a pathlib.Path or a PIL image), got {describe(value)}")
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
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # of a pipe without a writer, opening would wait for ever
        with open(fd, "rb") as opened:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise SchemaError(f"column {path!r}: {str(file)!r} is not a regular file: give its bytes, or Media(data, type)")
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
        raise SchemaError(f"column {path!r}: {str(file)!r} is no image, sound or film that is known: give its bytes, or Media(data, type)")
    return data, found


def _encode(image: Any, wanted: str | None, path: str) -> tuple[bytes, str]:
    """The file of a PIL image, where it is one of the wanted type; else PNG."""
    try:
        return encoded_image(image, lambda data: sniff(data) if wanted is None or sniff(data) == wanted else None)
    except (SchemaError, LimitError) as cause:
        raise type(cause)(f"column {path!r}: {cause}") from cause
    except ValueError as cause:
        raise SchemaError(f"column {path!r}: the image cannot be read: {cause}; give it before it is closed") from cause
