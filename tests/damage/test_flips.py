"""Real datasets, damaged: every byte that is changed, cut, added or swapped is reported, and never read as if it were right."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import _core, errors
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import parse_manifest
from atlas_ds.shard import verify_shard
from atlas_ds.shard.open import open_shard
from atlas_ds.store.local import LocalStore
from support import rich_rows, same, tree, write

SMALL = [{"i": i, "s": None if i % 3 == 0 else f"text {i} " * 12, "w": np.arange(i % 3), "o": [i]} for i in range(20)]


@pytest.fixture(scope="module", params=["random", "scan"])
def good(request, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("good") / "d", SMALL, shard_size=11, block_size=4, access=request.param)


def first_shard(path: Path) -> Path:
    return path / atlas.AtlasDataset(path).shards[0].path


def damaged(path: Path) -> bool:
    """verify reports it, and so does the reading of all rows unless it lies where no row is."""
    return atlas.verify(path).damages != []


def test_the_good_one_is_good(good):
    report = atlas.verify(good)
    assert (report.damages, report.shards, report.rows) == ([], 2, 20) and report.bytes == sum(s.bytes for s in atlas.AtlasDataset(good).shards)
    assert atlas.verify(first_shard(good)).rows == 11 and atlas.verify(good, fast=True).damages == []


def test_every_byte(good, tmp_path):
    """One flipped bit in each byte of a shard; the bit changes from byte to byte."""
    path = Path(shutil.copytree(good, tmp_path / "d"))
    file = first_shard(path)
    data = bytearray(file.read_bytes())
    for at in range(len(data)):
        data[at] ^= 1 << (at * 5 + at // 64) % 8
        file.write_bytes(data)
        with pytest.raises(errors.AtlasError):
            verify_shard(file)
        data[at] ^= 1 << (at * 5 + at // 64) % 8
    file.write_bytes(data)
    assert verify_shard(file) == 11


def test_no_flip_is_read_as_another_value(good, tmp_path):
    """What reading gives from a flipped file is right or an error of Atlas: never a wrong value, never a crash."""
    path = Path(shutil.copytree(good, tmp_path / "d"))
    file = first_shard(path)
    data = bytearray(file.read_bytes())
    refused = 0
    for at in range(0, len(data), 7):
        data[at] ^= 1 << at % 8
        file.write_bytes(data)
        for options in ({}, {"io": "pread"}):
            try:
                dataset = atlas.AtlasDataset(path, **options)
                for i in (0, 5, 10):
                    assert same(dataset[i], SMALL[i])
                assert same(list(dataset)[11:], SMALL[11:])
            except errors.AtlasError as error:
                assert file.name in str(error)
                refused += 1
        data[at] ^= 1 << at % 8
    assert refused > 100


@pytest.mark.parametrize("verify", ["never"])
def test_without_verification_nothing_crashes(good, tmp_path, verify):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    file = first_shard(path)
    data = bytearray(file.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 300).tolist():
        old = data[at]
        data[at] = int(rng.integers(256))
        file.write_bytes(data)
        try:
            dataset = atlas.AtlasDataset(path, verify=verify)
            list(dataset)
            dataset.batch([0, 3, 19])
        except errors.AtlasError:
            pass
        data[at] = old


def test_every_cut(good, tmp_path):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    file = first_shard(path)
    data = file.read_bytes()
    for length in [*range(0, 200), *range(200, len(data), 37), *range(len(data) - 130, len(data))]:
        file.write_bytes(data[:length])
        with pytest.raises(errors.TruncatedError):
            verify_shard(file)
    file.write_bytes(data[:-1])
    assert damaged(path)
    for io in ("mmap", "pread"):
        with pytest.raises(errors.TruncatedError, match=file.name):
            atlas.AtlasDataset(path, io=io)[0]


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 64, b"x" * 1000])
def test_trailing_bytes(good, tmp_path, extra):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    file = first_shard(path)
    file.write_bytes(file.read_bytes() + extra)
    with pytest.raises(errors.AtlasError):
        verify_shard(file)
    assert damaged(path)
    with pytest.raises(errors.AtlasError):
        atlas.AtlasDataset(path)[0]


def test_a_shard_under_the_name_of_another(good, tmp_path):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    one, two = (path / shard.path for shard in atlas.AtlasDataset(path).shards)
    shutil.copy(two, one)
    assert len(atlas.verify(path).damages) == 1 and one.name in atlas.verify(path).damages[0][0]
    for io in ("mmap", "pread"):
        dataset = atlas.AtlasDataset(path, io=io)
        with pytest.raises(errors.CorruptError, match=one.name):
            dataset[0]
        assert same(dataset[11], SMALL[11])


def test_a_missing_shard(good, tmp_path):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    first_shard(path).unlink()
    assert damaged(path) and damaged(path)


def test_an_edited_manifest(good, tmp_path):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    manifest = path / "atlas.json"
    text = manifest.read_bytes()
    body = json.loads(text)
    for bad in (text.replace(b'"rows":20', b'"rows":21'), text + b"\n", b"", json.dumps(body).encode(), text[:-5], text.replace(b"dict", b"list")):
        manifest.write_bytes(bad)
        assert damaged(path)
        with pytest.raises(errors.AtlasError, match=r"atlas\.json"):
            atlas.AtlasDataset(path)
    manifest.unlink()
    with pytest.raises(FileNotFoundError, match="repair"):
        atlas.AtlasDataset(path)


def resealed(path, change):
    """Edits the manifest and makes its hash right again: what a hostile or confused tool would do."""
    import rfc8785

    from atlas_ds.dataset.manifest import digest

    body = json.loads((path / "atlas.json").read_bytes())
    del body["hash"]
    change(body)
    (path / "atlas.json").write_bytes(rfc8785.dumps(body | {"hash": digest(rfc8785.dumps(body))}))


@pytest.mark.parametrize("member", ["rows", "bytes", "tail", "root"])
def test_a_manifest_that_lies_about_a_shard(good, tmp_path, member):
    path = Path(shutil.copytree(good, tmp_path / "d"))

    def lie(body):
        old = body["shards"][0][member]
        body["shards"][0][member] = "0" * 16 if member == "root" else old + 1
        body["rows"] += member == "rows"

    resealed(path, lie)
    assert damaged(path)


def test_a_manifest_with_another_schema(good, tmp_path):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    resealed(path, lambda body: body["schema"]["fields"][0].update(type="float64"))
    assert damaged(path)
    with pytest.raises(errors.UnsupportedError, match="one schema"):  # else it would take the bits of an int64 for a float64
        atlas.AtlasDataset(path)[0]


def test_random_bytes_are_no_shard(tmp_path):
    rng = np.random.default_rng(0)
    for size in (1, 63, 64, 127, 128, 129, 1000, 100_000):
        for data in (rng.bytes(size), bytes(size), b"\xff" * size):
            (tmp_path / "x.atlas").write_bytes(data)
            for io in ("mmap", "pread"):
                with pytest.raises(errors.AtlasError):
                    atlas.AtlasDataset(tmp_path / "x.atlas", io=io)[0]
            assert damaged(tmp_path / "x.atlas")


def test_verify_of_nothing(tmp_path):
    for path in (tmp_path, tmp_path / "nope"):
        with pytest.raises(FileNotFoundError):
            atlas.verify(path)


def test_dictionary_chunks_are_verified(tmp_path):
    rows = [f'{{"user": {i * 7919 % 10007}, "event": "click on button {i % 13}", "page": "/home/index.html"}}' for i in range(3000)]
    path = write(tmp_path / "d", rows)
    file = first_shard(path)
    data = file.read_bytes()
    at = data.index(b"DICT")
    for where in (at, at + 8, at + 40, at + 500):
        file.write_bytes(data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :])
        assert damaged(path)
        with pytest.raises(errors.AtlasError):
            atlas.AtlasDataset(path)[0]


def test_a_fast_verification_sees_less(good, tmp_path):
    path = Path(shutil.copytree(good, tmp_path / "d"))
    file = first_shard(path)
    data = bytearray(file.read_bytes())
    body = int(np.argmax([data[i : i + 4] == b"DATA" for i in range(len(data))])) + 200
    data[body] ^= 1
    file.write_bytes(data)
    assert atlas.verify(path, fast=True).damages == [] and damaged(path)


# Repair


def repaired(path, **options):
    report = atlas.repair(path, **options)
    target = options.get("output", path.with_name(path.stem + "-repaired"))
    assert atlas.verify(target).damages == []
    return report, list(atlas.AtlasDataset(target))


def test_repair_of_a_good_dataset(tmp_path):
    path = write(tmp_path / "d", rich_rows(30), shard_size=11, metadata={"a": 1})
    before = tree(path)
    report, rows = repaired(path)
    assert same(rows, rich_rows(30)) and (report.rows_kept, report.rows_lost) == (30, 0) and [s[3] for s in report.shards] == ["intact"] * 3
    assert atlas.AtlasDataset(tmp_path / "d-repaired").metadata == {"a": 1} and tree(path) == before


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_repair_of_a_cut_file(tmp_path, share):
    rows = rich_rows(200)
    path = write(tmp_path / "d", rows, block_size=8)
    file = first_shard(path)
    os.truncate(file, int(file.stat().st_size * share))
    report, kept = repaired(path)
    assert same(kept, rows[: len(kept)]) and report.rows_kept == len(kept) and report.rows_lost == 200 - len(kept)
    assert len(kept) % 8 == 0 or len(kept) == 200
    assert len(kept) >= (200 * share - 40 if share > 0.5 else 0) and (share < 0.999 or len(kept) == 200)


def test_repair_of_a_damaged_block(tmp_path):
    """Rows up to the damage are kept of that shard, and all of the others."""
    rows = [{"i": i, "b": os.urandom(400)} for i in range(100)]
    path = write(tmp_path / "d", rows, shard_size=50, block_size=5)
    file = first_shard(path)
    data = bytearray(file.read_bytes())
    data[data.index(rows[22]["b"]) + 3] ^= 4
    file.write_bytes(data)
    report, kept = repaired(path)
    assert same(kept, rows[:20] + rows[50:]) and (report.rows_kept, report.rows_lost) == (70, 30) and report.shards[0][1:3] == (20, 30)


def test_repair_without_a_manifest(tmp_path):
    path = write(tmp_path / "d", rich_rows(30), shard_size=11)
    (path / "atlas.json").unlink()
    report, kept = repaired(path, output=tmp_path / "out")
    assert same(kept, rich_rows(30)) and report.rows_kept == 30


def test_repair_of_what_a_killed_writer_left(tmp_path):
    """A temporary file without a footer holds whole blocks."""
    path = write(tmp_path / "d", rich_rows(200), block_size=8)
    file = first_shard(path)
    data = file.read_bytes()
    file.unlink()
    (path / "atlas.json").unlink()
    (path / ".tmp-00000-99999999-0").write_bytes(data[: len(data) // 2])
    _, kept = repaired(path)
    assert len(kept) >= 64 and same(kept, rich_rows(200)[: len(kept)])


@pytest.fixture
def in_splits(tmp_path) -> Path:
    """Shards 0 1 2: train, 3 4: test, 5: train again; "some" lies in shards 1 and 2."""
    path = tmp_path / "d"
    for split, rows in (("train", range(0, 25)), ("test", range(25, 40)), ("train", range(40, 45))):
        with atlas.AtlasDatasetWriter(path, shard_size=10, schema=int, append=True, workers=0) as writer:
            writer.extend(rows, split=split)
    data, version = read_current(store := LocalStore(path))
    manifest = parse_manifest(data, "x")
    commit(store, replace(manifest, splits=manifest.splits | {"some": ((12, 14), (15, 21))}, metadata={"a": 1}), expected=version)
    return path


def in_split(path: Path) -> dict[str, list[int]]:
    return {name: list(atlas.AtlasDataset(path, split=name)) for name in atlas.AtlasDataset(path).splits}


@pytest.mark.parametrize("shard, dropped", [(None, []), (0, ["train"]), (1, ["some", "train"]), (3, ["test"]), (4, ["test"]), (5, ["train"])])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_repair_keeps_splits_that_are_whole(in_splits, shard, dropped, how):
    before = in_split(in_splits)
    if shard is not None:
        file = in_splits / atlas.AtlasDataset(in_splits).shards[shard].path
        file.unlink() if how == "gone" else os.truncate(file, 100)
    report, _ = repaired(in_splits, output=in_splits.with_name("out"))
    assert [name for name, _ in report.splits_dropped] == dropped and all(file.name in why for _, why in report.splits_dropped)
    assert in_split(in_splits.with_name("out")) == {name: rows for name, rows in before.items() if name not in dropped} and report.manifest == ""


@pytest.mark.parametrize("old, new, wanted", [(b'"a":1', b'"a":2', "kept unchecked"), (b'"hash":"', b'"hush":"', "kept unchecked"), (b'"a":1', b'"a":1e999', "lost"), (b'"a":1', b'"a":"\\ud800"', "lost"), (b'"atlas":2', b'"atlas":7', "lost"), (b"{", b"(", "lost")])
def test_repair_by_a_damaged_manifest(in_splits, old, new, wanted):
    before = in_split(in_splits)
    (in_splits / "atlas.json").write_bytes((in_splits / "atlas.json").read_bytes().replace(old, new, 1))
    report, kept = repaired(in_splits, output=in_splits.with_name("out"))
    assert kept == list(range(45)) and wanted in report.manifest and report.splits_dropped == []
    assert in_split(in_splits.with_name("out")) == (before if wanted == "kept unchecked" else {})


def test_repair_by_a_manifest_that_names_another_shard(in_splits):
    """One digit of a name is wrong, so no split with rows of that shard can be found again."""
    data, name = (in_splits / "atlas.json").read_bytes(), atlas.AtlasDataset(in_splits).shards[0].path
    (in_splits / "atlas.json").write_bytes(data.replace(name.encode(), b"9" + name[1:].encode()))
    report, kept = repaired(in_splits, output=in_splits.with_name("out"))
    assert kept == list(range(45)) and [name for name, _ in report.splits_dropped] == ["train"]
    assert set(in_split(in_splits.with_name("out"))) == {"test", "some"}


def test_repair_of_whole_and_half_shards(tmp_path):
    """What a killed writer left, in the order it was written: whole shards, one without a footer, one without a byte."""
    path = write(tmp_path / "d", rich_rows(30), shard_size=10, block_size=5)
    last = sorted(path.glob("*.atlas"))[-1]
    os.truncate(last, last.stat().st_size - 70)
    last.rename(path / ".tmp-00002-99999999-0")
    (path / ".tmp-00003-99999999-0").touch()
    (path / "atlas.json").unlink()
    report, kept = repaired(path)
    assert same(kept, rich_rows(30)) and [shard[1] for shard in report.shards] == [10, 10, 10, 0]


def test_repair_beside_an_empty_file(tmp_path):
    path = write(tmp_path / "d", rich_rows(10))
    (path / "atlas.json").rename(path / ".tmp-00000-99999999-0")
    os.truncate(path / ".tmp-00000-99999999-0", 0)
    report, kept = repaired(path)
    assert same(kept, rich_rows(10)) and report.rows_kept == 10


@pytest.mark.parametrize("field, number", [("rows_per_block", 0), ("rows_per_block", 3), ("leaf_count", 0), ("leaf_count", 2**32 - 1), ("group_count", 2**32 - 1)])
def test_repair_by_a_layout_that_lies(tmp_path, field, number):
    """SCHM with a hash that holds, of a shard without a footer: nothing is saved by it, and nothing hangs."""
    file = first_shard(write(tmp_path / "d", range(100), block_size=5))
    shard = open_shard(file)
    data = file.read_bytes()[: shard.footer_offset]
    _, chunks, _ = _core.good_chunks(data, "x")
    _, at, body, end, _ = chunks[0]
    layout = bytearray(data[body:end])
    place = {"leaf_count": 0, "group_count": 4, "rows_per_block": 16 + 16 * len(shard.leaves)}[field]
    layout[place : place + 4] = number.to_bytes(4, "little")
    chunk, _ = _core.seal_chunk(b"SCHM", bytes(layout), shard.nonce, at)
    file.write_bytes(data[:at] + chunk + data[chunks[1][1] :])
    try:
        report, kept = repaired(file, output=tmp_path / "out")
    except errors.AtlasError:
        return
    assert kept == [] and report.rows_kept == 0


def test_repair_of_one_shard_file(tmp_path):
    path = write(tmp_path / "d", rich_rows(30), block_size=5)
    file = first_shard(path)
    os.truncate(file, file.stat().st_size - 70)
    report, kept = repaired(file, output=tmp_path / "out")
    assert same(kept, rich_rows(30)) and report.shards[0][2] == -1


def test_repair_where_nothing_can_be_saved(tmp_path):
    path = write(tmp_path / "d", rich_rows(30))
    file = first_shard(path)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(errors.AtlasError, match="nothing can be repaired"):
        atlas.repair(path)
    with pytest.raises(FileNotFoundError):
        atlas.repair(tmp_path / "nope")
