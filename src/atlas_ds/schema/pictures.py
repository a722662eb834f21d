"""Encoded pictures to pixels; encoding.py goes the other way. The one file that imports Pillow and simplejpeg.

Sound and film stay encoded; nothing here knows of datasets.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np

from atlas_ds.errors import CorruptError, LimitError, UnsupportedError

MODES = ("pil", "numpy", "torch")
MAX_PIXELS = 178_956_970  # of one picture, as in Pillow, which refuses more by default
# What is decoded, by Pillow's names. Not all that Pillow knows: EPS, for one, is a program, and Pillow would start another process to run it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "TGA", "ICO")
# What becomes of a Pillow mode as an array; modes that are not here stay as they are.
TO_MODE = {
    "1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB",
}  # fmt: skip


def need_pictures(mode: str) -> None:
    """ValueError for an unknown mode, ImportError for a missing library: said where decoding is asked for, not where the first row is read.

    Everything is imported here, so that worker processes that are forked later find it done.
    """
    if mode not in MODES:
        raise ValueError(f"decode={mode!r}: 'pil', 'numpy' or 'torch'")
    pillow()
    simple_jpeg()
    if mode == "torch":
        from atlas_ds.loader.torch import need_torch

        need_torch("decode='torch'")


def decoded(data: bytes | memoryview, kind: str | None, mode: str, *, where: str) -> Any:
    """The pixels of an encoded picture (its first frame). kind: its media type, by its bytes. where: the place that errors name, such
    as "column 'image'".

    "pil": a PIL.Image, read whole, in the mode that the file has. "numpy": uint8, height x width x channels (RGB, RGBA, LA), a grey picture
    height x width. "torch": the same as a tensor, channels x height x width, a grey picture 1 x height x width, as torchvision gives it.
    Arrays and tensors of palettes, CMYK and other colour spaces are RGB; of grey with 16 bits or floats they keep their dtype. An orientation
    that EXIF asks for is not applied. CorruptError if the bytes are no whole picture, LimitError if it has more than MAX_PIXELS pixels.
    """
    if mode not in MODES:
        raise ValueError(f"{where}: decoding to {mode!r}: 'pil', 'numpy' or 'torch'")
    if mode == "pil":
        return opened(data, kind, where)
    array = decoded_jpeg(data, where) if kind == "image/jpeg" else None
    if array is None:
        array = pixels(opened(data, kind, where))
    if mode == "numpy":
        return array
    from atlas_ds.loader.torch import to_torch

    return to_torch(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def opened(data: bytes | memoryview, kind: str | None, where: str) -> Any:
    """A PIL image, read whole."""
    image = pillow()
    try:
        with image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in image.OPEN]) as picture:
            check_size(picture.width, picture.height, where)
            picture.load()
            return picture
    except image.DecompressionBombError as error:
        raise LimitError(f"{where}: {error}: more than Pillow reads; see PIL.Image.MAX_IMAGE_PIXELS") from error
    except (LimitError, MemoryError):
        raise
    except image.UnidentifiedImageError as error:
        if kind in ("image/heic", "image/heif"):
            raise UnsupportedError(
                f"{where}: a HEIC image, which Pillow does not decode: convert it to JPEG first, or decode its bytes (.data) with pillow-heif"
            ) from error
        raise CorruptError(f"{where}: {_not_decoded(error, data)}") from error
    except Exception as error:  # decoders of many formats, each with its own errors; all say that these bytes are no picture
        raise CorruptError(f"{where}: {_not_decoded(error, data)}") from error


def _not_decoded(error: Exception, data: bytes | memoryview) -> str:
    return f"not a whole picture of a format that is decoded: {said(error, data)}; restore it, or read it encoded (decode=None)"


def reopened(data: bytes | memoryview) -> Any:
    """A PIL image of encoded bytes, nothing of it loaded yet; None where they are no picture of a format that is decoded."""
    image = pillow()
    try:
        return image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in image.OPEN])
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError):
        return None


def said(error: Exception, data: bytes | memoryview) -> str:
    """Pillow's words, without the address of a buffer where it does not know what the bytes are."""
    image = pillow()
    if isinstance(error, image.UnidentifiedImageError):
        return f"begins with {bytes(data[:8]).hex(' ')}" if len(data) else "no bytes"
    return str(error) or type(error).__name__


def check_size(width: int, height: int, where: str) -> None:
    if width * height > MAX_PIXELS:
        raise LimitError(f"{where}: a picture of {width:,} x {height:,} pixels, more than {MAX_PIXELS:,} in all; read it encoded (decode=None)")


def pixels(picture: Any) -> np.ndarray:
    """An array of its own."""
    mode = TO_MODE.get(picture.mode, picture.mode)
    if picture.mode == "P" and "transparency" in picture.info:
        mode = "RGBA"
    array = np.array(picture if mode == picture.mode else picture.convert(mode))
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def decoded_jpeg(data: bytes | memoryview, where: str) -> np.ndarray | None:
    """By simplejpeg, which is quicker. None where it is not installed or fails: then Pillow decides, so that results do not hang on it."""
    jpeg = simple_jpeg()
    if jpeg is None:
        return None
    try:
        height, width, space, _ = jpeg.decode_jpeg_header(data)
        check_size(width, height, where)
        if space not in ("YCbCr", "RGB", "Gray"):
            return None
        array: np.ndarray = jpeg.decode_jpeg(data, colorspace="GRAY" if space == "Gray" else "RGB")
    except ValueError as error:
        if isinstance(error, LimitError):
            raise
        return None
    return array[..., 0] if space == "Gray" else array


def pillow() -> Any:
    """PIL.Image with all its formats registered."""
    try:
        from PIL import Image
    except ImportError as cause:
        raise ImportError("decoding images needs Pillow: pip install 'atlas-ds[images]'") from cause
    Image.init()
    return Image


@functools.cache  # Python looks for a module that is not there anew each time
def simple_jpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
