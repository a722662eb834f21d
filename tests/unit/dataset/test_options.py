"""The options that are passed on are those of the functions that take them: same names, same types."""

import inspect
from typing import get_type_hints

import pytest

import atlas_ds as atlas
from atlas_ds.dataset.options import WriterOptions, refuse_unknown
from atlas_ds.order.options import OrderOptions


@pytest.mark.parametrize(("options", "taker"), [(WriterOptions, atlas.AtlasDatasetWriter), (OrderOptions, atlas.Sampler)])
def test_names_and_types_are_those_of_the_taker(options, taker):
    theirs = get_type_hints(taker.__init__)
    assert {name: theirs.get(name) for name in options.__annotations__} == get_type_hints(options)


def test_the_writer_shows_its_defaults():
    defaults = {name: one.default for name, one in inspect.signature(atlas.AtlasDatasetWriter).parameters.items()}
    assert (defaults["shard_size"], defaults["compression"], defaults["access"], defaults["level"]) == ("256MiB", "auto", "random", 3)


def test_an_option_that_does_not_exist_is_refused_by_name():
    with pytest.raises(TypeError, match=r"^convert\(\) got an unexpected keyword argument 'shards'$"):
        refuse_unknown("convert", {"workers": 1, "shards": 2})


@pytest.mark.parametrize("call", [atlas.convert, atlas.shuffle, atlas.import_webdataset, atlas.import_atlas_v1, atlas.import_huggingface], ids=lambda call: call.__name__)
def test_functions_that_write_refuse_it_before_they_read(tmp_path, call):
    with pytest.raises(TypeError, match=rf"^{call.__name__}\(\) got an unexpected keyword argument 'shards'$"):
        call(tmp_path / "not there", tmp_path / "d", shards=2)
    assert list(tmp_path.iterdir()) == []
