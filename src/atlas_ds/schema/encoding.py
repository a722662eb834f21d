"""A PIL image to encoded bytes: those of its own file where it is that file unchanged, else PNG. Asks images.py for Pillow."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.images import MAX_PIXELS, reopened

PNG_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"))  # what PNG holds as it is
# TIFF tags that say how its pixels lie in the file: among its EXIF, but no part of another file's.
TIFF_STRUCTURE = (254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 347, 530, 532)
CARRIED = ("exif", "icc_profile", "transparency")  # in image.info: what belongs to the image, not to its file


def encoded_image(image: Any, accept: Callable[[bytes], str | None]) -> tuple[bytes, str]:
    """(encoded bytes, media type). accept: the media type of a file's bytes if they may be stored as they are, else None.

    SchemaError where something of the image would be lost, or where it cannot be read; LimitError where it has too many pixels to be decoded.
    """
    width, height = image.size
    if width == 0 or height == 0:
        raise SchemaError(f"an image of {width} x {height} pixels has nothing to store: leave it out, or use None")
    if width * height > MAX_PIXELS:
        why = f"more than {MAX_PIXELS:,} in all, could not be decoded: store it in parts, or its file's bytes"
        raise LimitError(f"an image of {width:,} x {height:,} pixels, {why}")
    if image.tell() == 0:
        for data in own_files(image):
            kind = accept(data)
            if kind is not None and kind.startswith("image/") and is_same(image, data):
                return data, kind
        need_one_frame(image)
    return to_png(image), "image/png"


def own_files(image: Any) -> Iterator[bytes]:
    """The bytes of the files that an image may be, unchecked: what it was opened from. Leaves open files where they are."""
    for name in ("fp", "_fp"):
        data = read_all(getattr(image, name, None))
        if isinstance(data, bytes):
            yield data
    path = getattr(image, "filename", "")
    if path and isinstance(path, str | bytes) and os.path.isfile(path):
        try:
            with open(path, "rb") as opened:
                yield opened.read()
        except OSError:
            return


def read_all(file: Any) -> Any:
    """What a file holds, which is left where it is; None where it is closed, or none."""
    try:
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
    except (AttributeError, OSError, ValueError):  # Pillow puts an object that raises ValueError where a file was
        return None
    return data


def is_same(image: Any, data: bytes) -> bool:
    """Whether an image is what these bytes decode to, completely, with nothing changed in memory since."""
    fresh = reopened(data)
    if fresh is None:
        return False
    with fresh:
        loaded = getattr(image, "_im", vars(image).get("im")) is not None
        if not loaded and (look(image) != look(fresh) or getattr(image, "tile", None) != fresh.tile or palette_of(image) != palette_of(fresh)):
            return False  # changed by draft(), say
        try:
            fresh.load()
        except (OSError, ValueError, SyntaxError, EOFError):
            return False  # cut, say: what is wrong is told where the image itself is loaded
        if loaded and (look(image) != look(fresh) or image.getpalette() != fresh.getpalette() or image.tobytes() != fresh.tobytes()):
            return False
        if loaded and image.palette is not None and image.convert("RGBA").tobytes() != fresh.convert("RGBA").tobytes():
            return False  # another palette waits to be used: getpalette() tells the one before
        return getattr(image, "_exif", None) is None or dict(image.getexif()) == dict(fresh.getexif())


def look(image: Any) -> tuple[Any, ...]:
    """What can be told of an image without its pixels."""
    return image.size, image.mode, *(image.info.get(name) for name in CARRIED)


def palette_of(image: Any) -> tuple[Any, ...] | None:
    """The palette that an image will have once it is loaded."""
    palette = image.palette
    return None if palette is None else (palette.mode, palette.rawmode, bytes(palette.palette))


def need_one_frame(image: Any) -> None:
    """SchemaError where an image has frames behind the current one, or may have."""
    try:
        frames = getattr(image, "n_frames", 1)
    except (OSError, ValueError, EOFError, SyntaxError):
        frames = None  # its file is closed or cut
    if frames != 1:
        count = "frames that cannot be counted (its file is closed)" if frames is None else f"{frames} frames"
        cure = "give the file's path (pathlib.Path) or atlas.Media(bytes, type), or image.copy() for this frame alone"
        raise SchemaError(f"an image with {count}: only the first would be stored, since the image no longer has the content of its file: {cure}")


def to_png(image: Any) -> bytes:
    """Without loss, with EXIF and colour profile."""
    if image.mode not in PNG_MODES:
        raise SchemaError(f"an image of mode {image.mode} has no PNG form without loss: convert it to RGB, or store numpy.asarray(image)")
    buffer = io.BytesIO()
    try:
        image.load()
        options: dict[str, Any] = {}
        exif = image.getexif()
        if len(exif):
            options["exif"] = exif_bytes(exif)
        if image.info.get("icc_profile"):
            options["icc_profile"] = image.info["icc_profile"]
        (with_complete_palette(image) if image.mode == "P" else image).save(buffer, format="PNG", **options)
    except Exception as cause:  # decoders of many formats, each with its own errors; all say that this image cannot be read
        raise SchemaError(f"the image cannot be read: {str(cause) or type(cause).__name__}: leave it out, or restore its file") from cause
    return buffer.getvalue()


def with_complete_palette(image: Any) -> Any:
    """An image whose palette names every pixel's colour: PNG is written with as few bits as the palette needs, whatever the pixels are."""
    kind = image.palette.mode if image.palette is not None and image.palette.mode in ("RGB", "RGBA") else "RGB"
    colours = image.getpalette(kind) or []
    lacking = image.getextrema()[1] + 1 - len(colours) // len(kind)
    if lacking <= 0:
        return image
    complete = image.copy()
    complete.putpalette(colours + [0, 0, 0, 255][: len(kind)] * lacking, kind)  # black, as Pillow shows them
    return complete


def exif_bytes(exif: Any) -> bytes:
    """EXIF as another file may carry it."""
    if not any(tag in exif for tag in TIFF_STRUCTURE):
        return bytes(exif.tobytes())
    copy = type(exif)()
    copy.load(exif.tobytes())
    for tag in TIFF_STRUCTURE:
        copy.pop(tag, None)
    return bytes(copy.tobytes())
