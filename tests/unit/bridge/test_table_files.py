"""Many files as one table: splits and columns from names, columns by name, places."""

import json
from pathlib import Path, PurePosixPath

import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge.conversion import convert_source
from atlas_ds.bridge.files.csv_table import read_csv_table
from atlas_ds.bridge.files.listing import list_folder
from atlas_ds.bridge.files.path_columns import NULL
from atlas_ds.bridge.files.splits import split_of
from atlas_ds.bridge.files.tables import TableFile, read_table, read_tables, table_files
from atlas_ds.bridge.folders.table_folder import read_table_folder
from atlas_ds.bridge.source import ReadOptions, Refused
from atlas_ds.errors import SchemaError


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00003.parquet", "train"),
        ("train.parquet", "train"),
        ("train/0000.parquet", "train"),
        ("deep/Train/x/0000.parquet", "train"),
        ("validation.csv", "validation"),
        ("test_0.jsonl", "test"),
        ("reviews-test.csv.gz", "test"),
        ("reviews_dev_0003.csv", "dev"),
        ("train/test_0.csv", "train"),
        ("train_test.csv", None),
        ("trainer.csv", None),
        ("2020.csv", None),
        ("part-0.parquet", None),
        ("my_train_notes.csv", None),
        (".csv", None),
    ],
)
def test_split_of(name, split):
    assert split_of(PurePosixPath(name)) == split


def test_splits_only_where_all_say_one():
    names = [PurePosixPath(name) for name in ("train-0.csv", "other.csv")]
    assert [file.split for file in table_files(Path("r"), names)] == [None, None]
    assert [file.split for file in table_files(Path("r"), names[:1])] == ["train"]


def test_hive_values():
    files = table_files(Path("r"), [PurePosixPath("y=2020/city=S%C3%A3o%20Paulo/a%2Fb=c=d/x.csv")])
    assert files[0].values == {"y": "2020", "city": "São Paulo", "a/b": "c=d"}
    with pytest.raises(SchemaError, match="two of its folders"):
        table_files(Path("r"), [PurePosixPath("y=1/y=2/x.csv")])


def make(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read_folder(path, *, format):
    return read_table_folder(list_folder(path), format=format)


def rows(source):
    return [str(row.error) if isinstance(row, Refused) else row for row, _ in source.examples()]


def test_hive_columns(tmp_path):
    make(tmp_path, {"y=2020/m=01/a.csv": "v\n1\n", f"y=2021/m={NULL}/a.csv": "v\n2\n3\n", "y=-5/m=12/a.csv": "v\n4\n"})
    found = read_folder(tmp_path, format="csv")
    assert rows(found) == [
        {"v": 4, "y": -5, "m": "12"},
        {"v": 1, "y": 2020, "m": "01"},
        {"v": 2, "y": 2021, "m": None},
        {"v": 3, "y": 2021, "m": None},
    ]
    assert found.schema["y"] == "int64" and any("y=..." in note for note in found.notes)
    convert_source(found, tmp_path / "out")
    assert AtlasDataset(tmp_path / "out").schema["m"].nullable and AtlasDataset(tmp_path / "out")[1]["y"] == 2020


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"v=1/a.csv": "v\n1\n"}, "a column 'v', and is in a folder v="),
        ({"y=1/a.csv": "v\n1\n", "b.csv": "v\n1\n"}, r"b\.csv: is not in a folder y=.*y=1/a\.csv"),
        ({"a.csv": "v,w\n1,2\n", "b.csv": "v\n1\n"}, r"b\.csv: has no column 'w', but .*a\.csv has"),
        ({"a.csv": "v\n1\n", "b.csv": "v,w\n1,2\n"}, r"a\.csv: has no column 'w', but .*b\.csv has"),
        ({"a.csv": "v\n", "b.csv": "v\n"}, "no rows"),
        ({"a.txt": "v\n"}, "no csv file here or in a folder of it"),
    ],
)
def test_folders_that_are_refused(tmp_path, files, words):
    with pytest.raises(SchemaError, match=words):
        read_folder(make(tmp_path, files), format="csv")


def test_csv_files_of_one_table(tmp_path):
    make(tmp_path, {"a.csv": "v,w\n1,x\n2,\n", "b.tsv": "w\tv\ny\t0.5\n", "c.csv": "v,w\n", "d.csv": ""})
    found = read_folder(tmp_path, format="csv")
    assert rows(found) == [{"v": 1.0, "w": "x"}, {"v": 2.0, "w": None}, {"v": 0.5, "w": "y"}] and found.total == 3


def test_json_files_of_one_table(tmp_path):
    make(tmp_path, {"train.jsonl": '{"p": 1}\n{"p": 2}\n', "x/test.jsonl": '[{"p": 0.5, "q": "z"}]', "test/empty.jsonl": ""})
    found = read_folder(tmp_path, format="jsonl")
    convert_source(found, tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert ds.splits == {"test": 1, "train": 2} and list(AtlasDataset(tmp_path / "out", split="train")) == [{"p": 1.0, "q": None}, {"p": 2.0, "q": None}]
    assert any("q: no row of train.jsonl has it" in note for note in found.notes)


def test_places_and_refused_rows_of_many_files(tmp_path):
    make(tmp_path, {"a.csv": "v,w\n1,2\n3\n4,5\n", "b.csv": 'v,w\n"6\n7",8\n9\n', "c.csv": "v,w\n10,11\n"})
    found = read_folder(tmp_path, format="csv")
    got = rows(found)
    assert found.total == len(got) == 6
    assert "a.csv: line 3" in got[1] and "b.csv: line 4" in got[4] and got[5] == {"v": "10", "w": 11}
    assert [found.place(row).rpartition("/")[2] for row in (5, 3, 2, 0)] == ["c.csv: line 2", "b.csv: line 3", "a.csv: line 4", "a.csv: line 2"]
    assert rows(found) == got


def test_files_are_read_in_the_order_given(tmp_path):
    make(tmp_path, {"a.jsonl": json.dumps({"p": 1}), "b.jsonl": json.dumps({"p": 2})})
    files = [TableFile(tmp_path / "b.jsonl", "two"), TableFile(tmp_path / "a.jsonl", "one", {"k": "v"})]
    with pytest.raises(SchemaError, match="is not in a folder k="):
        read_tables(tmp_path, "jsonl", files)
    found = read_tables(tmp_path, "jsonl", [TableFile(file.path, file.split) for file in files])
    assert list(found.examples()) == [({"p": 2}, "two"), ({"p": 1}, "one")]


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet", "arrow"])
def test_no_files_are_an_error_that_names_the_folder(tmp_path, format):
    with pytest.raises(SchemaError, match=rf"logs: no {format} files; nothing to convert"):
        read_tables(tmp_path / "logs", format, [])
    (tmp_path / "logs").mkdir()
    with pytest.raises(SchemaError, match=rf"logs: no {format} files; nothing to convert"):
        read_table(tmp_path / "logs", format=format)


def test_no_paths_of_csv_files_are_an_error():
    with pytest.raises(SchemaError, match="no CSV files; nothing to convert"):
        read_csv_table([], ReadOptions())


def test_parquet_files_without_rows_have_no_say(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"other": pa.array([], pa.string())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"v": [1]}), tmp_path / "b.parquet")
    assert rows(read_folder(tmp_path, format="parquet")) == [{"v": 1}]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_damage_never_leaks(tmp_path, format):
    """Every byte of a small file, changed: the rows, or an error of Atlas that names the file."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    from atlas_ds.errors import AtlasError

    path = tmp_path / f"t.{format}"
    table = pa.table({"n": [1, 2, None], "s": ["a", "é", None], "l": [[1], [], None], "d": pa.array(["u", "v", "u"]).dictionary_encode()})
    if format == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    good = path.read_bytes()
    seen = set()
    for at in range(0, len(good), 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :])
        try:
            seen.add(len(rows(read_table(path, format=format))))
        except AtlasError as error:
            assert str(tmp_path) in str(error)
            seen.add("error")
    assert "error" in seen and 3 in seen


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_the_first_pass_shows_how_far_it_is(tmp_path, format, monkeypatch, capsys):
    from atlas_ds import progress

    monkeypatch.setattr(progress, "LOG", progress.LOG._replace(first=0.0, every=0.0))
    path = tmp_path / f"t.{format}"
    count = 3000
    if format == "parquet":
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.table({"n": list(range(count))}), path)
    else:
        line = "{}\n" if format == "csv" else '{{"n": {}}}\n'
        path.write_text(("n\n" if format == "csv" else "") + "".join(line.format(i) for i in range(count)))
    read_table(path, format=format)
    assert capsys.readouterr().err == ""
    read_table(path, ReadOptions(progress=True), format=format)
    assert "rows" in capsys.readouterr().err
