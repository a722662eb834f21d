"""Folders of images with a metadata table: their columns are found however the table is written."""

import json

import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert

GIF = b"GIF89a" + bytes(30)
LONG = "a\u2028b" + "x" * 70_000  # longer than the 64 KiB that a text file is read in; U+2028 ends a line for str.splitlines
PLAIN = "file_name,text\na.gif,one\nb.gif,two\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.gif", "b.gif"):
        (tmp_path / "in" / name).write_bytes(GIF)
    return tmp_path / "in"


def json_lines(*texts):
    rows = [{"text": text, "file_name": name} for text, name in zip(texts, ("a.gif", "b.gif"), strict=True)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("metadata.csv", PLAIN, ["one", "two"]),
        ("metadata.csv", "sep=;\n" + PLAIN.replace(",", ";"), ["one", "two"]),
        ("metadata.jsonl", json_lines("one", "two"), ["one", "two"]),
        ("metadata.jsonl", json_lines("a\u2028b", "c\u2029d"), ["a\u2028b", "c\u2029d"]),
        ("metadata.jsonl", json_lines(LONG, LONG), [LONG, LONG]),
    ],
    ids=["csv", "csv with sep=", "jsonl", "jsonl with U+2028", "long jsonl"],
)
def test_the_columns_of_the_table_are_found(folder, tmp_path, name, content, texts):
    (folder / name).write_text(content, encoding="utf-8")
    done = convert(folder, tmp_path / "out", progress=False)
    ds = AtlasDataset(tmp_path / "out")
    assert done.format == "imagefolder" and sorted(ds.schema.names) == ["file_name", "image", "text"]
    assert ds.column("text") == texts and ds.column("file_name") == ["a.gif", "b.gif"]
    assert [bytes(row["image"].data) for row in ds] == [GIF, GIF]


def test_a_table_in_each_class_folder(tmp_path):
    for name in ("dog", "cat"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.gif").write_bytes(GIF)
        (tmp_path / "in" / name / "metadata.csv").write_text(f"file_name,text\na.gif,a {name}\n")
    done = convert(tmp_path / "in", tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert [ds.schema["label"].type.names[row["label"]] for row in ds] == [row["text"][2:] for row in ds] == ["cat", "dog"]
    assert "a table per class folder: 2 classes, whose names the schema holds" in done.notes and ds.metadata == {}
