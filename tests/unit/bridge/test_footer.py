"""Counts of nulls from a Parquet footer: the same as pyarrow's, and damage of the footer is an error, never the end of the process."""

import random

import pytest

from atlas_ds.bridge.arrow.footer import null_counts
from atlas_ds.errors import AtlasError, CorruptError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def by_pyarrow(path):
    metadata = pq.ParquetFile(path).metadata
    groups = range(metadata.num_row_groups)
    found = [[metadata.row_group(group).column(leaf).statistics for leaf in range(metadata.num_columns)] for group in groups]
    return [[None if one is None or not one.has_null_count else one.null_count for one in leaves] for leaves in found]


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}, {"write_statistics": ["a"]}, {"write_page_index": True}, {"version": "1.0"}], ids=str)
def test_as_pyarrow_has_them(tmp_path, options):
    table = pa.table({"a": [1, None, 3] * 50, "b": [[1], None, []] * 50, "c": [{"x": None, "y": "z"}, None, {"x": 2.5, "y": None}] * 50, "ü" * 300: [True] * 150})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=40, **options)
    assert null_counts(tmp_path / "t.parquet") == by_pyarrow(tmp_path / "t.parquet")


def test_many_columns(tmp_path):
    pq.write_table(pa.table({f"c{k}": [k, None] for k in range(500)}), tmp_path / "t.parquet")
    assert null_counts(tmp_path / "t.parquet") == [[1] * 500]


def test_damage(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1, None], "b": ["x", "y"]}), path)
    good = path.read_bytes()
    rng = random.Random(5)
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(rng.choice((1, 2, 5))):
            data[rng.randrange(len(data))] = rng.choice((0, 255, 0x7F, rng.randrange(256)))
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)
        try:
            null_counts(path)
        except AtlasError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    "footer", [b"", b"\x1c" * 5000, b"\x19\xfc" + b"\xff" * 9, b"\x49\xfc\xff\xff\xff\xff\x0f", b"\x1b" + b"\xff" * 9 + b"\x01", b"\x18\xff\xff\xff\xff\x0f", b"\x1f"]
)
def test_hostile_footers(tmp_path, footer):
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(CorruptError, match=r"t\.parquet: byte 4: .*footer is damaged"):
        null_counts(tmp_path / "t.parquet")
