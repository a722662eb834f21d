"""One answer to "what are these bytes?" from all who ask: the writer, convert, tars, MDS, the commands."""

import struct

import pytest

from atlas_ds.bridge.first_bytes import format_of_file
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.bridge.streaming import images
from atlas_ds.bridge.values.by_extension import decode_value
from atlas_ds.bridge.values.media import checked_media
from atlas_ds.bridge.webdataset.tars import as_media
from atlas_ds.cli.text import brief_json
from atlas_ds.dataset.kinds import kind_of
from atlas_ds.errors import UnsupportedError
from atlas_ds.schema.media import sniff, to_media
from atlas_ds.schema.types import Field, Media


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def brands(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(compatible)) + box(b"meta", bytes(40))


RIFF = b"RIFF\x24\x08\0\0"
JFIF = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
# extension, media type, first bytes as real files have them
FILES = {
    "jpeg, JFIF": ("jpg", "image/jpeg", JFIF),
    "jpeg, EXIF": ("jpeg", "image/jpeg", b"\xff\xd8\xff\xe1\x1c\x45Exif\0\0II*\0\x08\0\0\0"),
    "png": ("png", "image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"),
    "gif 87": ("gif", "image/gif", b"GIF87a\1\0\1\0\x80\0\0"),
    "gif 89": ("gif", "image/gif", b"GIF89a\1\0\1\0\x80\0\0"),
    "webp": ("webp", "image/webp", RIFF + b"WEBPVP8 \x18\x08\0\0"),
    "bmp": ("bmp", "image/bmp", b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18\0"),
    "tiff, little": ("tif", "image/tiff", b"II*\0\x08\0\0\0\x0d\0\xfe\0"),
    "tiff, big": ("tiff", "image/tiff", b"MM\0*\0\0\0\x08\0\x0d\0\xfe"),
    "jpeg 2000": ("jp2", "image/jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 "),
    "bitmap": ("pbm", "image/x-portable-bitmap", b"P4\n8 8\n" + bytes(8)),
    "graymap": ("pgm", "image/x-portable-graymap", b"P5 2 2 255\n" + bytes(4)),
    "pixmap": ("ppm", "image/x-portable-pixmap", b"P6\n# by hand\n1 1\n255\nabc"),
    "avif": ("avif", "image/avif", brands(b"avif", b"avif", b"mif1", b"miaf", b"MA1B")),
    "avif sequence": ("avif", "image/avif", brands(b"avis", b"avif", b"avis", b"msf1")),
    "avif, called HEIF": ("avif", "image/avif", brands(b"mif1", b"mif1", b"avif", b"miaf")),
    "heic of a phone": ("heic", "image/heic", brands(b"heic", b"mif1", b"MiHE", b"miaf", b"heic", b"tmap")),
    "heic, 10 bits": ("heic", "image/heic", brands(b"heix", b"mif1", b"heix")),
    "heic, called HEIF": ("heic", "image/heic", brands(b"mif1", b"mif1", b"heic", b"hevc")),
    "heif": ("heic", "image/heif", brands(b"mif1", b"mif1", b"unif")),
    "wav": ("wav", "audio/wav", RIFF + b"WAVEfmt \x10\0\0\0\1\0\1\0"),
    "wav, 64 bits": ("wav", "audio/wav", b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0"),
    "mp3 with ID3": ("mp3", "audio/mpeg", b"ID3\4\0\0\0\0\0\x23TSSE\0\0\0\x0f"),
    "mp3, MPEG 1": ("mp3", "audio/mpeg", b"\xff\xfb\x90\x64\0\0\0\0"),
    "mp3, MPEG 1 with CRC": ("mp3", "audio/mpeg", b"\xff\xfa\x92\x40\0\0\0\0"),
    "mp3, MPEG 2": ("mp3", "audio/mpeg", b"\xff\xf3\x48\xc4\0\0\0\0"),
    "mp3, MPEG 2.5": ("mp3", "audio/mpeg", b"\xff\xe3\x18\xc4\0\0\0\0"),
    "aac": ("aac", "audio/aac", b"\xff\xf1\x50\x80\x2e\x7f\xfc"),
    "flac": ("flac", "audio/flac", b"fLaC\0\0\0\x22\x10\0\x10\0"),
    "ogg": ("ogg", "audio/ogg", b"OggS\0\2" + bytes(8) + b"\1\x1e\1vorbis"),
    "opus": ("opus", "audio/ogg", b"OggS\0\2" + bytes(8) + b"\1\x13OpusHead"),
    "m4a": ("m4a", "audio/mp4", brands(b"M4A ", b"M4A ", b"mp42", b"isom")),
    "audio book": ("m4a", "audio/mp4", brands(b"M4B ", b"M4A ", b"mp42")),
    "mp4": ("mp4", "video/mp4", brands(b"isom", b"isom", b"iso2", b"avc1", b"mp41")),
    "mp4, 42": ("mp4", "video/mp4", brands(b"mp42", b"mp42", b"isom")),
    "mov": ("mov", "video/quicktime", brands(b"qt  ", b"qt  ")),
    "mov, old": ("mov", "video/quicktime", b"\0\0\0\x08wide\0\x3d\x0a\x11mdat"),
    "mov, older": ("mov", "video/quicktime", b"\0\x3d\x0a\x11mdat" + bytes(20)),
    "avi": ("avi", "video/x-msvideo", RIFF + b"AVI LIST"),
    "webm": ("webm", "video/webm", b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x84webm"),
}  # fmt: skip
OTHERS = {
    "text": b"A free text about free films", "the free": b"The free encyclopedia", "a table of P1 and P2": b"P1\tP2\tP3\n1\t2\t3\n", "utf-16": "id,name\n".encode("utf-16"),
    "reserved layer": b"\xff\xe9\x90\x64\0\0\0\0", "no bit rate": b"\xff\xfb\xf0\x64\0\0\0\0", "no sample rate": b"\xff\xfb\x9c\x64\0\0\0\0", "zeros": bytes(64), "nothing": b"",
    "riff of another kind": RIFF + b"ACON", "one byte": b"\xff",
}  # fmt: skip
DOORS = {
    "sniff": lambda data, extension, path: sniff(data),
    "a view": lambda data, extension, path: sniff(memoryview(data)),
    "a file for the writer": lambda data, extension, path: to_media(path, Field("v", Media()), "v")[1],
    "a field of a sample": lambda data, extension, path: decode_value(extension, data, "here").type,
    "tars": lambda data, extension, path: as_media(data).type,
    "MDS and LitData": lambda data, extension, path: images.as_media(data, "nothing").type,
    "the commands": lambda data, extension, path: brief_json(data)["type"],
}


@pytest.fixture
def file(tmp_path, kind):
    extension, _, data = FILES[kind]
    path = tmp_path / f"file.{extension}"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_the_same(door, kind, file):
    extension, wanted, data = FILES[kind]
    assert DOORS[door](data, extension, file) == wanted


@pytest.mark.parametrize("kind", FILES)
def test_every_door_takes_it_for_media(kind, file):
    assert checked_media(file) == file
    assert kind_of("", file.read_bytes()) == "media"
    with pytest.raises(UnsupportedError, match=f"one {FILES[kind][1].split('/')[0]} file"):
        format_of_file(file, ReadOptions())


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_is_no_media(data):
    assert sniff(data) is None and brief_json(data)["type"] is None and kind_of("", data) != "media"
