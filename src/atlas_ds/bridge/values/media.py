"""Tells encoded pictures, sound and film by name and by first bytes. It decodes nothing."""

from __future__ import annotations

from pathlib import Path

from atlas_ds.bridge.opening import read_head, refuse_pointer
from atlas_ds.errors import CorruptError

KINDS = {
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jp2", "ppm", "pgm", "pbm", "pnm"),
    "audio": ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac"),
    "video": ("mp4", "mkv", "webm", "mov", "avi"),
}
_KIND_OF = {extension: kind for kind, extensions in KINDS.items() for extension in extensions}

_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\0\0\0\x0cjP  ", "image/jp2"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"mif1": "image/heic",
           b"M4A ": "audio/mp4", b"qt  ": "video/quicktime"}  # fmt: skip
_NETPBM = {b"P1": "bitmap", b"P2": "graymap", b"P3": "pixmap", b"P4": "bitmap", b"P5": "graymap", b"P6": "pixmap"}


def kind_of(extension: str) -> str | None:
    """"image", "audio" or "video" for a file name extension without its dot, else None."""
    return _KIND_OF.get(extension.lower())


def sniff(head: bytes) -> str | None:
    """The media type that the first bytes (12 or more) announce, or None."""
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12])
    if head[:2] in _NETPBM and head[2:3] in (b" ", b"\t", b"\n", b"\r"):
        return f"image/x-portable-{_NETPBM[head[:2]]}"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return "video/quicktime"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # frame sync of MPEG audio; layer 0 means AAC
        return "audio/mpeg" if head[1] & 0x06 else "audio/aac"
    return None


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
