"""convert with tars: many at once, their options, the report, and back to tars."""

import json
import tarfile

import pytest

from atlas_ds import AtlasDataset, open_tar
from unit.bridge.tars import tar_bytes, write_tar


@pytest.fixture
def tars(tmp_path):
    folder = tmp_path / "tars"
    folder.mkdir()
    for shard in range(3):
        members = [(f"{shard}-{i:02d}.{name}", data) for i in range(10) for name, data in (("TXT", b"t%d" % i), ("cls", b"%d" % i))]
        write_tar(folder / f"t-{shard}.tar", [("README", b"hi"), *members])
    return folder


def test_one_many_a_pattern_or_a_folder(cli, tars, tmp_path):
    whole = [tars / f"t-{k}.tar" for k in range(3)]
    for sources in ([tars], whole, [f"{tars}/t-{{0..2}}.tar"], ["::".join(map(str, whole))]):
        code, out, err = cli("convert", *sources, tmp_path / "out", "--overwrite", "--quiet")
        assert code == 0 and "30 rows from webdataset" in out, err
        assert "30 files .TXT became .txt" in out and "left out: 3 (no extension), the first is" in out
        assert [row["cls"] for row in AtlasDataset(tmp_path / "out")] == [b"%d" % i for i in range(10)] * 3


def test_options(cli, tars, tmp_path):
    code, _, err = cli("convert", tars / "t-0.tar", tmp_path / "a", "--fields", "cls", "--decode", "--split", "train")
    assert code == 0 and AtlasDataset(tmp_path / "a", split="train")[3] == {"__key__": "0-03", "cls": 3}, err
    code, _, err = cli("convert", tars / "t-1.tar", tmp_path / "a", "--fields", "cls", "--decode", "--split", "val", "--append")
    assert code == 0 and AtlasDataset(tmp_path / "a").splits == {"train": 10, "val": 10}, err
    code, _, err = cli("convert", tars / "t-0.tar", tmp_path / "b", "--strict")
    assert code == 1 and "README" in err and not (tmp_path / "b").exists()
    code, out, _ = cli("convert", tars / "t-0.tar", tmp_path / "b", "--decode", "txt,cls", "--json")
    assert code == 0 and json.loads(out)["rows"] == 10 and AtlasDataset(tmp_path / "b")[1] == {"__key__": "0-01", "txt": "t1", "cls": 1}


def test_policies(cli, tmp_path):
    path = write_tar(tmp_path / "t.tar", [("1.cls", b"1"), ("2.cls", b"x"), ("1.txt", b"y"), ("1.TXT", b"z")])
    out = tmp_path / "out"
    for options, code in (([], 1), (["--interleaved", "merge"], 1), (["--interleaved", "merge", "--duplicates", "last"], 0)):
        assert cli("convert", path, out, *options)[0] == code
    assert AtlasDataset(out)[0] == {"__key__": "1", "cls": b"1", "txt": b"z"}
    options = ["--interleaved", "separate", "--duplicates", "first", "--decode", "cls", "--overwrite"]
    code, _, err = cli("convert", path, out, *options)
    assert code == 1 and "t.tar: 2.cls" in err
    code, said, _ = cli("convert", path, out, *options, "--skip-errors")
    assert code == 0 and "values that cannot be stored" in said and len(AtlasDataset(out)) == 2


def test_dry_run_and_resume(cli, tars, tmp_path):
    code, out, _ = cli("convert", tars, tmp_path / "out", "--dry-run")
    assert code == 0 and "30 rows from webdataset would be written" in out and not (tmp_path / "out").exists()
    code, out, _ = cli("convert", tars, tmp_path / "out", "--dry-run", "--json")
    assert json.loads(out)["rows"] == 30
    (tars / "t-2.tar").write_bytes(tar_bytes([("1.cls", b"x")]))
    assert cli("convert", tars, tmp_path / "out", "--decode", "--resume", "--shard-size", "1KB")[0] == 1
    (tars / "t-2.tar").write_bytes(tar_bytes([("1.cls", b"7"), ("1.txt", b"")]))
    assert cli("convert", tars, tmp_path / "out", "--decode", "--resume", "--shard-size", "1KB")[0] == 0
    assert len(AtlasDataset(tmp_path / "out")) == 21
    code, out, _ = cli("convert", tmp_path / "out", tmp_path / "again", "--dry-run")
    assert code == 0 and "21 rows from atlas would be written" in out and not (tmp_path / "again").exists()


def test_neighbours_of_tars(cli, tars, tmp_path):
    """Indexes that open_tar leaves, checksums, notes: a folder with tars is a folder of tars."""
    open_tar(tars, progress=False)
    for name in ("README.md", "t-0.tar.md5", "_SUCCESS"):
        (tars / name).write_text("x")
    code, out, err = cli("convert", tars, tmp_path / "out", "--fields", "cls")
    assert code == 0 and "30 rows from webdataset" in out, err
    for option in (["--fields", "cls"], ["--decode"], ["--strict"], ["--resume"]):
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        code, _, err = cli("convert", tmp_path / "a.csv", tmp_path / "other", *option)
        assert code == 1 and f"{option[0]} is for tars" in err and not (tmp_path / "other").exists()


def test_several_sources_are_tars(cli, tars, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    code, _, err = cli("convert", tmp_path / "a.csv", tmp_path / "a.csv", tmp_path / "out")
    assert code == 1 and "only if they are tars" in err
    code, _, err = cli("convert", tars / "nix.tar", tmp_path / "out")
    assert code == 1 and "nix.tar" in err


def names(path):
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_back_to_tars(cli, tars, tmp_path):
    cli("convert", tars, tmp_path / "ds", "--decode")
    code, out, err = cli("convert", tmp_path / "ds", tmp_path / "back" / "b-%03d.tar", "--max-count", "12")
    assert code == 0 and "b-000.tar to b-002.tar: 30 samples" in out and "txt -> txt" in out, err
    assert len(names(tmp_path / "back" / "b-002.tar")) == 12 and names(tmp_path / "back" / "b-000.tar")[:2] == ["0-00.txt", "0-00.cls"]
    code, _, err = cli("convert", tmp_path / "ds", tmp_path / "back" / "b-%03d.tar")
    assert code == 1 and "already exists" in err
    code, out, _ = cli("convert", tmp_path / "ds", tmp_path / "back" / "b-%03d.tar", "--overwrite", "--fields", "cls", "--json")
    told = json.loads(out)
    assert told["samples"] == 30 and told["fields"] == {"cls": "cls"} and len(told["paths"]) == 1 and len(names(told["paths"][0])) == 30
    code, _, err = cli("convert", tars, tmp_path / "x.tar")
    assert code == 1 and "one Atlas dataset" in err
    code, _, err = cli("convert", tmp_path / "ds", tmp_path / "x.tar", "--append")
    assert code == 1 and "not added to" in err
