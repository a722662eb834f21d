"""bench: answers to every question, peers that are missing, and the arithmetic of measuring."""

import json
import sys
import time

import pytest

from atlas_ds import AtlasDatasetWriter
from atlas_ds.cli.measure import QUESTIONS, Contender, Reader, measure
from atlas_ds.cli.peers import PEERS, Peer, installed

QUICK = ("--seconds", "0.02", "--rounds", "2")


def fake(name, seconds):
    def work(*_):
        time.sleep(seconds)

    return Contender(name, lambda: Reader(work, work, lambda: iter([0] * 300)))


def test_measure():
    ticks = []
    answers = measure([fake("a", 0.001), fake("b", 0.004)], 100, 0.05, 3, lambda: ticks.append(1))
    assert len(ticks) == 3 * len(QUESTIONS) * 2
    assert [(a.question, a.contender) for a in answers] == [(q[0], who) for q in QUESTIONS for who in "ab"]
    get = {a.contender: a for a in answers if a.question.startswith("ds[i]")}
    assert get["a"].ratio == 1 and 2 < get["b"].ratio < 6
    assert 0.0009 < get["a"].p50 <= get["a"].p99 and get["a"].rows_per_second < 1001


def test_table(cli, cars):
    code, out, err = cli("bench", cars, *QUICK)
    assert code == 0 and err == "" and "600 rows" in out
    assert all(name in out for name, _, _ in QUESTIONS) and "p99" in out and "time / atlas" not in out


def test_few_rows(cli, cars):
    code, out, _ = cli("bench", cars, *QUICK, "--rows", "7", "--json")
    told = json.loads(out)
    assert code == 0 and told["rows"] == 7 and all(answer["operations"] >= 3 for answer in told["answers"])


def test_loader(cli, cars):
    """Beside a bare loop; where tensors are not to be had, with arrays, and it is said."""
    code, out, err = cli("bench", cars, *QUICK, "--loader")
    assert code == 0 and not [line for line in err.splitlines() if not line.startswith("measuring  ")]  # which it shows where that takes long
    assert "Loader's epoch, by 256" in out and "plain ds.batch" in out and "time / atlas" in out
    assert "x as fast as a plain loop" in out and "bottleneck: " in out
    told = json.loads(cli("bench", cars, *QUICK, "--loader", "--json")[1])
    mine, bare = told["answers"][-2:]
    assert (mine["contender"], mine["ratio"], bare["contender"]) == ("atlas", 1, "plain ds.batch")
    assert told["loader"]["of_bare"] == bare["ratio"] and told["loader"]["stats"]["batches"] > 0
    assert "loader" not in json.loads(cli("bench", cars, *QUICK, "--json")[1])


def test_loader_without_torch(cli, cars, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    told = json.loads(cli("bench", cars, *QUICK, "--loader", "--json", "--rows", "7")[1])
    assert told["loader"]["format"] == "numpy" and any("torch" in note for note in told["notes"])
    assert told["answers"][-1]["rows"] == 7 and told["loader"]["stats"]["rows"] >= 7


def test_loader_of_nulls(cli, tmp_path):
    """A column that has no tensor form is noted; so is, on the way, a window order that may mix badly."""
    with AtlasDatasetWriter(tmp_path / "d", access="scan") as writer:
        for i in range(3000):
            writer.add_example({"x": i if i % 3 else None, "text": f"{i} " * 50})
    code, out, err = cli("bench", tmp_path / "d", *QUICK, "--loader")
    assert code == 0 and err == "" and "format='numpy'" in out and "nulls" in out


def test_loader_beside_a_peer(cli, cars):
    if not installed(PEERS["parquet"]):
        pytest.skip("pip install pyarrow")
    code, out, _ = cli("bench", cars, *QUICK, "--compare", "parquet", "--loader", "--rows", "300")
    assert code == 0 and "plain ds.batch" in out and "parquet" in out


@pytest.mark.parametrize("name", sorted(PEERS))
def test_peer(cli, tmp_path, name):
    """Each peer that is installed here gives back what was written, and takes part."""
    if not installed(PEERS[name]):
        pytest.skip(f"pip install {PEERS[name].pip}")
    rows = [{"i": i, "t": f"text {i}", "b": bytes([i])} for i in range(20)]
    PEERS[name].write(tmp_path / name, rows)
    reader = PEERS[name].open(tmp_path / name, 20)
    assert int(reader.get(7)["i"]) == 7
    assert sum(1 for _ in reader.scan()) == 20
    assert reader.batch([3, 1, 3]) is not None
    reader.close()


def test_peer_against_atlas(cli, cars):
    if not installed(PEERS["parquet"]):
        pytest.skip("pip install pyarrow")
    code, out, _ = cli("bench", cars, *QUICK, "--compare", "parquet", "--rows", "100")
    assert code == 0 and "time / atlas" in out and out.count("parquet") >= len(QUESTIONS)


def test_missing_peer_is_named(cli, cars, monkeypatch):
    strange = Peer("no_such_module_anywhere", "no-such-package", lambda *_: None, lambda *_: None)
    monkeypatch.setattr("atlas_ds.cli.bench.PEERS", {"lmdb": strange})
    code, out, _ = cli("bench", cars, *QUICK, "--compare", "lmdb")
    assert code == 0 and "pip install no-such-package" in out


def test_peer_that_fails_is_named(cli, cars, monkeypatch):
    def fail(*_):
        raise RuntimeError("cannot hold this")

    monkeypatch.setattr("atlas_ds.cli.bench.PEERS", {"lmdb": Peer("json", "x", fail, fail)})
    code, out, _ = cli("bench", cars, *QUICK, "--compare", "lmdb")
    assert code == 0 and "RuntimeError: cannot hold this" in out


def test_plot_without_matplotlib(cli, cars, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = cli("bench", cars, *QUICK, "--plot", tmp_path / "b.png")
    assert code == 1 and "pip install" in err and "matplotlib" in err


def test_plot(cli, cars, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli("bench", cars, *QUICK, "--plot", tmp_path / "b.png")[0] == 0
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
