"""Encoded images to pixels; encoding.py goes the other way. The one file that imports Pillow and simplejpeg.

Audio and video stay encoded; nothing here knows of datasets.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np

from atlas_ds.errors import CorruptError, LimitError, UnsupportedError
from atlas_ds.schema.tensors import need_torch, to_torch

MODES = ("pil", "numpy", "torch")
MAX_PIXELS = 178_956_970  # of one image, as in Pillow, which refuses more by default
# What is decoded, by Pillow's names. Not all that Pillow knows: EPS, for one, is a program, and Pillow would start another process to run it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "TGA", "ICO")
# What becomes of a Pillow mode as an array; modes that are not here stay as they are.
TO_MODE = {
    "1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB",
}  # fmt: skip


def need_images(mode: str) -> None:
    """ValueError for an unknown mode, ImportError for a missing library: raised where decoding is requested, not where the first row is read.

    Everything is imported here, so that worker processes that are forked later find it done.
    """
    if mode not in MODES:
        raise ValueError(f"decode={mode!r}: must be 'pil', 'numpy' or 'torch'")
    pillow()
    simple_jpeg()
    if mode == "torch":
        need_torch("decode='torch'")


def decoded(data: bytes | memoryview, kind: str | None, mode: str, *, where: str) -> Any:
    """The pixels of an encoded image (its first frame). kind: its media type, by its bytes. where: the place that errors name, such
    as "column 'image'".

    "pil": a PIL.Image, read completely, in the mode that the file has. "numpy": uint8, height x width x channels (RGB, RGBA, LA), a grey image
    height x width. "torch": the same as a tensor, channels x height x width, a grey image 1 x height x width, as torchvision gives it.
    Arrays and tensors of palettes, CMYK and other colour spaces are RGB; of grey with 16 bits or floats they keep their dtype. An orientation
    that EXIF asks for is not applied. CorruptError if the bytes are no complete image, LimitError if it has more than MAX_PIXELS pixels.
    """
    if mode not in MODES:
        raise ValueError(f"{where}: decoding to {mode!r}: must be 'pil', 'numpy' or 'torch'")
    if mode == "pil":
        return opened(data, kind, where)
    array = decoded_jpeg(data, where) if kind == "image/jpeg" else None
    if array is None:
        array = pixels(opened(data, kind, where))
    if mode == "numpy":
        return array
    return to_torch(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def opened(data: bytes | memoryview, kind: str | None, where: str) -> Any:
    """A PIL image, read completely."""
    pil = pillow()
    try:
        with pil.open(io.BytesIO(data), formats=[name for name in FORMATS if name in pil.OPEN]) as image:
            check_size(image.width, image.height, where)
            image.load()
            return image
    except pil.DecompressionBombError as error:
        raise LimitError(f"{where}: {error}: more than Pillow reads; see PIL.Image.MAX_IMAGE_PIXELS") from error
    except (LimitError, MemoryError):
        raise
    except pil.UnidentifiedImageError as error:
        if kind in ("image/heic", "image/heif"):
            raise UnsupportedError(
                f"{where}: a HEIC image, which Pillow does not decode: convert it to JPEG first, or decode its bytes (.data) with pillow-heif"
            ) from error
        raise CorruptError(f"{where}: {_not_decoded(error, data)}") from error
    except Exception as error:  # decoders of many formats, each with its own errors; all say that these bytes are no image
        raise CorruptError(f"{where}: {_not_decoded(error, data)}") from error


def _not_decoded(error: Exception, data: bytes | memoryview) -> str:
    return f"not a complete image of a format that is decoded: {said(error, data)}; restore it, or read it encoded (decode=None)"


def reopened(data: bytes | memoryview) -> Any:
    """A PIL image of encoded bytes, nothing of it loaded yet; None where they are no image of a format that is decoded."""
    pil = pillow()
    try:
        return pil.open(io.BytesIO(data), formats=[name for name in FORMATS if name in pil.OPEN])
    except (OSError, ValueError, SyntaxError, pil.DecompressionBombError):
        return None


def said(error: Exception, data: bytes | memoryview) -> str:
    """Pillow's words, without the address of a buffer where it does not know what the bytes are."""
    pil = pillow()
    if isinstance(error, pil.UnidentifiedImageError):
        return f"begins with {bytes(data[:8]).hex(' ')}" if len(data) else "no bytes"
    return str(error) or type(error).__name__


def check_size(width: int, height: int, where: str) -> None:
    if width * height > MAX_PIXELS:
        raise LimitError(f"{where}: an image of {width:,} x {height:,} pixels, more than {MAX_PIXELS:,} in all; read it encoded (decode=None)")


def pixels(image: Any) -> np.ndarray:
    """An array of its own."""
    mode = TO_MODE.get(image.mode, image.mode)
    if image.mode == "P" and "transparency" in image.info:
        mode = "RGBA"
    array = np.array(image if mode == image.mode else image.convert(mode))
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


@functools.cache  # Python looks for a module that is not there again each time
def simple_jpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
