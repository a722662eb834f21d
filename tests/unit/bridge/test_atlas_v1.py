"""Datasets of torch-atlas-ds (version 1): every strategy and form, what becomes of values, each rule that damage can break, and that nothing
is unpickled unasked."""

import collections
import dataclasses
import json
import pickle
import re

import numpy as np
import pytest
import torch
import zstandard

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, bridge
from atlas_ds.bridge import ReadOptions, detect, import_atlas_v1, open_source
from atlas_ds.bridge.atlas_v1 import files as v1_files
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, TruncatedError, UnsupportedError
from support import child, same
from unit.bridge.v1_writer import NONE, OWN, PLAIN, SHARED, Payload, write_blocks, write_shard, write_v1

TRUST = {"trust_pickle": True, "workers": 0}


@dataclasses.dataclass
class Car:
    name: str
    wheels: int


Pair = collections.namedtuple("Pair", "left right")


def rows(count, start=0):
    return [{"i": i, "text": f"a car that is number {i} of many", "x": np.full((2, 2), i, np.int16)} for i in range(start, start + count)]


def imported(tmp_path, src, **options):
    done = import_atlas_v1(src, tmp_path / "out", **TRUST, **options)
    return list(AtlasDataset(tmp_path / "out")), done


@pytest.mark.parametrize("old_meta", [False, True], ids=["", "old"])
@pytest.mark.parametrize("strategy", [NONE, PLAIN, SHARED, OWN])
@pytest.mark.parametrize(("count", "shard_size", "block_size"), [(100, 40, 4), (30, 10, 4), (1, 40, 4), (8, 8, 8), (600, 50, 7)], ids=str)
def test_everything_comes_back(tmp_path, strategy, old_meta, count, shard_size, block_size):
    """With 40 rows of 4 there are dictionaries (10 blocks), the last shard of OWN falls back; with 10 rows of 4 all does."""
    src = write_v1(tmp_path / "v1", rows(count), shard_size=shard_size, block_size=block_size, strategy=strategy, old_meta=old_meta)
    got, done = imported(tmp_path, src)
    assert same(got, rows(count)) and (done.rows, done.format, done.notes) == (count, "atlas-v1", ())


def test_the_writer_of_these_tests_really_falls_back(tmp_path):
    """100 rows: shards of 10, 10 and 5 blocks; 30 rows: 3 blocks each."""
    def kinds(root):
        return [json.loads(file.read_text())["compression_strategy"] for file in sorted(root.glob("*/meta.json"))]

    assert kinds(write_v1(tmp_path / "a", rows(100), strategy=OWN)) == [OWN, OWN, PLAIN]
    assert kinds(write_v1(tmp_path / "b", rows(100), strategy=SHARED)) == [SHARED] * 3
    assert kinds(write_v1(tmp_path / "c", rows(30), shard_size=10, strategy=SHARED)) == [PLAIN] * 3


@pytest.mark.parametrize(("size", "dtype"), [(10, "uint8"), (3000, "uint16"), (200_000, "uint32")])
def test_widths_of_the_index(tmp_path, size, dtype):
    src = write_v1(tmp_path / "v1", [{"b": bytes(size)}, {"b": b"x"}], strategy=NONE)
    assert np.load(src / "0" / "index.npy").dtype == dtype
    assert imported(tmp_path, src)[0] == [{"b": bytes(size)}, {"b": b"x"}]


def test_index_of_64_bits(tmp_path):
    src = write_v1(tmp_path / "v1", rows(9))
    np.save(src / "0" / "index.npy", np.load(src / "0" / "index.npy").astype(np.uint64))
    assert same(imported(tmp_path, src)[0], rows(9))


def test_more_than_ten_shards_padded_or_not(tmp_path):
    for padded in (True, False):
        src = write_v1(tmp_path / f"v1{padded}", rows(48), shard_size=4, padded=padded)
        assert (src / "02").exists() == padded
        import_atlas_v1(src, tmp_path / f"out{padded}", **TRUST)
        assert same(list(AtlasDataset(tmp_path / f"out{padded}")), rows(48))


def test_empty_shards(tmp_path):
    src = write_v1(tmp_path / "v1", rows(4), shard_size=4)
    write_shard(src / "1", [])
    write_shard(src / "2", rows(2, 4))
    (src / "meta.json").write_text(json.dumps({"version": 1, "shard_sizes": [4, 0, 2], "compression_strategy": 1}))
    assert not (src / "1" / "data.bin").exists() and np.load(src / "1" / "index.npy").tolist() == [0]
    assert same(imported(tmp_path, src)[0], rows(6))


def test_nothing_at_all(tmp_path):
    with pytest.raises(SchemaError, match="no example was added"):
        imported(tmp_path, write_v1(tmp_path / "v1", []))


@pytest.mark.parametrize("strategy", [PLAIN, SHARED, OWN])
def test_one_shard_by_itself(tmp_path, strategy):
    """A shared dictionary lies beside the shard's folder."""
    src = write_v1(tmp_path / "v1", rows(80), strategy=strategy)
    assert detect(src / "1") == "atlas-v1"
    assert same(imported(tmp_path, src / "1")[0], rows(40, 40))


def test_missing_shards(tmp_path):
    src = write_v1(tmp_path / "v1", rows(50), shard_size=10)
    for name in ("1", "3"):
        (src / name).rename(tmp_path / name)
    with pytest.raises(TruncatedError, match=re.escape("of 5 shards these are missing: 1 (rows 10 to 19), 3 (rows 30 to 39)")):
        imported(tmp_path, src)
    got, done = imported(tmp_path, src, missing="skip")
    assert same(got, rows(10) + rows(10, 20) + rows(10, 40)) and done.rows == 30
    assert done.notes == ("2 missing shards left out, 20 of 50 rows: shard 1 (rows 10 to 19), 3 (rows 30 to 39); the rows after them move up",)
    with pytest.raises(ValueError, match="missing='fill'"):
        imported(tmp_path, src, missing="fill")


def test_options_reach_the_writer(tmp_path):
    src = write_v1(tmp_path / "v1", rows(20))
    got, _ = imported(tmp_path, src, shard_size=5, split="train", compression="none", icc=["i"])
    ds = AtlasDataset(tmp_path / "out")
    assert len(got) == 20 and len(ds.shards) == 4 and ds.splits == {"train": 20} and list(ds.icc) == ["i"]
    import_atlas_v1(src, tmp_path / "out", **TRUST, append=True, split="test")
    assert AtlasDataset(tmp_path / "out").splits == {"train": 20, "test": 20}


# --- values ---


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([(np.arange(3), 1), (np.arange(3) + 1, 2)], None),
        ([np.float32(1.5), np.float32(2)], None),
        ([1, 2, 3], None),
        (["a", "b"], None),
        ([{"t": torch.arange(6).reshape(2, 3).half()}] * 2, [{"t": np.arange(6, dtype=np.float16).reshape(2, 3)}] * 2),
        ([(torch.ones(2, requires_grad=True), 0)], [(np.ones(2, np.float32), 0)]),
        ([(torch.zeros(i), "x") for i in (1, 2)], [(np.zeros(i, np.float32), "x") for i in (1, 2)]),
        ([{"boxes": [[1, 2], [3]], "none": None}] * 2, None),
    ],
    ids=str,
)
def test_values(tmp_path, given, wanted):
    assert same(imported(tmp_path, write_v1(tmp_path / "v1", given))[0], given if wanted is None else wanted)


def test_dataclasses_and_named_tuples(tmp_path):
    got, _ = imported(tmp_path, write_v1(tmp_path / "cars", [Car("van", 4), Car("trike", 3)]))
    assert AtlasDataset(tmp_path / "out").schema.container == "dataclass" and got == [{"name": "van", "wheels": 4}, {"name": "trike", "wheels": 3}]
    got, _ = imported(tmp_path, write_v1(tmp_path / "pairs", [Pair(1, "a")] * 2), overwrite=True)
    assert got == [(1, "a")] * 2 and type(got[0]) is tuple


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_become_png_without_loss(tmp_path, mode):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 4), np.uint8)
    picture = image.fromarray(pixels[..., 0].astype(np.uint16) * 200) if mode == "I;16" else image.fromarray(pixels).convert(mode)
    got, _ = imported(tmp_path, write_v1(tmp_path / "v1", [{"image": picture, "label": 1}]))
    assert isinstance(got[0]["image"], Media) and got[0]["image"].type == "image/png"
    again = got[0]["image"].decode("pil")
    assert again.mode == mode and np.array_equal(np.asarray(again), np.asarray(picture))


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"i": 1, "v": {1, 2}}, ("column 'v': a builtins.set cannot be stored", "column 'v': expected int64")),
        ({"i": 1, "v": np.array([None])}, ("column 'v': dtype object cannot be stored", "column 'v': expected int64")),
        ({"i": 1, "v": torch.ones(2, 2).to_sparse()}, ("column 'v': a tensor without a NumPy form",) * 2),
        ({"i": 1, "v": 1, 3: 4}, ("key 3 is a int; keys must be str", "3")),
        ({"i": "one", "v": 1}, ("column 'i': expected int64, got str 'one'",) * 2),
        ((1, 2), ("expected a dict like example 0, got tuple", "expected a dict with i, v, got tuple")),
    ],
    ids=["set", "objects", "sparse", "key", "text", "tuple"],
)
@pytest.mark.parametrize("at", [9, 1105], ids=["inferred", "settled"])
def test_what_cannot_be_stored_is_named(tmp_path, odd, words, at):
    """Shard, block, row and column, whether the schema is still looked for (the first 1024 rows) or settled."""
    examples = [{"i": i, "v": 1} for i in range(1200)]
    examples[at] = odd
    src = write_v1(tmp_path / "v1", examples, shard_size=100, block_size=8)
    with pytest.raises(SchemaError) as caught:
        imported(tmp_path, src)
    said = str(caught.value)
    place = f"{src / f'{at // 100:02d}'}: block {at % 100 // 8}, example {at % 100} of the shard"
    assert said.startswith(place) and words[at > 1024] in said[len(place) :], said
    assert not (tmp_path / "out" / "atlas.json").exists()


def test_pictures_that_png_cannot_hold_are_named(tmp_path):
    image = pytest.importorskip("PIL.Image")
    src = write_v1(tmp_path / "v1", [{"image": image.new("RGB", (2, 2))}, {"image": image.new("CMYK", (2, 2))}])
    with pytest.raises(SchemaError, match=r"block 0, example 1 of the shard \(row 1\): column 'image': an image of mode CMYK has no PNG form"):
        imported(tmp_path, src)


# --- damage ---


def meta_of(src, **changes):
    file = src / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def index_of(src, change):
    np.save(src / "index.npy", change(np.load(src / "index.npy").astype(np.uint32)))


def bumped(index):
    index[1] = index[2]
    return index


def cut(file, count):
    file.write_bytes(file.read_bytes()[:-count])


DAMAGES = {
    "root version": (lambda s: meta_of(s, version=2), UnsupportedError, "version 2"),
    "root sizes": (lambda s: meta_of(s, shard_sizes=[8, -1]), CorruptError, "shard_sizes must be"),
    "root sizes differ": (lambda s: meta_of(s, shard_sizes=[9, 7]), CorruptError, "stored_examples is 8, but .* lists 9 for shard 0"),
    "root not json": (lambda s: (s / "meta.json").write_bytes(b"{"), CorruptError, "not JSON"),
    "root not object": (lambda s: (s / "meta.json").write_bytes(b"[]"), CorruptError, "not a JSON object"),
    "root meta gone": (lambda s: (s / "meta.json").unlink(), TruncatedError, "its writer was killed"),
    "a shard too many": (lambda s: (s / "1").rename(s / "7"), CorruptError, "lists 2 shards"),
    "a number twice": (lambda s: write_shard(s / "01", rows(8)), CorruptError, "the same number as 01"),
    "shard version": (lambda s: meta_of(s / "0", version="1"), UnsupportedError, "0/meta.json: version '1'"),
    "stored_examples": (lambda s: meta_of(s / "0", stored_examples=True), CorruptError, "0/meta.json: stored_examples is True"),
    "block_size": (lambda s: meta_of(s / "0", block_size=0), CorruptError, "0/meta.json: block_size is 0"),
    "strategy": (lambda s: meta_of(s / "0", compression_strategy=4), CorruptError, "0/meta.json: compression_strategy is 4"),
    "shard meta gone": (lambda s: (s / "1" / "meta.json").unlink(), TruncatedError, "1/meta.json: is missing"),
    "index gone": (lambda s: (s / "0" / "index.npy").unlink(), TruncatedError, "0/index.npy: is missing"),
    "index no array": (lambda s: (s / "0" / "index.npy").write_bytes(b"nonsense" * 9), CorruptError, "0/index.npy: not a readable array"),
    "index cut": (lambda s: cut(s / "0" / "index.npy", 2), CorruptError, "0/index.npy: not a readable array"),
    "index signed": (lambda s: index_of(s / "0", lambda i: i.astype(np.int32)), CorruptError, "int32 of shape .*unsigned"),
    "index 2-d": (lambda s: index_of(s / "0", lambda i: i[None]), CorruptError, "unsigned"),
    "index pickled": (lambda s: np.save(s / "0" / "index.npy", np.array([Payload(s / "ran")], object)), CorruptError, "not a readable array"),
    "index short": (lambda s: index_of(s / "0", lambda i: i[:-1]), CorruptError, "2 offsets, but 2 blocks .* need 3"),
    "index start": (lambda s: index_of(s / "0", lambda i: i + 1), CorruptError, "the first offset is 1"),
    "index not ascending": (lambda s: index_of(s / "0", bumped), CorruptError, "0/index.npy: block 1 begins at .*must ascend"),
    "data cut": (lambda s: cut(s / "0" / "data.bin", 1), CorruptError, "0/data.bin: has .* bytes, but the index ends at"),
    "data gone": (lambda s: (s / "0" / "data.bin").unlink(), CorruptError, "0/data.bin: has 0 bytes"),
    "block_size differs": (lambda s: meta_of(s / "0", block_size=5), CorruptError, "0: block 0: holds 4 examples, but .* imply 5"),
    "dictionary gone": (lambda s: meta_of(s / "0", compression_strategy=2), CorruptError, "zstd_dict.bin: is missing, and the blocks of .*0 cannot"),
    "dictionary empty": (
        lambda s: (meta_of(s / "0", compression_strategy=3), (s / "0" / "zstd_dict.bin").write_bytes(b"\x37\xa4\x30\xec" + bytes(20))), CorruptError, "/0",
    ),
    "not zstd": (lambda s: (s / "0" / "data.bin").write_bytes(bytes((s / "0" / "data.bin").stat().st_size)), CorruptError, "0: block 0: not one complete zstd"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(tmp_path, name):
    """Every rule is broken alone; the error names file or block and the rule, and nothing is left at the destination."""
    damage, error, words = DAMAGES[name]
    src = write_v1(tmp_path / "v1", rows(16), shard_size=8)
    damage(src)
    with pytest.raises(error, match=words) as caught:
        imported(tmp_path, src)
    assert str(src) in str(caught.value) and not (tmp_path / "out" / "atlas.json").exists() and not (src / "ran").exists()


def frame(change):
    """A shard of one block that is `change` of a good block of 4 examples."""

    def damage(folder):
        folder.mkdir()
        write_blocks(folder, [change(pickle.dumps(rows(4)))], 4, strategy=NONE)
        meta_of(folder, compression_strategy=PLAIN)

    return damage


def press(data, **options):
    return zstandard.ZstdCompressor(**options).compress(data)


BLOCKS = {
    "two frames": (lambda data: press(data) * 2, CorruptError, "not one complete zstd frame"),
    "cut": (lambda data: press(data)[:-3], CorruptError, "not one complete zstd frame"),
    "no list": (lambda data: press(pickle.dumps({"a": 1})), CorruptError, "holds a dict, not a list"),
    "too few": (lambda data: press(pickle.dumps(rows(3))), CorruptError, "holds 3 examples, but .* imply 4"),
    "no pickle": (lambda data: press(b"nonsense"), CorruptError, "cannot be unpickled"),
    "pickle cut": (lambda data: press(data[:-9]), CorruptError, "cannot be unpickled"),
    "stranger": (lambda data: press(b"cno_such_module\nThing\n."), UnsupportedError, "need No module named 'no_such_module'"),
    "bomb": (lambda data: b"\x28\xb5\x2f\xfd\xe0" + (5 << 30).to_bytes(8, "little") + bytes(9), LimitError, "declares 5,368,709,120 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_damaged_blocks(tmp_path, name):
    change, error, words = BLOCKS[name]
    frame(change)(tmp_path / "0")
    with pytest.raises(error, match=words) as caught:
        imported(tmp_path, tmp_path / "0")
    assert f"{tmp_path / '0'}: block 0" in str(caught.value)


def test_frames_without_their_size(tmp_path, monkeypatch):
    """The published writer always writes it. Without it a limit holds."""
    frame(lambda data: press(data, write_content_size=False))(tmp_path / "0")
    assert same(imported(tmp_path, tmp_path / "0")[0], rows(4))
    monkeypatch.setattr(v1_files, "MAX_BLOCK", 300)
    with pytest.raises(CorruptError, match="block 0: not one complete zstd frame"):
        imported(tmp_path, tmp_path / "0", overwrite=True)


def test_all_files_are_checked_before_a_pickle_is_read(tmp_path):
    """The payload is in the first shard, the damage in the last."""
    src = write_v1(tmp_path / "v1", [{"x": 1}] * 4 + [{"x": 2}] * 4, shard_size=4)
    for file in (src / "0").iterdir():
        file.unlink()
    (src / "0").rmdir()
    write_shard(src / "0", [{"x": Payload(tmp_path / "ran")}] * 4)
    cut(src / "1" / "data.bin", 1)
    with pytest.raises(CorruptError, match=r"1/data\.bin"):
        imported(tmp_path, src)
    assert not (tmp_path / "ran").exists()


# --- trust ---


def test_without_the_flag_nothing_is_unpickled(tmp_path, capsys):
    src = write_v1(tmp_path / "v1", [{"x": Payload(tmp_path / "ran")}] * 4)
    assert detect(src) == "atlas-v1"
    for call in (
        lambda: import_atlas_v1(src, tmp_path / "out"),
        lambda: bridge.convert(src, tmp_path / "out"),
        lambda: open_source(src),
        lambda: open_source(src / "0", "atlas-v1"),
    ):
        with pytest.raises(AtlasError, match=r"can run any code .*--trust-pickle, or trust_pickle=True"):
            call()
    assert main(["convert", str(src), str(tmp_path / "out")]) == 1 and "--trust-pickle" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="convert --trust-pickle"):
        AtlasDataset(src)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_with_the_flag_the_payload_runs(tmp_path):
    """What the flag warns of is real: otherwise the test above would prove nothing."""
    src = write_v1(tmp_path / "v1", [{"x": Payload(tmp_path / "ran")}] * 4)
    with pytest.raises(SchemaError, match="cannot be stored"):
        imported(tmp_path, src)
    assert (tmp_path / "ran").exists()


def test_command_line(tmp_path, capsys):
    src = write_v1(tmp_path / "v1", rows(30), shard_size=10)
    assert main(["convert", "--trust-pickle", str(src), str(tmp_path / "v2"), "--quiet"]) == 0
    assert same(list(AtlasDataset(tmp_path / "v2")), rows(30)) and "30 rows from atlas-v1" in capsys.readouterr().out
    (src / "1").rename(tmp_path / "away")
    assert main(["convert", "--trust-pickle", str(src), str(tmp_path / "v3")]) == 1
    assert "--missing skip" in capsys.readouterr().err
    assert main(["convert", "--trust-pickle", "--missing", "skip", str(src), str(tmp_path / "v3")]) == 0
    assert len(AtlasDataset(tmp_path / "v3")) == 20 and "move up" in capsys.readouterr().out


def test_detection_is_by_content(tmp_path):
    """A folder of samples may have a file called meta.json; a damaged meta.json is told apart by the files around it."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "meta.json").write_text('{"title": "x"}')
    assert detect(tmp_path / "s") == "samples"
    src = write_v1(tmp_path / "v1", rows(4))
    (src / "meta.json").write_text("{")
    assert detect(src) == "atlas-v1"
    with pytest.raises(AtlasError, match="give the folder"):
        open_source(src / "meta.json", "atlas-v1")


def test_a_block_at_a_time(tmp_path, monkeypatch):
    """A block is read when its examples are asked for, and not before."""
    src = write_v1(tmp_path / "v1", rows(100), strategy=NONE)
    seen = []
    monkeypatch.setattr("atlas_ds.bridge.atlas_v1.reader.unpickle", lambda data, place: seen.append(place) or pickle.loads(data))
    examples = open_source(src, None, ReadOptions(trust_pickle=True)).examples()
    collections.deque((next(examples) for _ in range(9)), 0)
    assert len(seen) == 3


def test_zstandard_is_asked_for_by_name(tmp_path, monkeypatch):
    src, raw = write_v1(tmp_path / "v1", rows(4)), write_v1(tmp_path / "raw", rows(4), strategy=NONE)
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(AtlasError, match=r"atlas-ds\[torch-atlas-ds\]"):
        imported(tmp_path, src)
    assert same(imported(tmp_path, raw)[0], rows(4))


def test_rows_that_appending_cannot_take_are_named(tmp_path):
    with AtlasDatasetWriter(tmp_path / "out", workers=0) as writer:
        writer.add_example({"i": 1})
    src = write_v1(tmp_path / "v1", [{"i": 1}] * 5 + [{"i": "x"}])
    with pytest.raises(SchemaError, match=r"block 1, example 5 of the shard \(row 5\): column 'i'"):
        imported(tmp_path, src, append=True)
    assert len(AtlasDataset(tmp_path / "out")) == 1


MANY = """
import resource, sys
from atlas_ds.bridge import ReadOptions, open_source
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
assert [row["i"] for row, _ in open_source(sys.argv[1], None, ReadOptions(trust_pickle=True)).examples()] == list(range(400))
"""


def test_more_shards_than_descriptors(tmp_path):
    child(MANY, write_v1(tmp_path / "d", [{"i": i} for i in range(400)], shard_size=4))
