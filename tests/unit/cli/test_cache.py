"""`atlas-ds cache`: what it shows, checks and removes, on blocks of a real server."""

from __future__ import annotations

import json

import pytest

import atlas_ds as atlas
from atlas_ds.cli import main
from atlas_ds.store.mirror import MAP

ROWS = 2000


@pytest.fixture(scope="module")
def url(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "cars"
    with atlas.AtlasDatasetWriter(folder, shard_size=1000, block_size="16KiB", compression="zstd") as writer:
        writer.extend({"label": i, "text": f"car {i} of a long row of cars " * 9} for i in range(ROWS))
    return server.upload(folder, "data", "cars-to-cache")


@pytest.fixture
def cache(server, url, tmp_path):
    dataset = atlas.AtlasDataset(url, storage_options=server.options, cache=tmp_path / "cache")
    assert dataset.batch(range(ROWS))["label"].tolist() == list(range(ROWS))
    return tmp_path / "cache"


def run(capsys, *arguments):
    code = main(["cache", *map(str, arguments)])
    return code, capsys.readouterr()


def test_info(cache, url, capsys):
    code, told = run(capsys, "info", "--cache", cache)
    assert code == 0 and url in told.out and "used by" in told.out
    code, told = run(capsys, "info", "--cache", cache, "--json")
    facts = json.loads(told.out)
    assert facts["path"] == str(cache) and [one["url"] for one in facts["datasets"]] == [url]
    assert facts["datasets"][0]["files"] == 2 and facts["bytes"] >= facts["datasets"][0]["bytes"] > 10_000


def test_verify_and_clear(cache, server, url, capsys):
    code, told = run(capsys, "verify", "--cache", cache)
    assert code == 0 and "all whole" in told.out and "not checked" not in told.out
    path = next(one for one in sorted(cache.glob("??/*")) if not one.name.endswith(MAP))
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"damage")
    code, told = run(capsys, "verify", "--cache", cache)
    assert code == 1 and "1 damaged block, dropped" in told.out
    code, told = run(capsys, "verify", "--cache", cache, "--json")
    assert code == 0 and json.loads(told.out)["damaged"] == {}
    dataset = atlas.AtlasDataset(url, storage_options=server.options, cache=cache)
    code, told = run(capsys, "clear", "--cache", cache)
    assert code == 0 and " freed" in told.out and list(cache.glob("??/*")) == []
    assert dataset.batch(range(ROWS))["label"].tolist() == list(range(ROWS))


def test_nothing_is_cached(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "none"))
    assert run(capsys, "info")[0] == 0 and not (tmp_path / "none").exists()
    assert json.loads(run(capsys, "info", "--json")[1].out) == {"path": str(tmp_path / "none"), "bytes": 0, "datasets": []}
    code, told = run(capsys, "info", "--cache", tmp_path)
    assert code == 1 and "holds no cache" in told.err
