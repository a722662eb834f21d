"""MDS folders written by MosaicML Streaming itself: every encoding, every compression; what its reader gives is what Atlas gives."""

from decimal import Decimal

import numpy as np
import pytest

from atlas_ds import AtlasDataset, Media
from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.errors import UnsupportedError
from contract.peers import run_peer


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mds")
    return folder, run_peer("mds", folder)


def pixels(data):
    return Media(data, "image/any").decode()


def agrees(ours, theirs):
    """Equal; pictures by their pixels, decimals by their text."""
    if isinstance(ours, Media):
        return np.array_equal(ours.decode(), theirs)
    if isinstance(theirs, Decimal):
        return ours == str(theirs)
    if isinstance(theirs, list) and theirs and isinstance(theirs[0], np.ndarray):
        return len(ours) == len(theirs) and all(map(picture_agrees, ours, theirs))
    if isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    return type(ours) is type(theirs) and ours == theirs


def picture_agrees(ours, theirs):
    if isinstance(ours, dict):
        return (ours["height"], ours["width"]) == theirs.shape[:2] and ours["data"] == theirs.tobytes()
    return np.array_equal(pixels(ours), theirs)


def compare(path, out, expected):
    assert detect(path) == "mds"
    convert(path, out, workers=0)
    ds = AtlasDataset(out)
    assert len(ds) == len(expected) > 0
    for i, theirs in enumerate(expected):
        ours = ds[i]
        assert list(ours) == list(theirs)
        for name in theirs:
            assert agrees(ours[name], theirs[name]), (i, name, ours[name], theirs[name])
    return ds


def test_every_encoding(written, tmp_path):
    folder, expected = written
    ds = compare(folder / "every", tmp_path / "out", expected["every"])
    assert len(list((folder / "every").glob("*.mds"))) > 3 and len(ds.schema.names) == 29
    types = {name.split("_", 1)[1]: str(ds.schema[name].type) for name in ds.schema.names}
    assert types["int"] == "int64" and types["float16"] == "float16" and types["jpeg"] == "media(any)" and types["pil"] == "tensor(uint8, anyd)"


@pytest.mark.parametrize("number", range(6))
def test_compressed(written, tmp_path, number):
    folder, expected = written
    name = f"packed{number}"
    assert not list((folder / name).glob("*.mds")), "their raw form is there: the compressed one would not be read"
    compare(folder / name, tmp_path / "out", expected[name])


def test_what_their_reader_unpacked_beside_it(written, tmp_path):
    folder, expected = written
    assert list((folder / "read" / "packed0").glob("*.mds"))
    compare(folder / "read" / "packed0", tmp_path / "out", expected["packed0"])


def test_splits_and_merged_index(written, tmp_path):
    folder, expected = written
    ds = compare(folder / "splits", tmp_path / "splits", expected["splits/train"] + expected["splits/val"])
    assert ds.splits == {"train": 5, "val": 5}
    assert compare(folder / "merged", tmp_path / "merged", expected["merged"]).splits == {}


def test_pickle_is_refused(written):
    with pytest.raises(UnsupportedError, match="'danger' is pickled, and reading a pickle may run code"):
        open_source(written[0] / "pickled")
