"""Hugging Face's own datasets, in a child process: datasets_peer.py makes the assertions, and what it saved is read here without its package."""

import sys

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, detect
from contract.peers import run_peer

CASES = ("dataset", "selected_rows", "splits", "nulls_in_lists", "stream", "refusals", "saved", "to_huggingface", "exported_parquet")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    return folder, run_peer("datasets", folder)


@pytest.mark.parametrize("name", CASES)
def test_case(results, name):
    assert set(results[1]) == {f"case_{case}" for case in CASES}
    assert results[1][f"case_{name}"] is None, results[1][f"case_{name}"]


def test_saved_folders_need_no_datasets(results, tmp_path):
    folder = results[0]
    assert detect(folder / "saved") == detect(folder / "saved-dict") == "arrow" and len(list((folder / "saved").glob("*.arrow"))) == 3
    convert(folder / "saved", tmp_path / "out")
    convert(folder / "saved-dict", tmp_path / "dict")
    assert "datasets" not in sys.modules
    ds, split = AtlasDataset(tmp_path / "out"), AtlasDataset(tmp_path / "dict")
    assert len(ds) == 2500 and str(ds.schema["grid"].type) == "array(int32, 2x3)" and ds[5]["image"].type == "image/png"
    assert np.array_equal(ds[2]["long"], np.full((3, 2, 2), 2, np.uint8)) and ds.schema["label"].type.names == ("cat", "dog")
    assert split.splits == {"train": 2, "test": 1} and [example["i"] for example in split] == [4, 2, 1]
