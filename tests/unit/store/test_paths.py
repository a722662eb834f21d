"""Paths as users give them, at every door that takes one."""

import os
from pathlib import Path

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter, bridge, errors
from atlas_ds.store.paths import is_url, local_path
from support import write

URLS = ["s3://bucket/train", "gs://b/x", "hf://datasets/a/b", "https://host/a", "file:///tmp/x", "az://c/d", Path("s3://bucket/x"), "S3://B"]


@pytest.mark.parametrize("url", URLS, ids=str)
def test_urls_are_refused(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.UnsupportedError, match="is a URL"):
        local_path(url)
    if not is_url(url):
        with pytest.raises(errors.UnsupportedError, match="is a URL"):
            AtlasDatasetWriter(url)
    assert os.listdir(tmp_path) == []


def test_every_door(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ds = AtlasDataset(write("here", range(3)))
    url = "s3://bucket/x"
    doors = [
        lambda: AtlasDatasetWriter(Path(url)), lambda: atlas.merge_parts(url),
        lambda: atlas.repair("here", output=url), lambda: atlas.shuffle("here", url), lambda: bridge.convert("here", url),
        lambda: bridge.convert(url, "b"), lambda: atlas.import_webdataset("x.tar", url), lambda: atlas.export_webdataset(ds, "s3://bucket/%d.tar"),
        lambda: atlas.export_parquet(ds, "s3://bucket/x.parquet"), lambda: atlas.import_atlas_v1(url, "b"),
    ]  # fmt: skip
    for door in doors:
        with pytest.raises(errors.UnsupportedError, match="is a URL"):
            door()
    assert os.listdir(tmp_path) == ["here"]


def test_file_urls_say_the_path():
    with pytest.raises(errors.UnsupportedError, match="give the path '/data/x'"):
        local_path("file:///data/x")


def test_names_that_look_a_little_like_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b", "c:/x", "12:00", "a/b://c", "http:"):
        assert local_path(name) == Path(os.path.abspath(name))


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write("~/a", range(3))
    assert list(AtlasDataset("~/a")) == list(AtlasDataset(tmp_path / "a")) == [0, 1, 2] and not (tmp_path / "~").exists()
    atlas.shuffle("~/a", Path("~/b"))
    atlas.export_webdataset(AtlasDataset("~/a"), "~/c-%d.tar")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c-0.tar", "c.json"] and len(atlas.open_tar("~/c-0.tar")) == 3


def test_relative_paths_survive_chdir(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    writer = AtlasDatasetWriter("d", shard_size=10, workers=0)
    writer.extend(range(25))
    monkeypatch.chdir(tmp_path / "elsewhere")
    writer.extend(range(25, 50))
    writer.close()
    monkeypatch.chdir(tmp_path)
    ds = AtlasDataset("d")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert list(ds) == list(range(50)) and os.listdir() == [] and writer.path == tmp_path / "d"


@pytest.mark.parametrize(("path", "error"), [("", ValueError), ("a\0b", ValueError), (None, TypeError), (3, TypeError), (np.array(["x"]), TypeError)], ids=repr)
def test_what_is_no_path(path, error):
    with pytest.raises(error, match="path="):
        local_path(path)


def test_bytes_are_paths(tmp_path):
    assert local_path(os.fsencode(tmp_path)) == tmp_path
