"""decode_image: what each kind of image becomes, what is refused and how. With and without simplejpeg."""

import io
import warnings

import numpy as np
import pytest
import torch

from atlas_ds import Media
from atlas_ds.errors import CorruptError, LimitError, UnsupportedError
from atlas_ds.schema import images
from atlas_ds.schema.media import decode_image

Image = pytest.importorskip("PIL.Image")
H, W = 30, 44


@pytest.fixture(params=["pillow", "simplejpeg"], autouse=True)
def library(request, monkeypatch):
    if request.param == "pillow":
        monkeypatch.setattr(images, "simple_jpeg", lambda: None)
    else:
        pytest.importorskip("simplejpeg")
    return request.param


def drawn(mode="RGB"):
    y, x = np.mgrid[:H, :W]
    pixels = np.stack([x * 5, y * 8, x + y * 2, 255 - x], -1).astype(np.uint8)
    return (Image.fromarray(pixels).convert("RGB") if mode == "P" else Image.fromarray(pixels)).convert(mode)


def encoded(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def deep():
    return Image.fromarray(np.arange(H * W, dtype=np.uint16).reshape(H, W) * 40)


PICTURES = {
    "jpeg": (lambda: encoded(drawn(), "JPEG"), "RGB", "RGB"),
    "grey jpeg": (lambda: encoded(drawn("L"), "JPEG"), "L", "L"),
    "cmyk jpeg": (lambda: encoded(drawn("CMYK"), "JPEG"), "CMYK", "RGB"),
    "progressive jpeg": (lambda: encoded(drawn(), "JPEG", progressive=True, quality=30), "RGB", "RGB"),
    "png": (lambda: encoded(drawn(), "PNG"), "RGB", "RGB"),
    "grey png": (lambda: encoded(drawn("L"), "PNG"), "L", "L"),
    "rgba png": (lambda: encoded(drawn("RGBA"), "PNG"), "RGBA", "RGBA"),
    "grey with alpha": (lambda: encoded(drawn("LA"), "PNG"), "LA", "LA"),
    "palette": (lambda: encoded(drawn("P"), "PNG"), "P", "RGB"),
    "palette with a clear colour": (lambda: encoded(drawn("P"), "PNG", transparency=3), "P", "RGBA"),
    "black and white": (lambda: encoded(drawn("1"), "PNG"), "1", "L"),
    "gif": (lambda: encoded(drawn("P"), "GIF"), "P", "RGB"),
    "webp": (lambda: encoded(drawn(), "WEBP", lossless=True), "RGB", "RGB"),
    "bmp": (lambda: encoded(drawn(), "BMP"), "RGB", "RGB"),
    "tiff": (lambda: encoded(drawn(), "TIFF"), "RGB", "RGB"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_images(kind):
    """Pillow's own pixels, in each of the three forms."""
    make, mode, shown = PICTURES[kind]
    data = make()
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert(shown))
    image = decode_image(data, "pil", where="x")
    assert isinstance(image, Image.Image) and image.mode == mode and image.size == (W, H) and image.im is not None
    array = decode_image(data, "numpy", where="x")
    assert array.dtype == np.uint8 and array.shape == ((H, W) if shown == "L" else (H, W, len(shown))) and array.flags.writeable
    assert int(np.abs(array.astype(int) - wanted).max()) <= 1  # two builds of libjpeg may round differently
    tensor = decode_image(data, "torch", where="x")
    assert tensor.dtype == torch.uint8 and tensor.shape == (len(shown), H, W) and tensor.is_contiguous()
    assert np.array_equal(tensor.numpy(), array[None] if shown == "L" else array.transpose(2, 0, 1))
    assert np.array_equal(decode_image(memoryview(data), "numpy", where="x"), array)


def test_sixteen_bits_stay(library):
    data = encoded(deep(), "PNG")
    array = decode_image(data, "numpy", where="x")
    assert array.dtype == np.uint16 and np.array_equal(array, np.asarray(deep()))
    assert decode_image(data, "torch", where="x").shape == (1, H, W)
    big = encoded(deep(), "TIFF", compression="raw")
    assert decode_image(big, "numpy", where="x").dtype.isnative


def test_orientation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(drawn(), "JPEG", exif=exif)
    assert decode_image(data, "numpy", where="x").shape == (H, W, 3) and decode_image(data, "pil", where="x").size == (W, H)
    assert decode_image(data, "pil", where="x").getexif()[0x0112] == 6


JPEG, PNG = encoded(drawn(), "JPEG"), encoded(drawn(), "PNG")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EndProlog\nshowpage\n"
DAMAGED = {
    "jpeg cut": JPEG[: len(JPEG) // 2],
    "jpeg without its end": JPEG[:-20],
    "jpeg head only": JPEG[:20],
    "png cut": PNG[: len(PNG) // 2],
    "png flipped": PNG[:60] + bytes([PNG[60] ^ 255]) + PNG[61:],
    "nothing": b"",
    "text": b"this is no picture",
    "eps": EPS,
    "sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
}


@pytest.mark.parametrize("mode", images.MODES)
@pytest.mark.parametrize("name", DAMAGED)
def test_damage(name, mode):
    with pytest.raises(CorruptError, match=r"^column 'image': not a complete image .*restore it"):
        decode_image(DAMAGED[name], mode, where="column 'image'")


def test_programs_are_no_images(monkeypatch):
    """EPS is a program, for which Pillow would start Ghostscript."""
    plugin = pytest.importorskip("PIL.EpsImagePlugin")
    monkeypatch.setattr(plugin, "Ghostscript", lambda *_, **__: pytest.fail("a process would have been started"))
    assert Image.open(io.BytesIO(EPS)).format == "EPS"
    with pytest.raises(CorruptError):
        decode_image(EPS, "pil", where="x")


def png_of(width, height):
    import struct
    import zlib

    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def huge_jpeg():
    at = JPEG.index(b"\xff\xc0")
    return JPEG[: at + 5] + b"\xff\xdc\xff\xdc" + JPEG[at + 9 :]


@pytest.mark.parametrize("limit", ["ours", "pillow's"])
@pytest.mark.parametrize("mode", images.MODES)
@pytest.mark.parametrize("data", [png_of(60_000, 60_000), huge_jpeg()], ids=["png", "jpeg"])
def test_bombs(data, mode, limit, monkeypatch):
    """Refused by the size in the head, before room is made for pixels; also by Pillow's limit alone."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None if limit == "ours" else Image.MAX_IMAGE_PIXELS)
    monkeypatch.setattr(images, "pixels", lambda *_: pytest.fail("decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LimitError, match=r"column 'image': .*(pixels|PIXELS)"):
            decode_image(data, mode, where="column 'image'")


def test_a_limit_that_the_user_sets_in_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W // 3)
    with pytest.raises(LimitError, match="MAX_IMAGE_PIXELS"):
        decode_image(PNG, "numpy", where="x")


def test_modes_and_libraries(monkeypatch):
    with pytest.raises(ValueError, match="'pil', 'numpy' or 'torch'"):
        decode_image(PNG, "jax", where="x")
    with pytest.raises(ValueError, match="decode='jax'"):
        images.need_images("jax")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"atlas-ds\[images\]"):
        images.need_images("pil")


def test_media_decode_is_the_same():
    media = Media(JPEG, "image/jpeg")
    assert np.array_equal(media.decode(), decode_image(JPEG, "numpy", where="x"))
    assert media.decode("torch").shape == (3, H, W) and media.decode("pil").size == (W, H)
    with pytest.raises(CorruptError, match=r"^image/png: "):
        Media(PNG[:50], "image/png").decode()


def test_heic_is_not_called_damaged() -> None:
    """A phone's image that Pillow does not know is complete, and the error says what to do; other bytes that it does not know are damaged."""
    heic = (24).to_bytes(4, "big") + b"ftypheic" + bytes(40)
    with pytest.raises(UnsupportedError, match=r"column 'photo': a HEIC image, .*JPEG.*pillow-heif"):
        decode_image(heic, "numpy", where="column 'photo'")
    with pytest.raises(CorruptError, match=r"column 'photo': not a complete image"):
        decode_image(b"GIF89a", "numpy", where="column 'photo'")
