"""How values are compressed is chosen from a sample: which codec, which dictionary, whether Huffman's code is used."""

import warnings

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, _core, types, verify
from atlas_ds._core.base import Codec, Literals
from atlas_ds.schema.schema import make_schema
from atlas_ds.shard.coding import NO_MATCHES, Coding, Sample, ShardOptions, Tried, choose_coding, fastest
from reference.reader import Shard
from reference.wire import ENUM, VAR
from support import same


def choose(type_, values, *, access="random", requested=None, level=3, dictionary=True, known=b"", rows=64, whole=False):
    builder = _core.RowBuilder(make_schema({"v": type_}), 1 << 40)
    for value in values:
        builder.append({"v": value})
    column = builder.leaf_columns[0]
    options = ShardOptions((requested,), level, access, 64 << 10, None, dictionary, whole)
    return choose_coding(Sample(column, column.size / column.rows, 1.0, rows, _core.Encoder()), options, requested, known)


def pictures(count=600):
    """Smooth, with some noise: bytes that repeat, and runs."""
    rng = np.random.default_rng(0)
    wave = (np.sin(np.arange(28) / 3)[:, None] * np.cos(np.arange(28) / 4) * 60 + 80).astype(np.uint8)
    return [np.where(rng.random((28, 28)) < 0.4, 0, np.roll(wave, rng.integers(28), 1) // 8 * 8).astype(np.uint8) for _ in range(count)]


def tokens(count=600):
    """Small numbers more often than large ones, in no order: nothing repeats."""
    rng = np.random.default_rng(0)
    return [(50_000 ** rng.random(1024)).astype(np.uint16) for _ in range(count)]


def test_arrays_stay_in_place_unless_a_codec_is_requested():
    plain = choose(types.array("uint8", (28, 28)), pictures())
    assert plain.codec == Codec.NONE and not plain.cell_rows and 'compression="zstd" would save' in plain.why
    for codec in (Codec.ZSTD, Codec.LZ4):
        chosen = choose(types.array("uint8", (28, 28)), pictures(), requested=codec)
        assert chosen.codec == codec and chosen.cell_rows == 1 and not chosen.per_page


def test_nothing_is_promised_of_noise():
    noise = [np.random.default_rng(i).integers(0, 256, 784).astype(np.uint8) for i in range(300)]
    plain = choose(types.array("uint8", (784,)), noise)
    assert plain.codec == Codec.NONE and "would save" not in plain.why
    asked = choose(types.array("uint8", (784,)), noise, requested=Codec.ZSTD)
    assert asked.codec == Codec.NONE and "less than 12.5 %" in asked.why


def test_numbers_that_repeat_nothing_are_coded_without_matches():
    chosen = choose(types.array("uint16", (1024,)), tokens(), requested=Codec.ZSTD)
    assert (chosen.level, chosen.literals) == (NO_MATCHES, Literals.CODED)


def test_text_is_always_coded_as_its_level_has_it():
    lines = [f"the number {i * 7919 % 1000} of {i % 7} things is in the list of all things, as it was the day before" for i in range(2000)]
    chosen = choose("str", lines)
    assert chosen.cell_rows == 1 and chosen.literals == Literals.AUTO and chosen.level == 5


def test_a_way_that_reads_faster_may_take_a_fifteenth_more():
    ways = [Tried(Coding(Codec.ZSTD, str(k)), 1000, stored, None) for k, stored in enumerate((534, 520, 500))]
    assert fastest(ways).coding.why == "1"
    assert fastest([ways[0]._replace(stored=533), *ways[1:]]).coding.why == "0"


def lines_of_words():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(500)]
    return [" ".join(words[k] for k in rng.integers(0, 500, 10)) for _ in range(20_000)]


def test_a_scan_compresses_some_values_together():
    lines = lines_of_words()
    chosen = choose("str", lines, access="scan", rows=800)
    assert chosen.cell_rows == 800 * 5 // 64 and chosen.per_page and chosen.dictionary and chosen.level == 7
    assert not choose("str", lines, access="scan", rows=800, dictionary=False).dictionary
    numbers = choose("int64", list(range(0, 2000, 2)), access="scan", rows=500, requested=Codec.ZSTD)
    assert numbers.cell_rows == 128  # a KiB
    large = choose("bytes", [bytes([k]) * 200_000 for k in range(9)], access="scan", rows=1)
    assert large.cell_rows == 1


def test_a_block_size_asks_for_complete_pages():
    lines = lines_of_words()
    chosen = choose("str", lines, access="scan", rows=100, whole=True)
    assert chosen.per_page and not chosen.cell_rows and chosen.dictionary and chosen.level == 5
    large = choose("str", lines, access="scan", rows=9000, whole=True)
    assert large.per_page and not large.dictionary and large.level == 3


def pages_of(path):
    shard = Shard(next(path.glob("*.atlas")))
    return [page for group, index in enumerate(shard.index) for number in range(len(index)) for page in shard.block(group, number)[1]]


def test_what_repeats_is_stored_once_or_compressed_whichever_is_smaller(tmp_path):
    """Names in runs are smaller in cells, names in no order as codes."""
    rng = np.random.default_rng(0)
    for name, values in {"runs": [f"a rather long name of the folder {i // 3}" for i in range(4000)], "codes": [f"name {k}" for k in rng.integers(0, 9, 4000)]}.items():
        with AtlasDatasetWriter(tmp_path / name, access="scan") as writer:
            writer.extend({"v": value} for value in values)
        assert {page.layout for page in pages_of(tmp_path / name)} == {VAR if name == "runs" else ENUM}
        assert [row["v"] for row in AtlasDataset(tmp_path / name)] == values


def test_long_values_are_fewer_in_a_cell(tmp_path):
    """The ends of a cell's values are u16."""
    values = [b"ab" * 20 + bytes([k % 200]) for k in range(9000)]
    for k in (3003, 3004, 3005):
        values[k] = bytes([k % 7]) * 30_000
    values[6000] = b"c" * 70_000
    with AtlasDatasetWriter(tmp_path / "d", access="scan") as writer:
        writer.extend({"v": value} for value in values)
    usual, fewer, one = sorted({page.cell_rows for page in pages_of(tmp_path / "d")}, reverse=True)
    assert usual > 20 and usual > fewer > 1 == one
    dataset = AtlasDataset(tmp_path / "d")
    assert [row["v"] for row in dataset] == values and dataset[3004]["v"] == values[3004] and verify(tmp_path / "d").damages == []


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"compression": "lz4"}, {"access": "scan"}, {"compression": {"image": "zstd"}}], ids=str)
def test_what_is_chosen_reads_back(tmp_path, options):
    rows = [{"image": image, "tokens": few[:256], "label": i % 10} for i, (image, few) in enumerate(zip(pictures(), tokens(), strict=True))]
    with AtlasDatasetWriter(tmp_path / "d", **options) as writer:
        writer.extend(rows)
    ds = AtlasDataset(tmp_path / "d")
    assert all(same(row, given) for row, given in zip(ds, rows, strict=True))
    picked = [599, 3, 3, 0, 77]
    assert same(ds.batch(picked)["image"], np.stack([rows[i]["image"] for i in picked])) and same(ds[5], rows[5])
    assert ds.stats()["columns"]["image"]["stored_bytes"] < 0.9 * ds.stats()["columns"]["image"]["raw_bytes"]
    verify(tmp_path / "d")


def test_why_a_requested_codec_is_not_used(tmp_path):
    random = np.random.default_rng(0)

    def told(name, rows, **options):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            with AtlasDatasetWriter(tmp_path / name, **options) as writer:
                writer.extend(rows)
        return [str(one.message).partition(": ")[2] for one in found]

    noise = [random.bytes(1 << 14) for _ in range(100)]
    says = "is not compressed, though compression='zstd' was requested"
    short = [{"text": random.bytes(13).hex()} for _ in range(50_000)]
    scan = 'too short to compress one by one; access="scan" compresses them page by page'
    assert told("short", short, compression="zstd") == [f"column 'text' {says}: values of 26 bytes are {scan}"]
    assert told("ids", ({"id": int(one)} for one in random.integers(0, 1 << 62, 200_000)), compression="zstd") == [f"column 'id' {says}: values of 8 bytes are {scan}"]
    assert told("short scan", short, compression="zstd", access="scan") == []
    photos = [{"photo": Media(b"\xff\xd8\xff" + one, "image/jpeg"), "label": i} for i, one in enumerate(noise)]
    assert told("photos", photos, compression="zstd") == []
    assert [one.partition(",")[0] for one in told("named", photos, compression={"photo": "zstd"})] == ["column 'photo' is not compressed"]
    dotted = [{"a.b": one, "a": "x" * 100} for one in noise]
    assert told("dotted", dotted, compression={"a": "zstd"}) == []
    assert [one.partition(",")[0] for one in told("struct", ({"a": {"b": one}} for one in noise), compression={"a": "zstd"})] == ["column 'a.b' is not compressed"]


def test_a_column_with_a_dot_is_not_a_field_of_another(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", compression={"a": "none"}) as writer:
        writer.extend({"a.b": f"text {i % 7} " * 50 + str(i), "a": "y" * 100 + str(i)} for i in range(2000))
    columns = AtlasDataset(tmp_path / "d").stats()["columns"]
    assert columns["a.b"]["codec"] == "zstd" and columns["a"]["codec"] == "none"


def test_a_warning_that_is_an_error_comes_after_all_else(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer = AtlasDatasetWriter(tmp_path / "d", compression="zstd")
        with pytest.raises(UserWarning, match="not compressed"), writer:
            writer.add_batch({"noise": np.random.default_rng(0).integers(0, 256, (2000, 784)).astype(np.uint8)})
        writer.close()
        assert "closed" in repr(writer) and len(AtlasDataset(tmp_path / "d")) == 2000
        with AtlasDatasetWriter(tmp_path / "d", append=True) as writer:
            writer.add_example({"noise": np.zeros(784, np.uint8)})


def test_a_codec_that_saves_nothing_is_told(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2000, 784)).astype(np.uint8)

    def write(name, **options):
        with AtlasDatasetWriter(tmp_path / name, **options) as writer:
            writer.add_batch({"noise": noise, "label": np.arange(2000)})

    with pytest.warns(UserWarning, match="column 'noise' is not compressed, though compression='zstd' was requested: zstd saves less than 12.5 %") as told:
        write("a", compression="zstd")
    assert len(told) == 1 and str(tmp_path / "a") in str(told[0].message)
    with pytest.warns(UserWarning, match="'lz4'"):
        write("b", compression={"noise": "lz4"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write("c")
        write("d", compression={"label": "zstd"})
