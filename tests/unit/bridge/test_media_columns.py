"""Media that a table names: read from beside the table, never from elsewhere, and each file that cannot be read refuses its row."""

import json

import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, open_source
from atlas_ds.bridge.source import ReadOptions, Refused
from atlas_ds.errors import SchemaError

GIF = b"GIF89a" + bytes(30)


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "set"
    (inside / "pics" / "deep").mkdir(parents=True)
    for name in ("pics/one.gif", "pics/deep/two.gif"):
        (inside / name).write_bytes(GIF + name.encode())
    (inside / "empty.gif").write_bytes(b"")
    (inside / "text.gif").write_bytes(b"not a picture at all")
    (tmp_path / "secret.gif").write_bytes(GIF)
    (inside / "out.gif").symlink_to("../secret.gif")
    (inside / "in.gif").symlink_to("pics/one.gif")
    return inside


def read(folder, names, format="csv", **options):
    if format == "csv":
        path = folder / "list.csv"
        path.write_text("n,file\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    else:
        path = folder / "list.jsonl"
        path.write_text("".join(json.dumps({"n": i, "file": name or None}) + "\n" for i, name in enumerate(names)))
    return open_source(path, format, ReadOptions(media={"shot": "file"}, **options))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_files_become_media(folder, tmp_path, format):
    names = ["pics/one.gif", "", "pics/deep/two.gif", "in.gif"]
    read(folder, names, format)
    done = convert(folder / f"list.{format}", tmp_path / "out", source_format=format, media={"shot": "file"})
    rows = list(AtlasDataset(tmp_path / "out"))
    assert done.rows == 4 and [row["file"] for row in rows] == ["pics/one.gif", None, "pics/deep/two.gif", "in.gif"]
    assert [bytes(row["shot"].data) if row["shot"] else None for row in rows] == [
        GIF + b"pics/one.gif", None, GIF + b"pics/deep/two.gif", GIF + b"pics/one.gif"
    ]  # fmt: skip
    assert rows[0]["shot"].type == "image/gif" and AtlasDataset(tmp_path / "out").schema["shot"].nullable


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lost.gif", "lost.gif: no such file"),
        ("empty.gif", "empty.gif: byte 0: the file is empty"),
        ("text.gif", "text.gif: byte 0: begins with 6e 6f"),
        ("../secret.gif", "not inside the table's folder"),
        ("pics/../../secret.gif", "not inside the table's folder"),
        ("/etc/hostname", "not inside the table's folder"),
        ("https://host/a.gif", "a URL; fetch the files first"),
        ("out.gif", "a link out of .*--follow-links"),
        ("pics", "a folder"),
        ("   ", "not a file name"),
    ],
)
def test_files_that_are_not_read(folder, name, words):
    rows = [row for row, _ in read(folder, ["pics/one.gif", name, "in.gif"]).examples()]
    assert isinstance(rows[1], Refused) and not isinstance(rows[0], Refused) and not isinstance(rows[2], Refused)
    with pytest.raises(type(rows[1].error), match=rf"list\.csv: line 3: .*{words}"):
        raise rows[1].error


def test_links_out_are_followed_where_it_is_said(folder):
    rows = [row for row, _ in read(folder, ["out.gif"], follow_links=True).examples()]
    assert rows[0]["shot"] == folder / "out.gif"


@pytest.mark.parametrize(
    ("media", "words"),
    [({"shot": "path"}, "no column 'path' for --media shot=path; its columns are n, file"), ({"n": "file"}, "already has a column 'n'"), ({"s": "n"}, "has the type int64")],
)
def test_columns_that_are_not_there(folder, media, words):
    read(folder, ["in.gif"])
    with pytest.raises(SchemaError, match=words):
        open_source(folder / "list.csv", "csv", ReadOptions(media=media))


def test_parquet_and_several_columns(folder, tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": ["in.gif", None], "b": ["pics/one.gif", "lost.gif"]}), folder / "t.parquet")
    done = convert(folder / "t.parquet", tmp_path / "out", media={"x": "a", "y": "b"}, on_error="skip")
    assert done.rows == 1 and len(done.skipped) == 1 and "t.parquet: row 1: " in done.skipped[0] and "lost.gif" in done.skipped[0]


def test_what_is_wrong_with_a_name(folder):
    (folder / "lfs.gif").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    names = [f"{folder}/pics/one.gif", "/elsewhere/one.gif", "pics\\one.gif", "lfs.gif"]
    found = [str(row.error) for row, _ in read(folder, names).examples()]
    assert found[0].endswith("an absolute path; names are relative to the table's folder: pics/one.gif")
    assert "not inside the table's folder" in found[1]
    assert found[2].endswith("no such file; write the names with / between folders, not with \\")
    assert found[3].endswith("lfs.gif: a Git LFS pointer, not the file itself; fetch the file with: git lfs pull")
