"""Folders written by LitData itself: every serializer, every compression; what its reader gives is what Atlas gives."""

import numpy as np
import pytest

from atlas_ds import AtlasDataset, Media
from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.errors import UnsupportedError
from contract.peers import run_peer


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("litdata")
    return folder, run_peer("litdata", folder)


def agrees(ours, theirs):
    """Equal; encoded media by their bytes, lists inside a sample by their places."""
    if isinstance(ours, Media):
        return bytes(ours.data) == theirs
    if isinstance(theirs, np.ndarray | np.generic) or isinstance(ours, np.ndarray):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and np.array_equal(ours, theirs)
    if isinstance(ours, dict) and isinstance(theirs, list | tuple):
        theirs = {str(place): value for place, value in enumerate(theirs)}
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(agrees(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(agrees, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def compare(path, out, expected):
    assert detect(path) == "litdata"
    convert(path, out, workers=0)
    ds = AtlasDataset(out)
    assert len(ds) == len(expected) > 0
    for i, theirs in enumerate(expected):
        assert agrees(ds[i], theirs), (i, ds[i], theirs)
    return ds


@pytest.mark.parametrize("name", ["every", "every-batch", "every-sample", "every-chunk"])
def test_every_serializer(written, tmp_path, name):
    folder, expected = written
    ds = compare(folder / name, tmp_path / "out", expected[name])
    assert len(list((folder / name).glob("*.bin"))) == 3
    types = {column: str(ds.schema[column].type) for column in ds.schema.names}
    assert types["flat"] == "tensor(uint16, 1d)" and types["jpeg"] == "media(any)" and types["file"] == "bytes" and types["flag"] == "tensor(bool, 1d)"
    assert ds[3]["video"].type == "video/mp4" and ds[3]["audio"].type == "audio/flac" and ds[3]["tiff"].type == "image/tiff"


def test_what_their_reader_unpacked(written, tmp_path):
    folder, expected = written
    assert not list((folder / "read/every-chunk").glob("*zstd*")) and list((folder / "every-chunk").glob("*zstd*"))
    compare(folder / "read/every-chunk", tmp_path / "out", expected["every-chunk"])


@pytest.mark.parametrize("name", ["rows", "rows-zstd"])
def test_rows_in_arrow_tables(written, tmp_path, name):
    folder, expected = written
    wanted = [row | {"late": row.get("late")} for row in expected[name]]
    ds = compare(folder / name, tmp_path / "out", wanted)
    types = {column: (str(ds.schema[column].type), ds.schema[column].nullable) for column in ds.schema.names}
    assert types["n"] == ("int64", False) and types["maybe"] == ("int64", True) and types["late"] == ("str", True)


def test_tuples_values_and_trees(written, tmp_path):
    folder, expected = written
    for name in ("pairs", "single", "tree"):
        compare(folder / name, tmp_path / name, expected[name])
    assert AtlasDataset(tmp_path / "pairs").schema.container == "tuple"
    assert AtlasDataset(tmp_path / "tree")[4]["deep"] == {"pair": {"0": 2.0, "1": {"y": 4}}}


def test_tokens_are_the_arrays_that_were_written(written, tmp_path):
    folder, expected = written
    ds = compare(folder / "tokens", tmp_path / "out", expected["tokens"])
    assert ds[1].tolist() == list(range(1, 21))
    assert any("blocks" in note for note in open_source(folder / "tokens").notes)


def test_optimize_and_splits(written, tmp_path):
    folder, expected = written
    compare(folder / "optimized", tmp_path / "optimized", expected["optimized"])
    ds = compare(folder / "splits", tmp_path / "splits", expected["splits/train"] + expected["splits/val"])
    assert ds.splits == {"train": 5, "val": 5}


@pytest.mark.parametrize(("name", "column"), [("pickled", "danger"), ("graph", "graph")])
def test_what_may_run_code_is_refused(written, name, column):
    with pytest.raises(UnsupportedError, match=f"'{column}' is .* pickle.* may run code"):
        open_source(written[0] / name)
