"""convert, info, head, verify, repair: what they print and with which code they end."""

import json
import subprocess
import sys

import pytest

import atlas_ds
from atlas_ds import AtlasDataset, AtlasDatasetWriter, types
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError

COMMANDS = ("convert", "download", "shuffle", "info", "head", "verify", "repair", "bench")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("n,word\n" + "".join(f"{i},w{i}\n" for i in range(100)))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0 and "examples:" in out and f"atlas-ds {command} " in out and "--json" in out


def test_help_names_all_commands(cli):
    code, out, _ = cli("--help")
    assert code == 0 and all(command in out for command in COMMANDS) and "--version" in out


def test_version(cli):
    assert cli("--version") == (0, f"atlas-ds {atlas_ds.__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "atlas_ds", "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"atlas-ds {atlas_ds.__version__}\n", "")


@pytest.mark.parametrize(
    "argv",
    [
        [], ["nonsense"], ["info"], ["head", "x", "-n", "0"], ["convert", "a"], ["convert", "a", "b", "--from", "xml"],
        ["convert", "a", "b", "--append", "--overwrite"], ["convert", "a", "b", "--compression", "gzip"],
        ["bench", "x", "--compare", "sqlite"], ["bench", "x", "--seconds", "-1"],
    ],
)  # fmt: skip
def test_wrong_usage(cli, argv):
    code, out, err = cli(*argv)
    assert code == 2 and out == "" and err.startswith("atlas-ds: error: ") and err.count("\n") == 1 and "--help" in err


@pytest.mark.parametrize("command", ["info", "head", "verify", "repair", "bench"])
def test_no_dataset_there(cli, tmp_path, command):
    code, _, err = cli(command, tmp_path / "none")
    assert code == 1 and err.startswith("atlas-ds: error: ") and err.count("\n") == 1 and "none" in err and "Traceback" not in err


def test_convert(cli, cli_json, table, tmp_path):
    code, out, err = cli("convert", table, tmp_path / "one")
    assert (code, err) == (0, "") and "100 rows from csv" in out and "ratio" in out and "n int, word str" in out
    told = cli_json("convert", table, tmp_path / "two", "--split", "train", "--compression", "word=zstd", "--shard-size", "30")
    assert (told["rows"], told["format"], told["total_rows"]) == (100, "csv", 100) and told["bytes"] > 0
    ds = AtlasDataset(tmp_path / "two")
    assert ds.splits == {"train": 100} and len(ds.shards) == 4 and ds[7] == {"n": 7, "word": "w7"}
    code, out, _ = cli("convert", table, tmp_path / "two", "--split", "train", "--append", "--quiet")
    assert code == 0 and "200 rows in all" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--compression", "zstd", "--compression", "n=none"], "one codec for all"),
        (["--compression", "colour=zstd"], "colour"),
        (["--shard-size", "lots"], "shard"),
        (["--from", "parquet"], "Parquet"),
    ],
)
def test_convert_errors(cli, table, tmp_path, options, words):
    code, out, err = cli("convert", table, tmp_path / "out", *options)
    assert code == 1 and out == "" and err.startswith("atlas-ds: error: ") and words in err and err.count("\n") == 1
    assert not (tmp_path / "out" / "atlas.json").exists()


def test_convert_refuses_a_standing_dataset(cli, table, cars):
    code, _, err = cli("convert", table, cars)
    assert code == 1 and "cars" in err and err.count("\n") == 1
    assert len(AtlasDataset(cars)) == 600
    assert cli("convert", table, cars, "--overwrite")[0] == 0


def test_ctrl_c(cli, table, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("atlas_ds.AtlasDatasetWriter.add_example", stop)
    code, _, err = cli("convert", table, tmp_path / "out")
    assert code == 130 and "nothing was published" in err
    assert not (tmp_path / "out" / "atlas.json").exists()


def test_what_nobody_expected_is_one_line_too(cli, table, tmp_path, monkeypatch):
    """A fault of the code is told, with its type and the way to its traceback."""

    def fail(*_, **__):
        raise RuntimeError("a rule\nthat nobody wrote down")

    monkeypatch.setattr("atlas_ds.AtlasDatasetWriter.add_example", fail)
    monkeypatch.delenv("ATLAS_DEBUG", raising=False)
    code, _, err = cli("convert", table, tmp_path / "out")
    assert code == 1 and err.count("\n") == 1 and "unexpected RuntimeError: a rule that nobody wrote down" in err and "ATLAS_DEBUG=1" in err
    monkeypatch.setenv("ATLAS_DEBUG", "1")
    with pytest.raises(RuntimeError, match="a rule"):
        cli("convert", table, tmp_path / "out")
    with pytest.raises(AtlasError):
        cli("convert", tmp_path / "nothing", tmp_path / "out")


def test_info(cli, cli_json, cars):
    code, out, _ = cli("info", cars, "--shards")
    assert code == 0
    for words in ("600 rows", "train 500", "test 100", "caption", "uint8", "ratio", "why", ".atlas"):
        assert words in out
    told = cli_json("info", cars)
    assert told["rows"] == 600 and told["splits"] == {"train": 500, "test": 100} and told["metadata"] == {"classes": ["van", "bus"]}
    assert [c["name"] for c in told["columns"]] == ["label", "score", "image", "photo", "raw", "caption", "note", "boxes"]
    assert all(c["raw_bytes"] >= 0 and c["codec"] and c["why"] for c in told["columns"])
    assert sum(s["rows"] for s in told["shards"]) == 600


def test_icc(cli, cli_json, table, tmp_path):
    assert cli("convert", table, tmp_path / "d", "--icc", "n", "--icc", "word")[0] == 0
    code, out, _ = cli("info", tmp_path / "d")
    assert code == 0 and "(icc, 0 to 1): n 0.00, word 0.00" in out
    assert cli_json("info", tmp_path / "d")["icc"] == {"n": 0.0, "word": 0.0}
    code, out, err = cli("convert", table, tmp_path / "e", "--icc", "colour")
    assert code == 1 and "colour" in err and err.count("\n") == 1 and not (tmp_path / "e").exists()


def test_head(cli, cars):
    code, out, _ = cli("head", cars, "-n", "2")
    assert code == 0 and out.count("row ") == 2
    assert "uint8 4x5x3 [0 0 0 0 0 0 ...]" in out
    assert "284 B of image/jpeg" in out
    assert "characters)" in out and len(max(out.splitlines(), key=len)) < 200
    assert '{"x": 0, "y": 0}' in out
    code, out, _ = cli("head", cars, "--start", "-1", "--columns", "label,note", "--split", "test")
    assert code == 0 and out.split() == ["row", "99", "label", "1", "note", "null"]


def test_head_names_the_labels_in_a_struct(cli, tmp_path):
    label = types.class_label(["cat", "dog"])
    with AtlasDatasetWriter(tmp_path / "d", schema={"s": {"c": label, "t": {"c": types.nullable(label)}}, "x": int}) as writer:
        writer.extend([{"s": {"c": 1, "t": {"c": 0}}, "x": 1}, {"s": {"c": 0, "t": {"c": None}}, "x": 1}])
    out = cli("head", tmp_path / "d")[1]
    assert '{"c": "1 (dog)", "t": {"c": "0 (cat)"}}' in out and '{"c": "0 (cat)", "t": {"c": null}}' in out and "x  1" in out
    assert json.loads(cli("head", tmp_path / "d", "--json")[1].splitlines()[0]) == {"s": {"c": 1, "t": {"c": 0}}, "x": 1}


def test_head_names_classes(cli, tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", schema={"label": types.nullable(types.class_label(["cat", "dog"]))}) as writer:
        writer.extend([{"label": 1}, {"label": None}])
    assert cli("head", tmp_path / "d")[1].split("\n")[1::2][:2] == ["  label  1 (dog)", "  label  null"]
    assert cli("head", tmp_path / "d", "--json")[1] == '{"label": 1}\n{"label": null}\n'


def test_head_json(cli, cars):
    code, out, _ = cli("head", cars, "-n", "3", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(lines) == 3
    assert lines[1]["image"] == {"dtype": "uint8", "shape": [4, 5, 3], "values": [1] * 6}
    assert lines[1]["photo"] == {"bytes": 284, "type": "image/jpeg"} and lines[1]["label"] == 1 and lines[1]["note"] is None


@pytest.mark.parametrize("options", [["--columns", "colour"], ["--split", "dev"]])
def test_head_errors(cli, cars, options):
    code, _, err = cli("head", cars, *options)
    assert code == 1 and err.count("\n") == 1 and options[1] in err


def test_verify(cli, cli_json, cars):
    code, out, _ = cli("verify", cars)
    assert code == 0 and "intact" in out and "600 rows" in out
    assert cli("verify", cars, "--fast")[0] == 0
    told = cli_json("verify", cars)
    assert told["intact"] and told["rows"] == 600 and told["damages"] == []
    shard = sorted(cars.glob("*.atlas"))[0]
    code, out, _ = cli("verify", shard)
    assert code == 0 and "1 shard" in out


def damage(cars):
    shard = sorted(cars.glob("*.atlas"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    return shard


def test_verify_finds_damage(cli, cars):
    shard = damage(cars)
    for target in (cars, shard):
        code, out, _ = cli("verify", target)
        assert code == 1 and "DAMAGED" in out and shard.name in out and "repair" in out
        code, out, _ = cli("verify", target, "--json")
        assert code == 1 and not json.loads(out)["intact"] and json.loads(out)["damages"][0]["message"]


def test_fast_verify_finds_a_cut(cli, cars):
    shard = sorted(cars.glob("*.atlas"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    code, out, _ = cli("verify", cars, "--fast")
    assert code == 1 and shard.name in out


def test_repair(cli, cars, tmp_path):
    shard = sorted(cars.glob("*.atlas"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    assert cli("verify", cars)[0] == 1
    code, out, _ = cli("repair", cars, "--output", tmp_path / "saved")
    assert "saved" in out and "was not changed" in out and code in (0, 1)
    assert cli("verify", tmp_path / "saved")[0] == 0
    code, out, _ = cli("repair", cars, "--json")
    told = json.loads(out)
    assert told["path"] == str(tmp_path / "cars-repaired")
    assert told["rows_kept"] + told["rows_lost"] == 600 and code == (1 if told["rows_lost"] else 0)
    assert cli("verify", told["path"])[0] == 0 and len(AtlasDataset(told["path"])) == told["rows_kept"]


def test_repair_tells_of_splits_and_the_manifest(cli, tmp_path):
    for split, rows in (("train", range(10)), ("test", range(5))):
        with AtlasDatasetWriter(tmp_path / "d", append=True, schema=int, workers=0) as writer:
            writer.extend(rows, split=split)
    (tmp_path / "d" / AtlasDataset(tmp_path / "d").shards[1].path).unlink()
    manifest = tmp_path / "d" / "atlas.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"metadata":{}', b'"metadata":{"a":1}'))
    _, out, _ = cli("repair", tmp_path / "d", "--output", tmp_path / "out")
    assert "split 'test' is dropped: 00001-" in out and "hash does not match" in out and AtlasDataset(tmp_path / "out").splits == {"train": 10}
    told = json.loads(cli("repair", tmp_path / "d", "--json")[1])
    assert told["splits_dropped"][0]["name"] == "test" and "kept unchecked" in told["manifest"]


def test_repair_of_a_file_without_a_manifest(cli, cars, tmp_path):
    shard = sorted(cars.glob("*.atlas"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    code, out, _ = cli("repair", shard, "--output", tmp_path / "saved")
    assert code == 1 and "at least 0 rows lost" in out


def test_as_a_process(table, tmp_path):
    """The real thing: another interpreter, real exit codes, a closed pipe."""
    run = [sys.executable, "-m", "atlas_ds"]
    done = subprocess.run([*run, "convert", table, tmp_path / "out"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "100 rows" in done.stdout
    done = subprocess.run([*run, "info", tmp_path / "none"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("atlas-ds: error: ") and "Traceback" not in done.stderr
    piped = subprocess.run(
        f"'{sys.executable}' -m atlas_ds head -n 100 '{tmp_path}/out' | head -n 1", shell=True, capture_output=True, text=True
    )
    assert piped.stdout == "row 0\n" and piped.stderr == ""


def test_starts_without_optional_packages(cars, monkeypatch):
    for name in ("pyarrow", "PIL", "matplotlib", "lmdb", "datasets", "h5py", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["info", str(cars)]) == 0
