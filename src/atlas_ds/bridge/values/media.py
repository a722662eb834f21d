"""Which file extensions are images, audio or video, and whether such a file begins as one. By their bytes schema/media.py tells them."""

from __future__ import annotations

from pathlib import Path

from atlas_ds.bridge.opening import read_head, refuse_pointer
from atlas_ds.errors import CorruptError
from atlas_ds.schema.media import sniff

KINDS = {
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jp2", "ppm", "pgm", "pbm", "pnm"),
    "audio": ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac"),
    "video": ("mp4", "mkv", "webm", "mov", "avi"),
}
_KIND_OF = {extension: kind for kind, extensions in KINDS.items() for extension in extensions}


def kind_of(extension: str) -> str | None:
    """"image", "audio" or "video" for a file name extension without its dot, else None."""
    return _KIND_OF.get(extension.lower())


def checked_media(path: Path) -> Path:
    """The path itself, once its first bytes look like media; a torn download is named here, not years later."""
    head = read_head(path)
    if not head:
        raise CorruptError(f"{path}: byte 0: the file is empty; restore it or remove it, then convert again")
    if sniff(head) is None:
        refuse_pointer(path, head)
        raise CorruptError(
            f"{path}: byte 0: begins with {head[:8].hex(' ')}, which no known image, audio or video file does;"
            " restore it, remove it, or give it another extension to store it as plain bytes"
        )
    return path
