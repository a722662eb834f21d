"""convert of folders: what is printed of the rule, of what is left out, and of what SRC and DST have wrong."""

import json
from pathlib import Path

import pytest

from atlas_ds import AtlasDataset
from atlas_ds.cli import main

JPEG = b"\xff\xd8\xff\xe0 an image"


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Two classes, an empty image, a page that is no image, a README, a hidden file."""
    root = tmp_path / "birds"
    for name in ("owl/1.jpg", "owl/2.jpg", "wren/1.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG)
    (root / "wren" / "2.jpg").touch()
    (root / "wren" / "3.jpg").write_text("<html>")
    (root / "README.md").write_text("about birds")
    (root / ".DS_Store").write_text("x")
    return root


def test_dry_run_says_what_and_why(cli, cli_json, birds, tmp_path):
    code, out, _ = cli("convert", birds, tmp_path / "out", "--dry-run")
    assert code == 0 and not (tmp_path / "out").exists()
    for words in (
        "5 rows from classes would be written", "classes: every media file is in a class folder", "columns: image media(any), label class_label(owl, wren), file_name str",
        "1 hidden or system file ignored", "1 file left out:\n    README.md: about the data", "1 example that would be refused:", "wren/2.jpg: byte 0",
    ):  # fmt: skip
        assert words in out, out
    told = cli_json("convert", birds, tmp_path / "out", "--dry-run")
    assert told["left_out"] == ["README.md: about the data"] and told["why"].startswith("every media file") and len(told["skipped"]) == 1


def test_all_that_is_wrong_is_named(cli, birds, tmp_path):
    code, out, err = cli("convert", birds, tmp_path / "out", "--quiet")
    assert (code, out) == (1, "") and "2 of 5 examples" in err and "wren/2.jpg" in err and "wren/3.jpg" in err and "--skip-errors" in err
    code, out, err = cli("convert", birds, tmp_path / "out", "--quiet", "--skip-errors")
    assert code == 0 and "3 rows" in out and "2 of 5 examples left out:" in out and "files left out: " not in out, err
    assert [row["file_name"] for row in AtlasDataset(tmp_path / "out")] == ["owl/1.jpg", "owl/2.jpg", "wren/1.jpg"]


def test_options_of_reading(cli, birds, tmp_path):
    assert cli("convert", birds, tmp_path / "a", "--skip-errors", "--no-keep-names")[0] == 0
    assert AtlasDataset(tmp_path / "a").schema.names == ("image", "label")
    (birds / "away").symlink_to(tmp_path)
    code, _, err = cli("convert", birds, tmp_path / "b", "--skip-errors")
    assert code == 1 and "away -> " in err and "--follow-links" in err
    (tmp_path / "t.csv").write_text("id\n1\n2\n")
    code, _, err = cli("convert", tmp_path / "t.csv", tmp_path / "c", "--media", "image=birds/owl/{id}.jpg", "--quiet")
    assert code == 0 and bytes(AtlasDataset(tmp_path / "c")[1]["image"].data) == JPEG, err
    code, _, err = cli("convert", tmp_path / "t.csv", tmp_path / "d", "--media", "image=id", "--media", "image=id")
    assert code == 1 and "two columns of one name" in err


@pytest.mark.parametrize(
    ("src", "dst", "words"),
    [
        ("new", "birds", "the order is SRC, then DST: atlas-ds convert"),
        ("owls-atlas", "birds", "if you want to read {birds}"),
        ("birds", "file", "is a file; a dataset is a folder"),
        ("birds", "birds", "the same"),
        ("birds", "owls-atlas", "--append adds to it"),
        ("new", "new-atlas", "no such file or folder"),
    ],
)
def test_places(cli, birds, tmp_path, src, dst, words):
    (tmp_path / "file").write_text("x")
    (tmp_path / "t.csv").write_text("a\n1\n")
    assert cli("convert", tmp_path / "t.csv", tmp_path / "owls-atlas", "--quiet")[0] == 0
    before = sorted(tmp_path.rglob("*"))
    code, _, err = cli("convert", tmp_path / src, tmp_path / dst)
    assert code == 1 and words.format(birds=birds) in err and err.count("\n") == 1, err
    assert sorted(tmp_path.rglob("*")) == before


def test_dataset_again_tells_of_tars(cli, tmp_path):
    (tmp_path / "t.csv").write_text("a\n1\n")
    cli("convert", tmp_path / "t.csv", tmp_path / "one")
    code, out, _ = cli("convert", tmp_path / "one", tmp_path / "two")
    assert code == 0 and "NAME-%06d.tar" in out


def test_long_lists_are_cut(cli, birds, tmp_path):
    for i in range(30):
        (birds / "owl" / f"n{i:02}.jpg").write_bytes(JPEG)
        (birds / f"notes-{i:02}.rst").write_text("x")
    code, out, _ = cli("convert", birds, tmp_path / "out", "--dry-run")
    assert code == 0 and "31 files left out:" in out and "and 11 more; --json lists all" in out
    code, out, _ = cli("convert", birds, tmp_path / "out", "--dry-run", "--json")
    assert len(json.loads(out)["left_out"]) == 31


def test_splits_of_tars_in_one_call(cli, tmp_path):
    from unit.bridge.tars import write_tar

    for name, count in (("train/0.tar", 3), ("train/1.tar", 2), ("val/0.tar", 1)):
        (tmp_path / "tars" / name).parent.mkdir(parents=True, exist_ok=True)
        write_tar(tmp_path / "tars" / name, [(f"{name[:-4].replace('/', '-')}-{i}.txt", b"x") for i in range(count)])
    code, out, err = cli("convert", tmp_path / "tars", tmp_path / "out", "--decode", "txt", "--quiet")
    assert code == 0 and "splits by name: train (2 tars), val (1 tar)" in out, err
    assert AtlasDataset(tmp_path / "out").splits == {"train": 5, "val": 1}
    assert [row["__key__"] for row in AtlasDataset(tmp_path / "out", split="val")] == ["val-0-0"]
    code, _, err = cli("convert", tmp_path / "tars", tmp_path / "out", "--append", "--split", "more", "--decode", "txt", "--quiet")
    assert code == 0 and AtlasDataset(tmp_path / "out").splits == {"train": 5, "val": 1, "more": 6}, err
    code, _, err = cli("convert", tmp_path / "tars", tmp_path / "x", "--icc", "txt")
    assert code == 1 and "--icc" in err


STEER = "a\nb\x1b]0;x\x07\u202e"


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_file_names_do_not_steer_the_terminal(cli, birds, tmp_path, more):
    """Names in the lists of what is left out and skipped, in notes and in the destination's path."""
    (birds / f"{STEER}.rst").write_text("x")
    (birds / "owl" / f"{STEER}.jpg").touch()
    (birds / f"{STEER}.doc").symlink_to("gone")
    code, out, err = cli("convert", birds, tmp_path / STEER, "--skip-errors", *more)
    shown = "a\\u000ab\\u001b]0;x\\u0007\\u202e"
    assert code == 0 and f"    {shown}.rst: " in out and f"owl/{shown}.jpg: byte 0" in out and f"{shown}: " in out.splitlines()[0], out
    assert (out + err).replace("\n", "").isprintable() and "\nb" not in out + err


def test_file_names_in_errors_do_not_steer_the_terminal(cli, tmp_path):
    for name in (f"{STEER}.csv", f"{STEER}.tar", f"{STEER}.jpg"):
        (tmp_path / name).write_text("")
        code, out, err = cli("convert", tmp_path / name, tmp_path / "out", "--quiet")
        assert code == 1 and not out and err.count("\n") == 1 and "a b\\u001b]0;x\\u0007" in err and err.strip().isprintable(), err


def test_a_url_that_is_no_tar_says_what_copies_it(tmp_path, capsys):
    assert main(["convert", "s3://bucket/cars", str(tmp_path / "new")]) == 1
    told = capsys.readouterr().err
    assert "s3://bucket/cars: is a URL, and no tar by its name: atlas.download (atlas-ds download) copies an Atlas dataset" in told and told.count("\n") == 1
