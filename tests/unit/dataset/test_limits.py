"""Writers never write what readers refuse: pages, blocks, values, schemas. Large values are real ones: the limit is 256 MiB."""

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, _core, errors, types, verify
from atlas_ds._core.base import Codec
from atlas_ds.schema import objects
from atlas_ds.schema.schema import make_schema
from atlas_ds.schema.types import MAX_PAGE, MAX_VALUE
from atlas_ds.shard import plan, writer
from atlas_ds.shard.coding import Coding, ShardOptions
from atlas_ds.shard.plan import make_plan, rows_per_block

MIB = 1 << 20
SMALL = [{"v": b"small"}] * 3


def intact(path, count):
    dataset = AtlasDataset(path)
    report = verify(path)
    assert len(dataset) == count and not report.damages
    return dataset


@pytest.mark.campaign
def test_a_value_of_exactly_the_limit_comes_back(tmp_path):
    """After small ones: the shard ends before it."""
    large = np.random.default_rng(0).bytes(MAX_VALUE)
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": types.nullable("bytes")}) as w:
        w.extend(SMALL)
        w.add_example({"v": None})
        w.add_example({"v": large})
        w.extend(SMALL)
    dataset = AtlasDataset(tmp_path / "d")
    assert dataset[4]["v"] == large and dataset[3]["v"] is None and dataset[5]["v"] == b"small" and len(list((tmp_path / "d").glob("*.atlas"))) == 3


@pytest.mark.parametrize("size", [MAX_VALUE + 1, pytest.param(1 << 30, marks=pytest.mark.campaign)])
def test_a_larger_value_is_refused_at_the_call(tmp_path, size):
    large = bytes(size)
    schema = {"b": types.nullable("bytes"), "m": types.nullable(types.media()), "t": types.nullable(types.tensor("uint8", 1)), "s": types.nullable("str")}
    values = {"b": [large, memoryview(large), bytearray(large)][: 3 if size < 1 << 30 else 1], "m": [Media(large, "a/b")], "t": [np.frombuffer(large, np.uint8)], "s": [large.decode()]}
    with AtlasDatasetWriter(tmp_path / "d", schema=schema, workers=0) as w:
        w.add_example({"b": b"x"})
        for name, many in values.items():
            for value in many:
                with pytest.raises(errors.LimitError, match=f"example 1: column '{name}': a value of {size} bytes; at most {MAX_VALUE}"):
                    w.add_example({name: value})
        with pytest.raises(errors.LimitError, match=f"row 1 of the batch: column 'b': a value of {size} bytes"):
            w.add_batch({"b": [b"y", large]})
        w.add_example({"b": b"z"})
    assert [row["b"] for row in intact(tmp_path / "d", 2)] == [b"x", b"z"]


def test_a_large_object(tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "MAX_VALUE", 1000)
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": "object"}, workers=0) as w:
        with pytest.raises(errors.LimitError, match="example 0: column 'v': a value of 1004 bytes"):
            w.add_example({"v": [b"x" * 1000]})
        w.add_example({"v": [b"x"]})
    intact(tmp_path / "d", 1)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(MAX_VALUE + 1)
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": types.media()}, workers=0) as w:
        with pytest.raises(errors.LimitError, match=f"example 0: column 'v': a value of {MAX_VALUE + 1} bytes"):
            w.add_example({"v": tmp_path / "large.png"})
        w.add_example({"v": Media(b"x", "image/png")})


@pytest.mark.parametrize("options", [{"block_size": 300}, {"block_size": 300, "access": "scan"}, {"block_size": "512MiB"}, {"block_size": 300, "shard_size": 400}], ids=str)
def test_blocks_of_arrays_are_cut(tmp_path, options):
    """Whatever block_size says; all the rows stay in one shard."""
    rows = 300
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": types.nullable(types.array("uint8", (MIB,)))}, **({"shard_size": "1GiB"} | options)) as w:
        for k in range(rows):
            w.add_example({"v": None if k % 7 == 3 else np.full(MIB, k % 251, np.uint8)})
    dataset = intact(tmp_path / "d", rows)
    assert len(list((tmp_path / "d").glob("*.atlas"))) == 1 and dataset[rows - 1]["v"][-1] == (rows - 1) % 251 and dataset[3]["v"] is None


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["examples", "batch"])
def test_values_that_grow_after_the_plan(tmp_path, way):
    """Small ones first, so that blocks are planned for many rows; then 6 of 100 MiB."""
    values = [b"%d" % k for k in range(3000)] + [bytes([k]) * (100 * MIB) for k in range(6)] + [b"end"]
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": "bytes", "i": "int64"}, block_size=4096, shard_size="1GiB", compression="none") as w:
        if way == "batch":
            w.add_batch({"v": values, "i": np.arange(len(values))})
        else:
            w.extend({"v": value, "i": i} for i, value in enumerate(values))
    dataset = intact(tmp_path / "d", len(values))
    assert all(dataset[i]["v"] == value for i, value in enumerate(values) if i > 2990) and dataset.batch(slice(None), columns=["i"])["i"].tolist() == list(range(len(values)))


NO_ROOM = 4


def test_a_page_is_never_larger_than_it_may_be():
    """Values of any length against a limit of 4,000 bytes: what the builder takes is a page within it, what it does not take would not be."""
    sizes = np.random.default_rng(4).integers(0, 3000, 3000)
    builder = _core.RowBuilder(make_schema({"v": types.nullable("str")}), 1 << 40, 4000)
    data = rows = nulls = shards = 0

    def page(data, rows, nulls):
        offsets, validity = (4 * (rows + 1) + 63) // 64 * 64, ((rows + 7) // 8 + 63) // 64 * 64
        return offsets + data + (validity if nulls else 0)

    for number, size in enumerate(sizes.tolist()):
        value = None if number % 5 == 0 else "x" * size
        for again in range(2):
            is_null, length = value is None, len(value or "")
            state = builder.append({"v": value})
            assert (state == NO_ROOM) == (page(data + length, rows + 1, nulls + is_null) > 4000) and not (again and state == NO_ROOM)
            if state != NO_ROOM:
                break
            assert builder.rows == rows, "nothing of it was taken"
            builder, shards = _core.RowBuilder(builder.schema, 1 << 40, 4000), shards + 1
            data = rows = nulls = 0
        data, rows, nulls = data + length, rows + 1, nulls + is_null
    assert shards > 500


def test_no_room_for_a_batch_takes_nothing():
    builder = _core.RowBuilder(make_schema({"i": "int8", "v": "bytes"}), 1 << 40, 4000)
    assert builder.append_columns([np.zeros(3, np.int8), [b"x" * 1000] * 3], 3) == 0 and builder.append_columns([np.zeros(2, np.int8), [b"x" * 600] * 2], 2) == NO_ROOM
    assert builder.rows == 3 and [column.rows for column in builder.leaf_columns] == [3, 3] and builder.append_columns([np.zeros(2, np.int8), [b"x" * 200] * 2], 2) == 0


def column_of(width, rows, *, fixed=True, nullable=False):
    builder = _core.RowBuilder(make_schema({"v": types.nullable(types.array("uint8", (width,))) if nullable else types.array("uint8", (width,)) if fixed else "bytes"}), 1 << 40)
    for _ in range(rows):
        builder.append({"v": np.zeros(width, np.uint8) if fixed else bytes(width)})
    return builder.leaf_columns[0]


@pytest.mark.parametrize("width", [0, 1, 3, 1000, MIB])
@pytest.mark.parametrize("fixed", [True, False])
def test_rows_of_a_block_stay_within_a_page(width, fixed):
    columns = [column_of(width, 2, fixed=fixed)]
    options = ShardOptions((None,), 3, "random", 65536, 1 << 30, False)
    rows = rows_per_block((0,), [float(width)], columns, options, hot=False)
    validity, offsets = (rows + 7) // 8 + 63, 0 if fixed else 4 * (rows + 1) + 63
    assert 1 <= rows <= plan.MAX_BLOCK_ROWS and rows * width + validity + offsets <= MAX_PAGE
    assert rows == plan.MAX_BLOCK_ROWS or (rows + 2) * (width + 5) > MAX_PAGE // 2


def test_rows_of_a_block_of_many_columns_stay_within_a_block():
    columns = [column_of(MIB, 1) for _ in range(40)]
    rows = rows_per_block(tuple(range(40)), [float(MIB)] * 40, columns, ShardOptions((None,) * 40, 3, "random", 1 << 40, 1000, False), hot=True)
    assert rows == plan.MAX_BLOCK_BYTES // (40 * MIB) - (1 if plan.MAX_BLOCK_BYTES % (40 * MIB) == 0 else 0)


def test_more_dictionaries_than_a_byte_names(monkeypatch):
    """Each column has one of its own; from the 256th on there is none."""
    count = 300
    builder = _core.RowBuilder(make_schema({f"c{k}": "str" for k in range(count)}), 1 << 40)
    builder.append({f"c{k}": f"{k} " * 40 for k in range(count)})
    texts = iter(range(1 << 30))
    monkeypatch.setattr(plan, "choose_coding", lambda *_: Coding(Codec.ZSTD, "a test", cell_rows=1, level=5, dictionary=b"%08d" % next(texts)))
    made = make_plan(builder.leaf_columns, ShardOptions((None,) * count, 3, "random", 65536, None, True), {})
    assert len(made.dictionaries) == 255 and max(page.dictionary for page in made.pages) == 255 and sum(page.dictionary == 0 for page in made.pages) == count - 255


def test_a_shard_ends_before_its_index_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MAX_BLOCKS", 10)
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": "int64"}, block_size=1, shard_size=10**9, workers=0) as w:
        monkeypatch.setattr(writer, "SAMPLE_BYTES", 8)
        w.extend({"v": k} for k in range(95))
    assert [row["v"] for row in intact(tmp_path / "d", 95)] == list(range(95)) and len(list((tmp_path / "d").glob("*.atlas"))) >= 9


@pytest.mark.parametrize(
    "schema, error",
    [
        ({"v": types.array("uint8", (MAX_VALUE + 1,))}, "column 'v'.*256 MiB"), ({"s": types.struct({"v": types.array("float64", (MAX_VALUE // 8 + 1,))})}, "column 's.v'.*256 MiB"),
        ({"v": types.array("uint8", (0, 1 << 31))}, "2\\^30"), ({"v": types.array("uint8", (0, 1 << 20, 1 << 20))}, "2\\^30"), ({"v": types.tensor("uint8", 33)}, "33 dimensions"), ({"v": types.tensor("uint8", -1)}, "-1 dimensions"),
        ({"x" * (1 << 22): "int64"}, "as JSON"), ({f"c{k}": "int64" for k in range(4097)}, "4097 columns"),
    ],
    ids=range(8),
)  # fmt: skip
def test_schemas_that_no_reader_takes_are_refused_where_they_are_given(tmp_path, schema, error):
    with pytest.raises(errors.LimitError, match=error):
        AtlasDatasetWriter(tmp_path / "d", schema=schema)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("schema", [{"v": types.media("")}, {"v": types.media("\ud800")}, {"v": None}, {"v": types.Scalar("int7")}, {"v": types.Word("text")}], ids=range(5))
def test_types_that_are_none(schema):
    with pytest.raises(errors.SchemaError):
        make_schema(schema)


def test_shapes_are_ints():
    with pytest.raises(TypeError):
        types.array("uint8", (2.5,))


@pytest.mark.campaign
def test_an_array_of_exactly_the_limit(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": types.nullable(types.array("uint8", (MAX_VALUE,)))}) as w:
        w.add_example({"v": None})
        w.add_example({"v": np.arange(MAX_VALUE, dtype=np.uint8)})
        w.add_batch({"v": np.ones((2, MAX_VALUE), np.uint8)})
    dataset = AtlasDataset(tmp_path / "d")
    assert dataset[0]["v"] is None and dataset[1]["v"][-1] == 255 and dataset[3]["v"].all()


@pytest.mark.campaign
def test_an_example_larger_than_a_block_can_be(tmp_path, monkeypatch):
    """More columns than groups, each of 20 MiB: what lies together is more than 1 GiB."""
    count = 63 + 52
    with AtlasDatasetWriter(tmp_path / "d", schema={f"c{k}": "bytes" for k in range(count)}, workers=0) as w:
        w.add_example({f"c{k}": b"x" for k in range(count)})
        large = bytes(20 * MIB)
        with pytest.raises(errors.LimitError, match=r"example 1: an example of .* store it as several examples"):
            w.add_example({f"c{k}": large for k in range(count)})
        w.add_example({f"c{k}": b"y" for k in range(count)})
    intact(tmp_path / "d", 2)


@pytest.mark.parametrize("depth", [63, 64])
def test_structs_as_deep_as_readers_go(tmp_path, depth):
    spec, value = "int64", 7
    for _ in range(depth):
        spec, value = types.struct({"a": spec}), {"a": value}
    with AtlasDatasetWriter(tmp_path / "d", schema={"v": spec}, workers=0) as w:
        w.add_example({"v": value})
    assert intact(tmp_path / "d", 1)[0] == {"v": value}


def test_objects_as_deep_as_readers_go():
    """The writer's own limit, and Python's, lie below the reader's."""
    value = None
    for _ in range(900):
        value = [value]
    assert objects.unpack(objects.pack(value, "v")) == value and objects.MAX_NESTING < 1023
    objects.unpack(b"\x91" * objects.MAX_NESTING + b"\xc0")
    for _ in range(200):
        value = [value]
    with pytest.raises(errors.SchemaError, match=r"column 'v': .*nested too deeply"):
        objects.pack(value, "v")
