"""What the loader says to those who ask for what cannot be."""

import re

import numpy as np
import pytest

from atlas_ds import AtlasDataset, Loader
from support import write


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rows = [{"x": np.full(3, i), "y": None if i % 2 else i} for i in range(40)]
    return AtlasDataset(write(tmp_path_factory.mktemp("messages") / "d", rows, block_size=4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give batch_size"),
        ({"batch_size": 4, "num_threads": -1}, "num_threads -1 is not in"),
        ({"batch_size": 4, "transform_processes": -2}, "transform_processes -2 is not in"),
        ({"batch_size": 4, "prefetch": "lots"}, "prefetch='lots': give bytes"),
        ({"batch_size": 4, "prefetch": 0}, "prefetch=0: give bytes"),
        ({"batch_size": 4, "format": "jax"}, "'torch' or 'numpy'"),
        ({"batch_size": 4, "on_error": "ignore"}, "'raise', 'skip' or 'replace'"),
        ({"batch_size": 4, "start_method": "fork", "transform_processes": 1}, "may hang"),
    ],
)
def test_wrong_options(dataset, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        Loader(dataset, **{"format": "numpy"} | options)


def test_a_path_is_no_dataset(dataset):
    with pytest.raises(TypeError, match="not a path"):
        Loader(dataset.path, batch_size=4)


def test_an_epoch_without_batches(dataset):
    with pytest.warns(UserWarning, match="40 rows do not fill one of 41"):
        Loader(dataset, batch_size=41, format="numpy")


def test_a_function_that_cannot_be_sent(dataset):
    loader = Loader(dataset, batch_size=4, format="numpy", transform_example=lambda example: example, transform_processes=1)
    with pytest.raises(TypeError, match="at module level"):
        next(iter(loader))


def test_nulls_name_their_column(dataset):
    pytest.importorskip("torch")
    with pytest.raises(TypeError, match="column 'y' has nulls"):
        next(iter(Loader(dataset, batch_size=4)))


def test_stats_of_examples_do_not_blame_the_disk(dataset):
    loader = Loader(dataset, batch_size=4, format="numpy", transform_example=lambda example: example)
    assert str(loader.stats()) == "no batches yet"
    assert len(list(loader)) == 10
    assert "reading, transform_example and collate" in str(loader.stats()) and "disk" not in str(loader.stats())
