"""Listing a folder: what is a file, what is never opened, where links may lead."""

import os
import socket
from pathlib import PurePosixPath

import pytest

from atlas_ds.bridge.files.listing import MAX_VISITS, list_folder
from atlas_ds.bridge.files.roles import is_documentation, is_litter, table_format
from atlas_ds.errors import AtlasError, LimitError, SchemaError, UnsupportedError


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def listed(root, **options):
    return [str(file) for file in list_folder(root, **options).files]


def test_sorted_by_parts_and_litter_counted(tmp_path):
    make(tmp_path, "b/2", "b/1", "a.b/1", "a/1", ".git/HEAD", "a/._1", "a/.DS_Store", "__MACOSX/a/1", "thumbs.DB")
    folder = list_folder(tmp_path)
    assert list(map(str, folder.files)) == ["a/1", "a.b/1", "b/1", "b/2"]
    assert folder.notes == ("5 hidden or system files ignored (.*, __MACOSX, Thumbs.db, ...)",) and folder.left_out == ()


def test_links_inside_are_read_under_their_own_names(tmp_path):
    make(tmp_path, ".store/1.jpg", "a/1.txt")
    (tmp_path / "b").symlink_to(".store")
    (tmp_path / "a" / "2.txt").symlink_to("1.txt")
    folder = list_folder(tmp_path)
    assert list(map(str, folder.files)) == ["a/1.txt", "a/2.txt", "b/1.jpg"]
    assert [list(map(str, names)) for names in folder.same] == [["a/1.txt", "a/2.txt"]]


def test_links_out(tmp_path):
    make(tmp_path, "away/1.jpg", "away/deep/2.jpg", "src/a.jpg", "src-too/3.jpg")
    for i in range(12):
        (tmp_path / "src" / f"l{i:02}").symlink_to("../away")
    (tmp_path / "src" / "m").symlink_to(tmp_path / "src-too")  # a neighbour whose name begins alike
    with pytest.raises(AtlasError, match=r"13 links lead out of the folder: l00 -> ../away, .*l09 -> ../away, and 3 more; .*--follow-links"):
        list_folder(tmp_path / "src")
    found = listed(tmp_path / "src", follow_links=True)
    assert len(found) == 1 + 12 * 2 + 1 and "l11/deep/2.jpg" in found and "m/3.jpg" in found


def test_loops_end(tmp_path):
    make(tmp_path, "a/1", "b/2")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "b").symlink_to("../b")
    (tmp_path / "b" / "a").symlink_to("../a")
    (tmp_path / "self").symlink_to("self")
    folder = list_folder(tmp_path)
    assert list(map(str, folder.files)) == ["a/1", "a/b/2", "b/2", "b/a/1"]
    assert [line.partition(":")[0] for line in folder.left_out] == ["a/b/a", "a/up", "b/a/b", "b/a/up", "self"]


def test_folders_full_of_links_meet_a_limit(tmp_path):
    for i in range(9):
        make(tmp_path, f"{i}/f")
        for other in range(9):
            if other != i:
                (tmp_path / str(i) / f"l{other}").symlink_to(f"../{other}")
    with pytest.raises(LimitError, match=f"more than {MAX_VISITS} times"):
        list_folder(tmp_path)


def test_what_is_no_file(tmp_path):
    make(tmp_path, "a/1.jpg")
    os.mkfifo(tmp_path / "a" / "2.jpg")
    os.mkfifo(tmp_path / "a" / "control")
    (tmp_path / "a" / "3.csv").symlink_to("/dev/zero")
    (tmp_path / "a" / "4.json").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path is short
        server.bind("s.txt")
        os.chdir(here)
    folder = list_folder(tmp_path)
    told = {str(file): str(error) for file, error in folder.trouble.items()}
    assert {name: text.partition(": ")[2].partition(";")[0].partition(",")[0] for name, text in told.items()} == {
        "a/2.jpg": "not a file but a pipe", "a/3.csv": "not a file but a device", "a/4.json": "a link to nowhere", "s.txt": "not a file but a socket",
    }  # fmt: skip
    assert folder.left_out == ("a/control: not a file but a pipe",) and all(str(tmp_path) in text for text in told.values())
    assert isinstance(folder.trouble[PurePosixPath("a/2.jpg")], UnsupportedError)


def test_empty_media_and_empty_folders(tmp_path):
    make(tmp_path, "a/1.jpg", "b/.hidden")
    (tmp_path / "a" / "2.png").touch()
    (tmp_path / "a" / "3.txt").touch()
    (tmp_path / "c" / "d").mkdir(parents=True)
    folder = list_folder(tmp_path)
    assert list(map(str, folder.trouble)) == ["a/2.png"] and "a/2.png: byte 0: the file is empty" in str(folder.trouble[PurePosixPath("a/2.png")])
    assert list(map(str, folder.empty)) == ["b", "c/d"]


def test_names_that_are_not_utf8(tmp_path):
    for i in range(12):
        (tmp_path / os.fsdecode(b"gr\xfcn%02d" % i)).mkdir()
    (tmp_path / os.fsdecode(b".h\xfc")).touch()
    with pytest.raises(SchemaError, match=r"12 names are not UTF-8: gr\\xfcn00, .*gr\\xfcn09, and 2 more; rename, e.g. with convmv"):
        list_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission(tmp_path):
    make(tmp_path, "a/1")
    (tmp_path / "a").chmod(0)
    with pytest.raises(AtlasError, match="a: cannot be read"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("README", True), ("readme.md", True), ("README.jpg", False), ("LICENSE-MIT", True), ("Licence.txt", True), ("_SUCCESS", True), ("x.sha256", True),
        ("MD5SUMS", True), ("labels.txt", True), ("sub/labels.txt", False), ("sub/README.txt", True), ("classes.json", True), ("licensed.txt", False),
        ("readme.csv", False), ("loader.py", True), ("a.txt", False), ("about.jpg", False), ("dataset_infos.json", True),
    ],
)  # fmt: skip
def test_papers(name, paper):
    assert is_documentation(PurePosixPath(name)) is paper


def test_names_of_tables_and_litter():
    found = {name: table_format(PurePosixPath(name)) for name in ("a.csv", "a.TSV.gz", "a.jsonl.zst", "a.parquet", "a.parquet.gz", "a.arrow", "a.gz", "csv")}
    assert list(found.values()) == ["csv", "csv", "jsonl", "parquet", None, "arrow", None, None]
    assert [is_litter(name) for name in (".a", "Thumbs.db", "ehthumbs.db", "a.db", "__MACOSX", "Icon\r", "Icon")] == [True, True, True, False, True, True, False]
