"""AtlasDatasetWriter: sizes, append, overwrite, abort, splits, metadata, options, and what is visible when."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts, types, verify
from atlas_ds.store import files
from reference.reader import Dataset
from support import rich_rows, same, tree, write


def shards(path):
    return [shard.rows for shard in AtlasDataset(path).shards]


def block_rows(path, name=None):
    """Rows per block of each group of the first shard, through the reference reader."""
    shard = next(Dataset(path).shards())
    return [group.rows_per_block for group in shard.groups]


def test_shards_of_so_many_rows(tmp_path):
    assert shards(write(tmp_path / "d", range(100), shard_size=33)) == [33, 33, 33, 1] and shards(write(tmp_path / "e", range(99), shard_size=33)) == [33] * 3
    assert shards(write(tmp_path / "f", range(3), shard_size=1)) == [1, 1, 1]


def test_shards_of_so_many_bytes(tmp_path):
    path = write(tmp_path / "d", (np.random.default_rng(i).bytes(1000) for i in range(500)), shard_size="100KiB", block_size="10KiB")
    sizes = [shard.bytes for shard in AtlasDataset(path).shards]
    assert len(sizes) in (5, 6) and all(90_000 < size < 130_000 for size in sizes[:-1]) and len(AtlasDataset(path)) == 500


def test_blocks_of_so_many_rows(tmp_path):
    assert block_rows(write(tmp_path / "d", range(100), block_size=7)) == [7]
    assert block_rows(write(tmp_path / "e", [{"a": 1, "b": bytes(1000)}] * 100, block_size=7)) == [7, 7]


def test_blocks_of_so_many_bytes(tmp_path):
    assert block_rows(write(tmp_path / "d", range(10_000), block_size="8KiB")) == [1024]
    small, bulky = block_rows(write(tmp_path / "e", [{"a": i, "b": bytes(1000)} for i in range(1000)], block_size="16KiB"))
    assert small == 2048 and bulky == 16


def test_a_row_larger_than_block_and_shard(tmp_path):
    rows = [os.urandom(300_000), b"", b"x", os.urandom(200_000), b"y" * 10]
    path = write(tmp_path / "d", rows, shard_size="64KiB", block_size="4KiB")
    assert list(AtlasDataset(path)) == rows and verify(path).damages == [] and len(AtlasDataset(path).shards) >= 2


def test_rows_that_grow_after_the_plan(tmp_path):
    """Planned by rows of 8 bytes, then rows of a MB come: blocks stay within their limits and nothing is lost."""
    rows = [b"12345678"] * 3000 + [bytes([i]) * 1_000_000 for i in range(12)] + [b"x"] * 10
    path = write(tmp_path / "d", rows, shard_size="8KiB", block_size="8KiB")
    assert list(AtlasDataset(path)) == rows and verify(path).damages == []


def test_append(tmp_path):
    path = write(tmp_path / "d", rich_rows(10), shard_size=4, metadata={"a": 1})
    before = tree(path)
    write(path, rich_rows(20)[10:], append=True, shard_size=4)
    assert same(list(AtlasDataset(path)), rich_rows(20)) and AtlasDataset(path).metadata == {"a": 1} and shards(path) == [4, 4, 2, 4, 4, 2]
    assert {name: data for name, data in tree(path).items() if name in before and name != "atlas.json"} == {k: v for k, v in before.items() if k != "atlas.json"}
    write(path, [], append=True, metadata={"a": 2})
    assert AtlasDataset(path).metadata == {"a": 2} and len(AtlasDataset(path)) == 20
    names = [shard.path for shard in AtlasDataset(path).shards]
    assert [int(name[:5]) for name in names] == list(range(6))


def test_append_another_schema(tmp_path):
    path = write(tmp_path / "d", [{"a": 1}])
    for rows, options in (([{"a": "x"}], {}), ([{"b": 1}], {}), ([], {"schema": {"a": str}})):
        with pytest.raises(errors.SchemaError):
            write(path, rows, append=True, **options)
    assert list(AtlasDataset(path)) == [{"a": 1}]


def test_append_to_nothing_writes(tmp_path):
    assert list(AtlasDataset(write(tmp_path / "d", [1, 2], append=True))) == [1, 2]


def test_overwrite(tmp_path):
    path = write(tmp_path / "d", range(100), shard_size=10)
    write(path, ["a", "b"], overwrite=True)
    assert list(AtlasDataset(path)) == ["a", "b"] and len(tree(path)) == 2
    write(path, ["a", "b"], overwrite=True)
    assert list(AtlasDataset(path)) == ["a", "b"] and len(tree(path)) == 2


@pytest.mark.parametrize("manifest", [b"", b"{}", b"\xff", b'{"atlas":3,"hash":"' + b"0" * 32 + b'"}'], ids=repr)
def test_overwrite_of_a_damaged_manifest(tmp_path, manifest):
    path = write(tmp_path / "d", range(100), shard_size=10)
    (path / "atlas.json").write_bytes(manifest)
    with pytest.raises(errors.AtlasError):
        write(path, [1], append=True)
    before = tree(path)
    with pytest.raises(ZeroDivisionError), AtlasDatasetWriter(path, overwrite=True, workers=0) as writer:
        raise ZeroDivisionError
    assert tree(path) == before
    write(path, ["a", "b"], overwrite=True)
    assert list(AtlasDataset(path)) == ["a", "b"] and len(tree(path)) == 2
    with AtlasDatasetWriter(path, part=0, workers=0) as writer:
        writer.add_example(1)
    (path / "atlas.json").write_bytes(manifest)
    merge_parts(path, overwrite=True)
    assert list(AtlasDataset(path)) == [1] and len(tree(path)) == 2


def test_overwrite_with_the_same_rows(tmp_path):
    """The new files have the names of the old ones: an abort leaves those, and a damaged one is mended."""
    path = write(tmp_path / "d", range(100), shard_size=10)
    before = tree(path)
    with pytest.raises(ZeroDivisionError), AtlasDatasetWriter(path, shard_size=10, overwrite=True, workers=0) as writer:
        writer.extend(range(2000))
        raise ZeroDivisionError
    assert tree(path) == before
    shard = next(path.glob("*.atlas"))
    shard.write_bytes(b"x" + shard.read_bytes()[1:])
    assert verify(path).damages
    write(path, range(100), shard_size=10, overwrite=True)
    assert tree(path) == before


def test_a_reader_of_what_is_overwritten_goes_on(tmp_path):
    path = write(tmp_path / "d", range(100), shard_size=50)
    before = AtlasDataset(path)
    assert before[0] == 0 and before[99] == 99
    write(path, ["a"], overwrite=True)
    assert list(before) == list(range(100))


@pytest.mark.parametrize("kind", ["dataset", "file", "other files"])
def test_what_is_in_the_way(tmp_path, kind):
    path = tmp_path / "d"
    if kind == "dataset":
        write(path, [1])
    elif kind == "file":
        path.write_text("x")
    else:
        path.mkdir()
        (path / "notes.txt").write_text("x")
    wanted = {"dataset": "append=True.*overwrite=True", "file": "is a file", "other files": "other files"}[kind]
    with pytest.raises(FileExistsError, match=wanted):
        AtlasDatasetWriter(path)


def test_an_exception_publishes_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), AtlasDatasetWriter(tmp_path / "d", shard_size=300, workers=2) as writer:
        writer.extend(range(5000))
        raise ZeroDivisionError
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("options", [{"append": True}, {"overwrite": True}], ids=str)
@pytest.mark.parametrize("end", ["exception", "abort", "interrupt"])
def test_the_folder_is_as_before(tmp_path, options, end):
    path = write(tmp_path / "d", range(10), shard_size=4)
    before = tree(path)
    writer = AtlasDatasetWriter(path, shard_size=500, workers=0, **options)
    writer.extend(range(2000))
    if end == "abort":
        writer.abort()
        writer.abort()
    else:
        kind = KeyboardInterrupt if end == "interrupt" else ValueError
        with pytest.raises(kind), writer:
            raise kind
    assert tree(path) == before and list(AtlasDataset(path)) == list(range(10))
    with pytest.raises(ValueError, match="aborted"):
        writer.add_example(1)


def test_nothing_is_visible_before_close(tmp_path):
    path = write(tmp_path / "d", range(10))
    writer = AtlasDatasetWriter(path, append=True, shard_size=800, workers=0)
    writer.extend(range(5000))
    assert len(AtlasDataset(path)) == 10
    writer.close()
    writer.close()
    assert len(AtlasDataset(path)) == 5010
    with pytest.raises(ValueError, match="closed"):
        writer.add_example(1)
    with pytest.raises(ValueError, match="closed"):
        writer.add_batch([1])


def test_position(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", workers=0, schema=int) as writer:
        writer.extend(range(5))
        writer.add_batch(np.arange(7))
        assert writer.position == 12


def test_splits(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", workers=0, shard_size=4) as writer:
        writer.extend(range(10), split="train")
        writer.add_batch(np.arange(10, 15), split="test")
        writer.add_example(15, split="train")
    path = tmp_path / "d"
    assert list(AtlasDataset(path, split="train")) == [*range(10), 15] and list(AtlasDataset(path, split="test")) == list(range(10, 15))
    with AtlasDatasetWriter(path, workers=0, append=True) as writer:
        writer.add_example(99, split="train")
        writer.add_example(98, split="extra")
    assert list(AtlasDataset(path, split="train")) == [*range(10), 15, 99] and list(AtlasDataset(path, split="extra")) == [98]
    assert AtlasDataset(path).splits == {"train": 12, "test": 5, "extra": 1} and len(AtlasDataset(path)) == 18
    assert list(AtlasDataset(path, split="train")[[-1, 0]]) == [99, 0] and AtlasDataset(path, split="train").batch([11, 10]).tolist() == [99, 15]


def test_splits_for_all_or_for_none(tmp_path):
    with pytest.raises(ValueError, match="every example"), AtlasDatasetWriter(tmp_path / "d", workers=0, schema=int) as writer:
        writer.add_example(1)
        writer.add_example(2, split="a")
    for bad in ("", 3):
        with pytest.raises(ValueError, match="a name"), AtlasDatasetWriter(tmp_path / "d", workers=0, schema=int) as writer:
            writer.add_example(1, split=bad)


def test_metadata(tmp_path):
    metadata = {"é": [1, 2.5, None, True, {"x": "y"}], "classes": ["a"], "hash": "x"}
    assert AtlasDataset(write(tmp_path / "d", [1], metadata=metadata)).metadata == metadata


@pytest.mark.parametrize(("name", "most", "given"), [("MAX_BYTES", 1000, "x" * 1000), ("MAX_VALUES", 100, [0] * 100)])
def test_metadata_that_is_too_large_is_refused_when_it_is_given(tmp_path, monkeypatch, name, most, given):
    monkeypatch.setattr(f"atlas_ds.dataset.metadata.{name}", most)
    with pytest.raises(errors.LimitError, match=f"^metadata takes 1,?0.* the limit is {most:,}"):
        AtlasDatasetWriter(tmp_path / "d", metadata={"a": given})
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("metadata", [{"a": object()}, {"a": float("nan")}, {"a": 2**60}], ids=str)
def test_metadata_that_json_cannot_hold(tmp_path, metadata):
    with pytest.raises((ValueError, TypeError)):
        write(tmp_path / "d", [1], metadata=metadata)
    assert not (tmp_path / "d").exists()


def codecs(path):
    return {name: column["codec"] for name, column in AtlasDataset(path).stats()["columns"].items()}


TEXT = [{"a": f"the quick brown fox {i} jumps over the lazy dog {i * i} " * 4, "b": f"another text, number {i}, in another column " * 4, "n": i} for i in range(400)]


def test_compression_of_each_column(tmp_path):
    assert codecs(write(tmp_path / "d", TEXT, compression={"a": "lz4", "b": "none"})) == {"a": "lz4", "b": "none", "n": "none"}
    assert codecs(write(tmp_path / "e", TEXT, compression="none")) == {"a": "none", "b": "none", "n": "none"}
    assert codecs(write(tmp_path / "f", TEXT)) == {"a": "zstd", "b": "zstd", "n": "none"}
    for name in "def":
        assert same(list(AtlasDataset(tmp_path / name)), TEXT)
    sizes = [AtlasDataset(tmp_path / name).stats()["bytes"] for name in "edf"]
    assert sizes[0] > sizes[1] > sizes[2]


def test_scan_access_is_smaller(tmp_path):
    noise = [{"i": i, "x": float(i // 10)} for i in range(20_000)]
    random, scan = (AtlasDataset(write(tmp_path / a, noise, access=a)) for a in ("random", "scan"))
    assert scan.stats()["bytes"] < random.stats()["bytes"] / 2 and same(list(scan), list(random))
    assert codecs(scan.path)["x"] == "zstd" and codecs(random.path)["x"] == "none"


def test_levels(tmp_path):
    sizes = [AtlasDataset(write(tmp_path / str(level), TEXT, level=level, access="scan")).stats()["bytes"] for level in (1, 19)]
    assert sizes[1] <= sizes[0]


LONG = [{"s": f'{{"user": {i * 7919 % 10007}, "event": "click on button {i % 13}", "page": "/home/index.html?session={i}"}}'} for i in range(4000)]


def dictionaries(path):
    return [bytes(d) for shard in AtlasDataset(path).shards for d in AtlasDataset(path / shard.path).shard_set.shard(0).dictionary_bytes]


def test_dictionary_modes(tmp_path):
    paths = {mode: write(tmp_path / str(mode), LONG, dictionary=mode, shard_size=2000) for mode in ("shared", "shard", None)}
    shared, each, none = (dictionaries(path) for path in paths.values())
    assert len(shared) == 2 and shared[0] == shared[1] and len(each) == 2 and each[0] != each[1] and none == []
    sizes = {mode: AtlasDataset(path).stats()["bytes"] for mode, path in paths.items()}
    assert sizes["shared"] < sizes[None]
    for path in paths.values():
        assert same(list(AtlasDataset(path)), LONG) and verify(path).damages == []
    write(paths["shared"], LONG[:2000], append=True)
    assert set(dictionaries(paths["shared"])) == set(shared) and len(dictionaries(paths["shared"])) == 3


def test_stats(tmp_path):
    stats = AtlasDataset(write(tmp_path / "d", TEXT, shard_size=100)).stats()
    assert stats["rows"] == 400 and stats["raw_bytes"] == sum(c["raw_bytes"] for c in stats["columns"].values())
    assert stats["columns"]["n"] == stats["columns"]["n"] | {"raw_bytes": 3200, "codec": "none"} and "why" in stats["columns"]["a"]
    assert sum(stats["columns"]["n"]["layouts"].values()) == 4


def test_layouts_are_chosen_by_the_values(tmp_path):
    rows = [{"const": 7, "narrow": 10**12 + i, "enum": ["train", "test"][i % 2], "fixed": float(i) / 3, "var": f"{i}" * 9} for i in range(5000)]
    columns = AtlasDataset(write(tmp_path / "d", rows)).stats()["columns"]
    assert [next(iter(columns[name]["layouts"])) for name in rows[0]] == ["CONST", "NARROW", "ENUM", "FIXED", "VAR"]


@pytest.mark.parametrize("access", ["random", "scan"])
def test_values_that_are_all_empty_take_no_bytes(tmp_path, access):
    rows = [{"text": "", "list": [], "some": None if i % 3 else ""} for i in range(1000)]
    schema = {"text": str, "list": types.list("int64"), "some": types.nullable(str)}
    path = write(tmp_path / "d", rows, schema=schema, access=access)
    columns = AtlasDataset(path).stats()["columns"]
    assert all(set(columns[name]["layouts"]) == {"CONST"} for name in schema)
    assert [columns[name]["stored_bytes"] for name in ("text", "list")] == [0, 0]
    verify(path)
    theirs = list(Dataset(path).examples())
    assert list(AtlasDataset(path)) == rows and [(row["text"], row["some"]) for row in theirs] == [("", row["some"]) for row in rows]


def parts_of(root):
    schema = {"i": int, "s": str}
    for part in (2, 0, 1):
        with AtlasDatasetWriter(root, part=part, schema=schema, shard_size=3, workers=0, metadata={"from": part}) as writer:
            for i in range(part * 10, part * 10 + 7):
                writer.add_example({"i": i, "s": f"part {part}"}, split="train" if i % 2 else "test")
    merge_parts(root)


def test_parts(tmp_path):
    parts_of(tmp_path / "a")
    parts_of(tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b") and not (tmp_path / "a" / ".parts").exists()
    dataset = AtlasDataset(tmp_path / "a")
    assert sorted(row["i"] for row in dataset) == [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 26]
    assert [row["i"] for row in AtlasDataset(tmp_path / "a", split="train")] == [1, 3, 5, 11, 13, 15, 21, 23, 25] and dataset.metadata == {"from": 0}
    assert verify(tmp_path / "a").damages == []


def test_merging_twice_over(tmp_path):
    parts_of(tmp_path / "a")
    before = tree(tmp_path / "a")
    with AtlasDatasetWriter(tmp_path / "a", part=0, workers=0) as writer:
        writer.add_example(1)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        merge_parts(tmp_path / "a")
    assert {k: v for k, v in tree(tmp_path / "a").items() if not k.startswith(".parts")} == before
    merge_parts(tmp_path / "a", overwrite=True, metadata={"x": 1})
    assert list(AtlasDataset(tmp_path / "a")) == [1] and len(tree(tmp_path / "a")) == 2 and AtlasDataset(tmp_path / "a").metadata == {"x": 1}


def test_parts_that_do_not_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match="no parts"):
        merge_parts(tmp_path)
    for part, value in enumerate((1, "x")):
        with AtlasDatasetWriter(tmp_path / "d", part=part, workers=0) as writer:
            writer.add_example(value)
    with pytest.raises(errors.SchemaError, match="same schema="):
        merge_parts(tmp_path / "d")
    (tmp_path / "e" / ".parts" / "00000").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="never finished"):
        merge_parts(tmp_path / "e")


def test_what_is_in_the_folder(tmp_path):
    path = write(tmp_path / "d", range(10), shard_size=5)
    manifest = json.loads((path / "atlas.json").read_bytes())
    assert sorted(name for name in os.listdir(path) if name != ".atlas.lock") == sorted(["atlas.json", *(s["path"] for s in manifest["shards"])])
    for shard in manifest["shards"]:
        assert (Path(path) / shard["path"]).stat().st_size == shard["bytes"] and shard["path"][6:22] == shard["root"]


def test_schema_given_in_every_way(tmp_path):
    for k, (schema, row) in enumerate([({"a": "uint8"}, {"a": 3}), ((int, str), (1, "x")), ([float], [1.5]), (np.uint16, 7), (types.array("int8", (2,)), np.zeros(2, np.int8)), ({"a": {"b": bool}}, {"a": {"b": True}})]):
        dataset = AtlasDataset(write(tmp_path / str(k), [row], schema=schema))
        assert same(dataset[0], row)
        assert same(list(AtlasDataset(write(tmp_path / f"{k} again", [row], schema=dataset.schema))), [row])


def test_an_interrupt_as_a_shard_gets_its_name(tmp_path, monkeypatch):
    """It had its name, but nobody had noted it yet."""
    sync, calls = files.sync_folder, []

    def interrupt(folder):
        calls.append(folder)
        if len(calls) == 3:
            raise KeyboardInterrupt
        sync(folder)

    monkeypatch.setattr(files, "sync_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "d", range(5000), shard_size=10)
    assert os.listdir(tmp_path) == []
