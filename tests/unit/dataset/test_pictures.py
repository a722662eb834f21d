"""AtlasDataset(decode=): what comes out of every way to read, in views, other processes and loaders; errors name column and row."""

import copy
import dataclasses
import io
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import atlas_ds as atlas
from atlas_ds import AtlasDataset, Media
from atlas_ds.errors import CorruptError, LimitError
from support import write

Image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def png(i, size=(6, 4)):
    out = io.BytesIO()
    Image.new("RGB", size, (i, 2 * i, 3)).save(out, "PNG")
    return Media(out.getvalue(), "image/png")


def row(i):
    return {"image": png(i), "label": i, "more": {"thumb": png(i, (2, 2)), "n": i}, "sound": Media(b"fLaC" + bytes(i), "audio/flac"), "maybe": png(i) if i % 2 else None}


def pixel(value):
    """The first pixel's red, whatever form the picture has."""
    if isinstance(value, Image.Image):
        return value.getpixel((0, 0))[0]
    return int(value[0, 0, 0])


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "d", [row(i) for i in range(20)])


KINDS = {"pil": (Image.Image, (6, 4)), "numpy": (np.ndarray, (4, 6, 3)), "torch": (torch.Tensor, (3, 4, 6))}


@pytest.mark.parametrize("decode", KINDS)
def test_every_way_to_read(path, decode):
    kind, shape = KINDS[decode]
    ds = AtlasDataset(path, decode=decode)
    again = pickle.loads(pickle.dumps(ds[::2]))

    def check(example, i):
        picture = example["image"]
        assert isinstance(picture, kind) and (picture.size if decode == "pil" else tuple(picture.shape)) == shape
        assert pixel(picture) == i == pixel(example["more"]["thumb"]) and example["label"] == i
        assert isinstance(example["sound"], Media) and (example["maybe"] is None) == (i % 2 == 0)

    check(ds[7], 7)
    check(ds[-1], 19)
    check(ds[np.int64(3)], 3)
    check(ds[2:][[3, 1]][0], 5)
    check(ds.__getitems__([4, 9])[1], 9)
    check(again[3], 6)
    check(again.__getitems__([-1])[0], 18)
    check(copy.copy(ds)[1], 1)
    check(ds.split([0.5, 0.5])[1][0], 10)
    check(atlas.concat([ds[:2], ds[5:]])[2], 5)
    check(ds.map(lambda example: example)[8], 8)
    check(AtlasDataset(path, decode=decode, copy=False, io="pread")[8], 8)
    for source in (ds, ds[::2], again):
        for i, example in enumerate(source):
            check(example, i if source is ds else 2 * i)
    assert isinstance(ds, AtlasDataset) and ds.decode == again.decode == ds[1:].decode == decode and ds[1:]._format == "python"


def test_map_gets_pixels_and_format_follows(path):
    ds = AtlasDataset(path, decode="numpy")
    assert ds.map(lambda example: example["image"].sum()).map(int)[1] == 6 * 4 * (1 + 2 + 3)
    tensors = ds.with_format("torch")[3]
    assert isinstance(tensors["image"], torch.Tensor) and tensors["image"].shape == (4, 6, 3) and isinstance(tensors["label"], torch.Tensor)


def test_batches_and_columns_stay_encoded(path):
    ds = AtlasDataset(path, decode="numpy")
    assert isinstance(ds.batch([1, 2])["image"][0], Media) and isinstance(ds.column("image")[0], Media)
    assert AtlasDataset(path).decode is None and isinstance(AtlasDataset(path)[0]["image"], Media) and type(AtlasDataset(path)) is AtlasDataset


def test_without_media_nothing_changes(path):
    ds = AtlasDataset(path, decode="numpy", columns=["label"])
    assert ds[3] == {"label": 3} and ds.convert is None


@dataclasses.dataclass
class Shot:
    picture: Media
    n: int


@pytest.mark.parametrize(
    ("rows", "of"),
    [
        ([(png(5), 1)] * 2, lambda e: e[0]),
        ([[1, png(5)]] * 2, lambda e: e[1]),
        ([png(5)] * 2, lambda e: e),
        ([Shot(png(5), 1)] * 2, lambda e: e["picture"]),
        ([{"a": ({"deep": {"er": png(5)}})}] * 2, lambda e: e["a"]["deep"]["er"]),
    ],
    ids=["tuple", "list", "value", "dataclass", "nested"],
)
def test_containers(tmp_path, rows, of):
    ds = AtlasDataset(write(tmp_path / "c", rows), decode="numpy")
    assert pixel(of(ds[1])) == 5 and [pixel(of(example)) for example in ds] == [5, 5] and type(ds[0]) in (dict, tuple, list, np.ndarray)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_data_loader(path, start):
    ds = AtlasDataset(path, decode="torch", columns=["image", "label"])
    found = {}
    for batch in DataLoader(ds, batch_size=4, num_workers=2, multiprocessing_context=start, timeout=120):
        assert batch["image"].shape == (4, 3, 4, 6) and batch["image"].dtype == torch.uint8
        found |= {int(label): pixel(image.permute(1, 2, 0)) for label, image in zip(batch["label"], batch["image"])}
    assert found == {i: i for i in range(20)}


@pytest.mark.parametrize(("decode", "shape"), [("numpy", (5, 4, 6, 3)), ("torch", (5, 3, 4, 6))])
@pytest.mark.parametrize("concat", [False, True])
def test_loader(path, decode, shape, concat):
    """A Loader reads decoded examples, also from a concat."""
    ds = AtlasDataset(path, decode=decode, columns=["image", "label"])
    source = atlas.concat([ds[:10], ds[10:]]) if concat else ds
    seen = []
    for batch in atlas.Loader(source, batch_size=5, num_threads=0):
        assert isinstance(batch["image"], torch.Tensor) and tuple(batch["image"].shape) == shape
        assert [pixel(image) for image in batch["image"]] == batch["label"].tolist()
        seen += batch["label"].tolist()
    assert sorted(seen) == list(range(20))


@pytest.fixture
def damaged(tmp_path):
    rows = [{"label": i, "more": {"thumb": png(i)}} for i in range(9)]
    rows[6]["more"]["thumb"] = Media(png(6).data[:40], "image/png")
    return write(tmp_path / "bad", rows)


@pytest.mark.parametrize(
    "read",
    [lambda ds: ds[6], lambda ds: ds[-3], lambda ds: ds[2:][4], lambda ds: ds[[8, 6]][1], lambda ds: list(ds[5:]), lambda ds: ds.__getitems__([1, 6]),
     lambda ds: ds[::-1].__getitems__(np.array([2])), lambda ds: ds[np.int64(6)], lambda ds: pickle.loads(pickle.dumps(ds[4:]))[2],
     lambda ds: list(ds.map(lambda e: e)), lambda ds: ds.map(lambda e: e)[6], lambda ds: atlas.concat([ds[:3], ds[3:]])[6]],
)  # fmt: skip
def test_errors_name_column_and_row(damaged, read):
    ds = AtlasDataset(damaged, decode="numpy")
    with pytest.raises(CorruptError, match=r"bad: row 6: column 'more\.thumb': not a complete image") as caught:
        read(ds)
    assert str(caught.value).count("row 6") == 1
    assert len(list(ds[:6])) == 6 and AtlasDataset(damaged)[6]["label"] == 6


def test_bombs_name_column_and_row(damaged, monkeypatch):
    monkeypatch.setattr("atlas_ds.schema.images.MAX_PIXELS", 20)
    with pytest.raises(LimitError, match=r"row 2: column 'more\.thumb': an image of 6 x 4 pixels, more than 20"):
        AtlasDataset(damaged, decode="pil")[2]


def test_a_loader_may_skip_them(damaged):
    loader = atlas.Loader(AtlasDataset(damaged, decode="numpy"), batch_size=3, shuffle=False, on_error="skip", num_threads=0, format="numpy")
    assert [batch["label"].tolist() for batch in loader] == [[0, 1, 2], [3, 4, 5], [7, 8]]


def test_a_subclass_decodes_too(damaged):
    class Mine(AtlasDataset):
        pass

    assert isinstance(Mine(damaged, decode="numpy")[1]["more"]["thumb"], np.ndarray)
    with pytest.raises(CorruptError, match=r"column 'more\.thumb'"):
        Mine(damaged, decode="numpy")[6]


def test_wrong_words(path, monkeypatch):
    with pytest.raises(ValueError, match="decode='jax': must be 'pil', 'numpy' or 'torch'"):
        AtlasDataset(path, decode="jax")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match="torch"):
        AtlasDataset(path, decode="torch")
