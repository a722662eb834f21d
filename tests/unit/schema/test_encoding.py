"""PIL images to bytes: the file's own where the image is that file unchanged, else PNG that loses nothing; nothing is left out in silence."""

import io

import numpy as np
import pytest
from PIL import Image

from atlas_ds import errors
from atlas_ds.schema.encoding import own_files, to_png
from atlas_ds.schema.media import Media, to_media
from atlas_ds.schema.specs import make_field, media

EXIF = Image.Exif()
EXIF[0x0112] = 6
FORMATS = {
    "JPEG": {"exif": EXIF}, "PNG": {"exif": EXIF, "icc_profile": b"a profile"}, "GIF": {}, "WEBP": {"lossless": True, "exif": EXIF}, "TIFF": {}, "BMP": {}, "AVIF": {"exif": EXIF},
}  # fmt: skip
MANY = ("GIF", "PNG", "WEBP", "TIFF", "MPO")


def picture(k=0, size=16):
    return Image.fromarray(np.random.default_rng(k).integers(0, 255, (size, size, 3), np.uint8))


def encoded(kind, frames=1):
    file = io.BytesIO()
    options = {"save_all": True, "append_images": [picture(k) for k in range(1, frames)]} if frames > 1 else FORMATS[kind]
    picture().save(file, kind, **options)
    return file.getvalue()


def opened(data, way, tmp_path):
    if way == "bytes":
        return Image.open(io.BytesIO(data))
    (tmp_path / "picture").write_bytes(data)
    return Image.open(tmp_path / "picture")


def stored(image, kind=None):
    data, got = to_media(image, make_field("v", media(kind)), "v")
    return bytes(data), got


@pytest.fixture(params=[name for name in FORMATS if name in Image.SAVE or name != "AVIF"])
def kind(request):
    Image.init()
    if request.param not in Image.SAVE:
        pytest.skip(f"this Pillow has no {request.param}")
    return request.param


@pytest.mark.parametrize("way", ["path", "bytes"])
def test_an_image_that_is_its_file_is_stored_as_it(tmp_path, kind, way):
    data = encoded(kind)
    image = opened(data, way, tmp_path)
    place = image.fp.tell()
    assert stored(image) == (data, f"image/{kind.lower()}")
    assert image.fp is None or image.fp.tell() == place, "the file is left where it stood"
    assert image.load() is not None and stored(image)[1].startswith("image/"), "and the image can be used"


def test_an_image_that_was_loaded_from_a_path_is_its_file(tmp_path, kind):
    data = encoded(kind)
    with opened(data, "path", tmp_path) as image:
        image.load()
    assert stored(image)[0] == data, "closed, too"


@pytest.mark.parametrize("way", ["path", "bytes"])
def test_an_image_that_was_loaded_has_its_pixels_and_its_exif(tmp_path, kind, way):
    image = opened(encoded(kind), way, tmp_path)
    image.load()
    back = Image.open(io.BytesIO(stored(image)[0]))
    assert back.convert("RGB").tobytes() == image.convert("RGB").tobytes() and back.info.get("icc_profile") == image.info.get("icc_profile")
    assert back.getexif().get(0x0112) == image.getexif().get(0x0112)


def putpixel(image):
    image.putpixel((0, 0), image.getpixel((1, 1)) if image.getpixel((0, 0)) != image.getpixel((1, 1)) else image.getpixel((2, 2)))


def turn(image):
    image.getexif()[0x0112] = 8


CHANGES = {
    "putpixel": putpixel, "thumbnail": lambda image: image.thumbnail((8, 8)), "draft": lambda image: image.draft("L", (8, 8)), "paste": lambda image: image.paste(3, (0, 0, 5, 5)), "exif": turn,
    "icc": lambda image: image.info.update(icc_profile=b"another"), "unloaded icc": lambda image: (image.load(), image.info.pop("icc_profile", None), image.info.update(icc_profile=b"x")),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["path", "bytes"])
def test_an_image_that_was_changed_is_not_its_file(tmp_path, kind, way, change):
    data = encoded(kind)
    image = opened(data, way, tmp_path)
    before = image.size, image.mode
    CHANGES[change](image)
    if change == "draft" and (image.size, image.mode) == before:
        assert stored(image)[0] == data, "only JPEG has drafts"
        return
    given, got = stored(image)
    back = Image.open(io.BytesIO(given))
    assert given != data and got == "image/png" and back.convert("RGB").tobytes() == image.convert("RGB").tobytes() and back.size == image.size
    assert back.info.get("icc_profile") == image.info.get("icc_profile") and back.getexif().get(0x0112) == (image.getexif().get(0x0112) if kind != "TIFF" else None)


def test_an_image_that_another_file_has_replaced(tmp_path):
    image = opened(encoded("JPEG"), "path", tmp_path)
    image.load()
    picture(5).save(tmp_path / "picture", "JPEG")
    given, got = stored(image)
    assert got == "image/png" and Image.open(io.BytesIO(given)).tobytes() == image.tobytes()


@pytest.mark.parametrize("name", MANY)
def test_all_frames_are_kept(tmp_path, name):
    data = encoded(name, 3)
    for way in ("path", "bytes"):
        assert stored(opened(data, way, tmp_path))[0] == data
        image = opened(data, way, tmp_path)
        image.seek(1)
        image.load()
        one, got = stored(image)
        back = Image.open(io.BytesIO(one))
        assert got == "image/png" and getattr(back, "n_frames", 1) == 1 and back.convert("RGB").tobytes() == image.convert("RGB").tobytes(), "of another frame that one alone"
    with opened(data, "path", tmp_path) as image:
        image.load()
    assert stored(image)[0] == data


@pytest.mark.parametrize("name", MANY)
def test_frames_are_not_lost_in_silence(tmp_path, name):
    for way in ("path", "bytes"):
        image = opened(encoded(name, 3), way, tmp_path)
        putpixel(image)
        with pytest.raises(errors.SchemaError, match=r"column 'v': an image with .*frames.*image\.copy\(\)"):
            stored(image)
        assert stored(image.copy())[1] == "image/png"


def test_frames_that_cannot_be_counted(tmp_path):
    with opened(encoded("GIF", 3), "path", tmp_path) as image:
        image.load()
    image._n_frames = None
    (tmp_path / "picture").unlink()
    with pytest.raises(errors.SchemaError, match="cannot be counted"):
        stored(image)


def test_a_declared_type_decides():
    image = Image.open(io.BytesIO(encoded("JPEG")))
    assert stored(image, "image/png")[1] == "image/png" and stored(Image.open(io.BytesIO(encoded("JPEG"))), "image/jpeg") == (encoded("JPEG"), "image/jpeg")
    with pytest.raises(errors.SchemaError, match=r"column 'v': expected media\(image/jpeg\), got image/png"):
        stored(picture(), "image/jpeg")


def test_formats_without_a_signature_become_png():
    for name in ("PPM", "TGA", "JPEG2000"):
        file = io.BytesIO()
        picture().save(file, name)
        assert stored(Image.open(file))[1] == "image/png"


def test_a_photo_in_cmyk_is_its_file_or_refused():
    file = io.BytesIO()
    picture().convert("CMYK").save(file, "JPEG")
    assert stored(Image.open(file)) == (file.getvalue(), "image/jpeg")
    with pytest.raises(errors.SchemaError, match="column 'v': an image of mode CMYK"):
        stored(picture().convert("CMYK"))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_a_file_that_is_cut(tmp_path, name):
    data = encoded(name)
    for way in ("path", "bytes"):
        with pytest.raises(errors.SchemaError, match="column 'v': the image cannot be read"):
            stored(opened(data[: len(data) * 9 // 10], way, tmp_path))


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_empty_images(size):
    with pytest.raises(errors.SchemaError, match=r"column 'v': .*nothing to store"):
        stored(Image.new("L", size))


def test_too_many_pixels(monkeypatch):
    monkeypatch.setattr("atlas_ds.schema.encoding.MAX_PIXELS", 255)
    with pytest.raises(errors.LimitError, match=r"column 'v': .*16 x 16 pixels"):
        stored(picture())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_survive(mode):
    image = Image.frombytes(mode, (8, 4), np.random.default_rng(1).bytes(len(Image.new(mode, (8, 4)).tobytes())))
    back = Image.open(io.BytesIO(to_png(image)))
    assert (back.mode, back.size, back.tobytes()) == (mode, image.size, image.tobytes())


@pytest.mark.parametrize("kind, colours", [("RGB", 2), ("RGB", 21), ("RGBA", 3)])
def test_pixels_beyond_the_palette(kind, colours):
    """A mask with classes 0 .. n and 255 for "ignore": PNG would keep only as many bits as the palette needs."""
    image = Image.frombytes("P", (4, 1), bytes([0, 1, 2, 255]))
    image.putpalette(list(range(len(kind) * colours)), kind)
    back = Image.open(io.BytesIO(to_png(image)))
    assert back.mode == "P" and back.tobytes() == image.tobytes() and back.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


def test_tiff_tags_of_the_old_file_are_left_out():
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    picture().save(file, "TIFF", exif=exif)
    image = Image.open(file)
    putpixel(image)
    assert dict(Image.open(io.BytesIO(stored(image)[0])).getexif()) == {0x010E: "a description"}


def test_files_that_are_none():
    class Odd(io.RawIOBase):
        pass

    image = picture()
    image.fp, image.filename = Odd(), "/dev/null"
    assert list(own_files(image)) == []
    assert stored(image)[1] == "image/png"


@pytest.mark.parametrize("bad", [Media("text", "image/png"), Media(b"x", None), Media(b"x", ""), Media(b"x", "\ud800"), Media(None, "image/png")])
def test_media_that_is_none(bad):
    with pytest.raises(errors.SchemaError, match="column 'v'"):
        stored(bad)


def test_a_memoryview_that_was_released():
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(errors.SchemaError, match="column 'v'"):
        stored(Media(view, "image/png"))
