"""A dataset's folder that a stranger made: what stands in the place of its files, what its files name, and the numbers in them."""

import json
import os
import shutil
import warnings
from collections import Counter
from unittest import mock

import numpy as np
import pytest
import rfc8785

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Loader, errors, merge_parts, repair, shuffle, verify
from atlas_ds.cli import main
from atlas_ds.dataset import manifest as manifests
from atlas_ds.dataset import rows as rows_room
from atlas_ds.shard import build
from atlas_ds.store import local
from support import child, write

PLAIN = {"schema": int, "shard_size": 10, "workers": 0}


@pytest.fixture
def safe(tmp_path):
    """A file and a folder of the user's, which no test may change."""
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "mine.txt").write_text("precious")
    (tmp_path / "safe" / "00000-0123456789abcdef.atlas").write_text("precious")
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "safe").iterdir()}
    yield tmp_path / "safe"
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "safe").iterdir()} == before


def stopped(path, rows=25, **mode):
    """What a writer leaves that was stopped."""
    writer = AtlasDatasetWriter(path, **PLAIN, **mode)
    writer.extend(range(rows))
    writer._stop()
    writer._output.leave()
    writer._end("failed")
    return next(path.glob(".writing*.json"))


def lines_of(journal):
    return [json.loads(line) for line in journal.read_bytes().splitlines()]


def edited(journal, change):
    lines = lines_of(journal)
    change(lines)
    journal.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def sealed(path, change):
    """The manifest with other members, and the hash that it then has."""
    body = json.loads((path / "atlas.json").read_bytes())
    del body["hash"]
    change(body)
    plain = rfc8785.dumps(body)
    (path / "atlas.json").write_bytes(rfc8785.dumps(body | {"hash": manifests.digest(plain)}))


# --- links ---


def test_a_dataset_whose_files_are_links_is_read(tmp_path):
    """As the cache of the Hugging Face hub has it: every file is a link to a blob elsewhere."""
    write(tmp_path / "blobs", range(30), shard_size=10)
    (tmp_path / "snapshot").mkdir()
    for number, file in enumerate(sorted((tmp_path / "blobs").iterdir())):
        os.rename(file, tmp_path / "blobs" / f"blob{number}")
        (tmp_path / "snapshot" / file.name).symlink_to(f"../blobs/blob{number}")
    (tmp_path / "link").symlink_to("snapshot")
    for path in (tmp_path / "snapshot", tmp_path / "link"):
        assert list(AtlasDataset(path)) == list(AtlasDataset(path, io="pread")) == list(range(30)) and verify(path).damages == []
    (tmp_path / "snapshot" / ".atlas.lock").unlink()
    with AtlasDatasetWriter(tmp_path / "link", append=True, workers=0) as writer:
        writer.add_example(30)
    assert list(AtlasDataset(tmp_path / "link")) == list(range(31))
    before = sorted((tmp_path / "blobs").iterdir())
    with AtlasDatasetWriter(tmp_path / "link", overwrite=True, workers=0) as writer:
        writer.add_example(1)
    assert sorted((tmp_path / "blobs").iterdir()) == before and len(list((tmp_path / "snapshot").glob("*.atlas"))) == 1


@pytest.mark.parametrize("name", [".atlas.lock", ".writing.json", ".writing-0123456789abcdef.json"])
def test_links_in_the_place_of_what_writers_keep(tmp_path, safe, name):
    write(tmp_path / "d", range(5))
    (tmp_path / "d" / name).unlink(missing_ok=True)
    (tmp_path / "d" / name).symlink_to(safe / "mine.txt")
    for mode in ({"append": True}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(errors.CorruptError, match=rf"{name}: is a link"):
            AtlasDatasetWriter(tmp_path / "d", workers=0, **mode)
    (tmp_path / "d" / name).unlink()
    (tmp_path / "d" / name).symlink_to(tmp_path / "made")
    with pytest.raises(errors.CorruptError):
        AtlasDatasetWriter(tmp_path / "d", workers=0, append=True)
    assert not (tmp_path / "made").exists() and list(AtlasDataset(tmp_path / "d")) == list(range(5))


def test_links_under_the_names_that_a_resumed_writer_takes(tmp_path, safe):
    """The token stands in the journal, so whoever made the folder knows them."""
    journal = stopped(tmp_path / "d")
    token = lines_of(journal)[0]["token"]
    for name in (f".tmp-journal-{token}-0", f".tmp-00002-{token}-0", f".tmp-atlas.json-{token}-0"):
        (tmp_path / "d" / name).symlink_to(safe / "mine.txt")
    with AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN) as writer:
        writer.extend(range(writer.position, 25))
    assert list(AtlasDataset(tmp_path / "d")) == list(range(25))


def test_a_finished_shard_that_is_a_link(tmp_path, safe):
    journal = stopped(tmp_path / "d")
    name = lines_of(journal)[2]["shard"]["path"]
    os.rename(tmp_path / "d" / name, tmp_path / "elsewhere")
    (tmp_path / "d" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="is a link"), AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN) as writer:
        assert writer.position == 0
        writer.extend(range(15))
    assert (tmp_path / "elsewhere").exists() and list(AtlasDataset(tmp_path / "d")) == list(range(15))


# --- pipes, devices, folders ---


@pytest.mark.parametrize("what", ["pipe", "folder", "device", "link to a folder"])
@pytest.mark.parametrize("name", ["atlas.json", "SHARD", ".atlas.lock", ".writing.json"])
def test_what_is_no_file_is_an_error_at_once(tmp_path, safe, name, what):
    path = write(tmp_path / "d", range(5))
    file = next(path.glob("*.atlas")) if name == "SHARD" else path / name
    file.unlink(missing_ok=True)
    make = {"pipe": lambda: os.mkfifo(file), "folder": file.mkdir, "device": lambda: file.symlink_to("/dev/zero"), "link to a folder": lambda: file.symlink_to(safe)}
    make[what]()
    reads = (lambda: list(AtlasDataset(path)), lambda: AtlasDataset(path, io="pread")[0])
    writes = (lambda: AtlasDatasetWriter(path, append=True, workers=0), lambda: AtlasDatasetWriter(path, overwrite=True, workers=0))
    for door in reads if name == "SHARD" else (*reads, *writes) if name == "atlas.json" else writes:
        with pytest.raises(errors.CorruptError, match="must be a regular file"):
            door()
    if name in ("SHARD", "atlas.json"):
        assert "must be a regular file" in verify(path).damages[0][1]


def test_a_huge_manifest_is_not_read(tmp_path):
    path = write(tmp_path / "d", range(5))
    os.truncate(path / "atlas.json", 1 << 40)
    for door in (AtlasDataset, lambda path: AtlasDatasetWriter(path, append=True)):
        with pytest.raises(errors.LimitError, match=r"atlas\.json: has 1,099,511,627,776 bytes"):
            door(path)


# --- what journals name ---


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[0].update(token="../x"), lambda lines: lines[0].update(token="a" * 17), lambda lines: lines[0].update(token="\u0661" * 16),
        lambda lines: lines[0].update(first=1 << 60), lambda lines: lines[0].update(base="1:zz"), lambda lines: lines[0].update(base="\u0661:" + "0" * 32),
        lambda lines: lines[0]["owner"].update(pid=10**30), lambda lines: lines[0]["owner"].update(host="h" * 1000), lambda lines: lines[0]["owner"].update(started=-1),
        lambda lines: lines[2]["shard"].update(path="../safe/mine.txt"), lambda lines: lines[2]["shard"].update(path="/etc/passwd"),
        lambda lines: lines[2]["shard"].update(path="../safe/00000-0123456789abcdef.atlas", root="0123456789abcdef"),
        lambda lines: lines[2]["shard"].update(path="9" * 300 + "-" + lines[2]["shard"]["root"] + ".atlas"),
        lambda lines: lines[2]["shard"].update(path="9" * 15 + "-" + lines[2]["shard"]["root"] + ".atlas"),
        lambda lines: lines[2]["shard"].update(raw=-1), lambda lines: lines[2]["shard"].update(raw=1.5), lambda lines: lines[2]["shard"].update(chunk=0), lambda lines: lines[2]["shard"].update(chunk=(1 << 20) + 1),
        lambda lines: lines[2]["shard"].update(chunk=True), lambda lines: lines[2]["shard"].pop("raw"), lambda lines: lines[2]["shard"].pop("chunk"), lambda lines: lines[2]["shard"].update(more=1),
        lambda lines: lines[2]["shard"].update(rows=1 << 60), lambda lines: lines[2]["shard"].update(bytes=10**30), lambda lines: lines[2].update(split="\ud800"),
    ],
)  # fmt: skip
def test_a_journal_that_names_what_no_writer_names(tmp_path, safe, change):
    journal = stopped(tmp_path / "d")
    edited(journal, change)
    before = sorted(file.name for file in (tmp_path / "d").iterdir())
    for mode in ({}, {"append": True}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(errors.CorruptError, match=r"\.writing\.json: line [0-9]"):
            AtlasDatasetWriter(tmp_path / "d", **PLAIN, **mode)
    assert sorted(file.name for file in (tmp_path / "d").iterdir()) == before


def test_a_journal_that_names_another_file_of_the_folder(tmp_path):
    """A file of another size is not what its writer made: it stays, and the journal goes."""
    journal = stopped(tmp_path / "d")
    own = [line["shard"]["path"] for line in lines_of(journal) if "shard" in line]
    (tmp_path / "d" / own[0]).write_bytes(b"mine")
    os.remove(tmp_path / "d" / own[1])
    (tmp_path / "d" / own[1]).mkdir()
    with AtlasDatasetWriter(tmp_path / "d", overwrite=True, **PLAIN) as writer:
        writer.add_example(1)
    assert (tmp_path / "d" / own[0]).read_bytes() == b"mine" and (tmp_path / "d" / own[1]).is_dir() and not journal.exists()


def test_a_journal_that_names_shards_of_another_dataset(tmp_path):
    journal = stopped(tmp_path / "d")
    other = write(tmp_path / "other", [{"a": "b"}] * 10, shard_size=10)
    info = json.loads((other / "atlas.json").read_bytes())["shards"][0]
    shutil.copy(other / info["path"], tmp_path / "d")
    edited(journal, lambda lines: lines.__setitem__(2, {"shard": info, "split": None}))
    with pytest.raises(errors.CorruptError, match="whose columns are not those of the journal"):
        AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN)


def test_a_journal_that_names_shards_of_the_dataset_it_adds_to(tmp_path):
    write(tmp_path / "d", range(10), schema=int, shard_size=10)
    info = json.loads((tmp_path / "d" / "atlas.json").read_bytes())["shards"][0]
    journal = stopped(tmp_path / "d", append=True)
    edited(journal, lambda lines: lines.insert(2, {"shard": info, "split": None}))
    with pytest.raises(errors.CorruptError):
        AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN)
    assert list(AtlasDataset(tmp_path / "d")) == list(range(10))


@pytest.mark.parametrize("count", [10, 100])
def test_many_journals_are_not_quadratic(tmp_path, count):
    """Each journal is read a fixed number of times, however many there are."""
    path = tmp_path / "d"
    write(path, range(10), schema=int)
    head = lines_of(stopped(path, append=True))[0]
    for k in range(count):
        token = f"{k:016x}"
        lines = [head | {"token": token, "alone": False, "mode": "append"}, {"left": True}]
        (path / f".writing-{token}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with mock.patch.object(local, "read_with_stat", wraps=local.read_with_stat) as read, AtlasDatasetWriter(path, overwrite=True, **PLAIN) as writer:
        writer.add_example(1)
    reads = Counter(call.args[0].name for call in read.call_args_list if call.args[0].name.startswith(".writing-"))
    assert not list(path.glob(".writing-*")) and len(reads) >= count and max(reads.values()) <= 4


# --- parts ---


def parts(path, count=2):
    for k in range(count):
        write(path, range(10 * k, 10 * k + 10), part=k, schema=int)
    return path / ".parts"


def test_joining_parts_keeps_files_of_others(tmp_path):
    folder = parts(tmp_path / "d")
    for name in ("notes.txt", "00000/notes.txt", "more"):
        (folder / name).mkdir() if name == "more" else (folder / name).write_text("mine")
    merge_parts(tmp_path / "d")
    assert list(AtlasDataset(tmp_path / "d")) == list(range(20))
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*")) == ["00000", "00000/notes.txt", "more", "notes.txt"]
    assert not list((tmp_path / "d").glob(".tmp-*"))


def test_a_link_in_the_place_of_the_parts(tmp_path, safe):
    parts(tmp_path / "other")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".parts").symlink_to(tmp_path / "other" / ".parts")
    before = sorted(map(str, (tmp_path / "other").rglob("*")))
    for door in (lambda: merge_parts(tmp_path / "d"), lambda: AtlasDatasetWriter(tmp_path / "d", part=0, **PLAIN)):
        with pytest.raises(errors.CorruptError, match=r"\.parts: is not a folder but a link"):
            door()
    (tmp_path / "d" / ".parts").unlink()
    (tmp_path / "d" / ".parts").mkdir()
    (tmp_path / "d" / ".parts" / "00000").symlink_to(tmp_path / "other" / ".parts" / "00000")
    for door in (lambda: merge_parts(tmp_path / "d"), lambda: AtlasDatasetWriter(tmp_path / "d", part=0, **PLAIN)):
        with pytest.raises(errors.CorruptError, match="is not a folder but a link"):
            door()
    assert sorted(map(str, (tmp_path / "other").rglob("*"))) == before


def test_a_part_whose_shard_is_a_link(tmp_path, safe):
    folder = parts(tmp_path / "d")
    shard = next((folder / "00001").glob("*.atlas"))
    os.rename(shard, tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.CorruptError, match="is not the file of"):
        merge_parts(tmp_path / "d")
    assert not (tmp_path / "d" / "atlas.json").exists() and (tmp_path / "elsewhere").exists()


# --- numbers of manifests ---


def test_rows_are_compared_with_the_shards_before_an_array_is_made_of_them(tmp_path):
    path = write(tmp_path / "d", range(10))
    rows = 1 << 45
    sealed(path, lambda body: (body["shards"][0].update(rows=rows), body.update(rows=rows, splits={"a": [[0, 1 << 40], [1 << 41, rows]], "b": [[0, rows]]})))
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from atlas_ds import AtlasDataset, Loader, errors
doors = [lambda: AtlasDataset(sys.argv[1], split="a"), lambda: AtlasDataset(sys.argv[1], split="b").column("value"), lambda: AtlasDataset(sys.argv[1]).batch(slice(None)),
         lambda: AtlasDataset(sys.argv[1]).batch(slice(5, None, 2)), lambda: AtlasDataset(sys.argv[1]).split([0.5, 0.5], seed=1), lambda: AtlasDataset(sys.argv[1])[::-1].batch(slice(None)),
         lambda: next(iter(Loader(AtlasDataset(sys.argv[1]), batch_size=2)))]
for door in doors:
    try:
        door()
        print("nothing")
    except errors.CorruptError as error:
        print("rows" in str(error))
print(len(AtlasDataset(sys.argv[1])), len(AtlasDataset(sys.argv[1], split="b")))
"""
    assert child(code, path).stdout.split() == ["True"] * 7 + [str(rows)] * 2


def test_splits_of_many_rows_are_right(tmp_path, monkeypatch):
    path = write(tmp_path / "d", range(100), shard_size=10)
    ranges = [[0, 0], [3, 4], [8, 31], [31, 40], [95, 100]]
    sealed(path, lambda body: body.update(splits={"a": ranges, "none": [], "empty": [[5, 5], [7, 7]]}))
    wanted = [row for start, stop in ranges for row in range(start, stop)]
    for confirmed in (1 << 22, 0):
        monkeypatch.setattr(rows_room, "CONFIRMED", confirmed)
        ds = AtlasDataset(path, split="a")
        assert ds.rows.tolist() == wanted and list(ds) == wanted and ds.rows.dtype == np.int64
        assert ds.shard_set.is_open == ([0, 1, 2, 3, 9] if ds.shard_set.is_open else []) and len(AtlasDataset(path, split="empty")) == len(AtlasDataset(path, split="none")) == 0
        whole = AtlasDataset(path)
        assert whole.batch(slice(35, 52)).tolist() == list(range(35, 52)) and whole[::-3].batch(slice(2, 9, 2)).tolist() == list(range(99, -1, -3))[2:9:2]
        assert whole.batch(slice(5, 5)).tolist() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["shards"].append(body["shards"][0]), lambda body: body["shards"][0].update(root="f" * 16), lambda body: body["shards"][0].update(path="1" * 16 + body["shards"][0]["path"][5:]),
        lambda body: [shard.update(rows=(1 << 53) - 1) for shard in body["shards"]] and body.update(rows=float(2 * (1 << 53) - 2)),
    ],
)  # fmt: skip
def test_shards_that_no_writer_names(tmp_path, change):
    path = write(tmp_path / "d", range(20), shard_size=10)
    sealed(path, lambda body: change(body) and body.update(rows=sum(shard["rows"] for shard in body["shards"])))
    with pytest.raises(errors.CorruptError, match=r"atlas\.json: manifest: (shard|rows)"):
        AtlasDataset(path)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NaN", errors.CorruptError), ("-Infinity", errors.CorruptError), ("1e999", errors.CorruptError), ("1" * 5000, errors.CorruptError), ("9007199254740993", errors.CorruptError),
        ('"\\udfff"', errors.CorruptError), ('{"x":1,"x":1}', errors.CorruptError), ("[" * 70 + "]" * 70, errors.LimitError), ("[" * 50_000 + "]" * 50_000, errors.LimitError), ("tru", errors.CorruptError),
        ('"\ufffd\\\\ud800"', None), ("[9007199254740991,-9007199254740991,1e308,5e-324]", errors.CorruptError), ("[" * 60 + "]" * 60, None), ('"\\ud83d\\ude00"', errors.CorruptError),
        ("[9007199254740991,-9007199254740991,1e+308,5e-324]", None), ("[9007199254740992,-100000000000000000000,1e+21]", None), ('"\U0001f600"', None), ("1.0", errors.CorruptError), ("1e0", errors.CorruptError), ("[1, 2]", errors.CorruptError), ('{"b":1,"a":2}', errors.CorruptError),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_metadata_that_a_writer_could_not_write(tmp_path, text, kind):
    path = write(tmp_path / "d", range(5))
    data = (path / "atlas.json").read_bytes().replace(b'"metadata":{}', b'"metadata":{"a":' + text.encode() + b"}")
    found = manifests.HASH_MEMBER.search(data)
    plain = data[: found.start()] + data[found.end() :]
    (path / "atlas.json").write_bytes(plain[: found.start()] + b',"hash":"' + manifests.digest(plain).encode() + b'"' + plain[found.start() :])
    doors = (lambda: AtlasDataset(path), lambda: write(path, [1], append=True))
    for door in doors:
        if kind is None:
            door()
        else:
            with pytest.raises(kind, match=r"atlas\.json: manifest") as caught:
                door()
            assert len(str(caught.value)) < 1000


def test_a_manifest_with_too_many_values(tmp_path, monkeypatch):
    path = write(tmp_path / "d", range(5))
    monkeypatch.setattr(manifests, "MAX_VALUES", 100)
    sealed(path, lambda body: body.update(metadata={"a": [0] * 100}))
    with pytest.raises(errors.LimitError, match=r"at most .* 100 values"):
        AtlasDataset(path)
    with pytest.raises(errors.LimitError, match="less metadata"):
        write(tmp_path / "new", range(5), metadata={"a": [0] * 100})


def test_many_splits_are_read_in_time(tmp_path):
    path = write(tmp_path / "d", range(5))
    sealed(path, lambda body: body.update(splits={f"s{k}": [[0, 5]] for k in range(50_000)} | {"many": [[0, 0]] * 200_000 + [[1, 2], [3, 4]]}))
    assert len(AtlasDataset(path, split="s49999")) == 5 and list(AtlasDataset(path, split="many")) == [1, 3]
    with pytest.raises(KeyError, match=r"50,001 in all") as caught:
        AtlasDataset(path, split="none")
    assert len(str(caught.value)) < 2000
    assert repair(path, output=tmp_path / "r").rows_lost == 0 and list(AtlasDataset(tmp_path / "r", split="many")) == [1, 3]


def test_a_tail_that_lies_is_not_read_as_the_footer(tmp_path):
    """io="pread" would have to hold it."""
    path = write(tmp_path / "d", [os.urandom(1 << 20) for _ in range(40)], compression="none")
    info = json.loads((path / "atlas.json").read_bytes())["shards"][0]
    sealed(path, lambda body: body["shards"][0].update(tail=info["bytes"]))
    code = """if True:
        import resource, sys
        from atlas_ds import AtlasDataset, errors
        ds = AtlasDataset(sys.argv[1], io="pread", memory_limit=1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            ds[3]
        except errors.CorruptError as error:
            print(" the manifest says tail " in str(error), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"""
    noticed, grown = child(code, path).stdout.split()
    assert noticed == "True" and int(grown) < 20_000  # KB


# --- notes in footers ---

NOTES = [
    "", "{", "null", "[]", "3", '{"columns":3,"icc":3}', '{"columns":[1,{},{"path":"a"}]}', '{"columns":[{"path":"value","why":"","raw_bytes":1e999,"stored_bytes":NaN,"layouts":{},"codecs":{}}]}',
    '{"columns":[{"path":"value","why":"","raw_bytes":-5,"stored_bytes":5,"layouts":{"A":"b"},"codecs":{}}]}', "[" * 100_000, '{"icc":{"value":{"rows":1}}}', "\xff",
    '{"icc":{"value":{"rows":10,"chunks":1,"squares":100,"numbers":[NaN,1,1],"classes":null,"hashed":null}}}',
    '{"icc":{"value":{"rows":10,"chunks":1,"squares":100,"numbers":null,"classes":{"agree":1,"counts":{"a":"b"}},"hashed":null}}}',
    '{"icc":{"value":{"rows":' + "9" * 300 + ',"chunks":1,"squares":1,"numbers":null,"classes":null,"hashed":null}}}',
]  # fmt: skip


@pytest.mark.parametrize("notes", NOTES, ids=range(len(NOTES)))
def test_odd_notes_break_nothing(tmp_path, monkeypatch, notes):
    class Odd:
        @staticmethod
        def dumps(*args, **options):
            return notes

    with warnings.catch_warnings(), monkeypatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(build, "json", Odd)
        path = write(tmp_path / "d", range(600), shard_size=300)
    sealed(path, lambda body: body.pop("stats") and body.update(icc={"value": 0.5}))  # so that the notes are read
    ds = AtlasDataset(path)
    assert list(ds) == list(range(600)) and ds.stats()["rows"] == 600 and len(list(Loader(ds, batch_size=100))) == 6
    assert main(["info", str(path)]) == main(["info", str(path), "--json"]) == 0 and verify(path).damages == []
    with pytest.warns(RuntimeWarning, match=r"icc of column 'value' is left out"):
        write(path, [1], append=True)
    assert AtlasDataset(path).icc == {} and list(AtlasDataset(path)) == [*range(600), 1]
    shuffle(path, tmp_path / "s", workers=0)
    assert sorted(AtlasDataset(tmp_path / "s")) == sorted([*range(600), 1])
