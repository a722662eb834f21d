"""Datasets at gs:// URLs, on a real server that speaks as Google Cloud Storage does."""

from __future__ import annotations

import itertools
import os

import pytest

import atlas_ds as atlas
from atlas_ds.errors import StoreError
from atlas_ds.store.object import ObjectStore
from atlas_ds.testing import check_reading
from servers import gcs, proxy

numbers = itertools.count()
ROWS = 1500


@pytest.fixture(scope="module")
def google():
    with gcs.running() as found:
        yield found


@pytest.fixture(scope="module")
def url(google, tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "cars"
    with atlas.AtlasDatasetWriter(folder, shard_size=500, block_size="8KiB") as writer:
        writer.extend({"label": i, "text": f"the text of car number {i} " * (i % 7)} for i in range(ROWS))
    for file in folder.iterdir():
        google.put("data", f"cars/{file.name}", file.read_bytes())
    return "gs://data/cars"


class Filled(ObjectStore):
    def create(self):
        return True

    def put(self, name, data, *, expected=..., mark=None):
        self.google.put("data", f"{self.prefix}/{name}", bytes(data))
        return self.info(name).version

    def delete(self, names):
        for name in names:
            self.google.delete("data", f"{self.prefix}/{name}")


def test_the_rules_for_reading(google, monkeypatch):
    monkeypatch.setattr(Filled, "google", google, raising=False)
    check_reading(lambda: Filled(f"gs://data/rules/{next(numbers)}", google.options))


def test_a_dataset_and_its_forked_children(google, url):
    dataset = atlas.AtlasDataset(url, storage_options=google.options)
    assert [row["label"] for row in dataset] == list(range(ROWS))
    assert atlas.verify(url, storage_options=google.options).damages == []
    child = os.fork()
    if child == 0:
        code = 1
        try:
            fresh = atlas.AtlasDataset(url, storage_options=google.options)
            code = 0 if [fresh[k]["label"] for k in (0, 700, ROWS - 1)] == [0, 700, ROWS - 1] else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_names_of_options_and_what_a_row_costs(google, url):
    """The names of obstore, gcsfs and ours all lead to the server, and there to ranges of shards alone."""
    for endpoint, anon in itertools.product(("endpoint_url", "base_url", "endpoint"), ("anon", "skip_signature")):
        with proxy.in_front_of(google.endpoint) as link:
            dataset = atlas.AtlasDataset(url, storage_options={endpoint: link.endpoint, anon: True, "allow_http": True}, cache=None)
            assert dataset[600]["label"] == 600
            manifest, *ranges = [(one.method, one.path, one.range is not None) for one in link.requests]
            assert manifest == ("GET", "/data/cars%2Fatlas%2Ejson", False)
            assert {(method, has_range) for method, _, has_range in ranges} == {("GET", True)}
            assert len({path for _, path, _ in ranges}) == 1


def test_no_access_is_an_error_that_says_so(google, url):
    with proxy.in_front_of(google.endpoint) as link:
        link.change = proxy.status(403)
        with pytest.raises(StoreError, match=r"gs://data/cars/atlas\.json: cannot be read.*403"):
            atlas.AtlasDataset(url, storage_options=google.options | {"endpoint_url": link.endpoint})
