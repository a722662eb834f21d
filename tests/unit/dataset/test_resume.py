"""What a failing writer had finished stays, and is taken up again: by the same options, after a check of every byte, or not at all.

Longer than other files because each way to stop is tried with each way to go on, by the same few helpers.
"""

import errno
import json
import os
import pickle
import shutil
import signal
import warnings

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, verify
from atlas_ds.store import files
from support import child, tree, write

PLAIN = {"schema": int, "shard_size": 10, "workers": 0}
KILLED = """
import os, sys
from atlas_ds import AtlasDatasetWriter
options = eval(sys.argv[3])
writer = AtlasDatasetWriter(sys.argv[1], workers=0, **options)
for i in range(int(sys.argv[2])):
    writer.add_example(i, split=sys.argv[4 + i % (len(sys.argv) - 4)] if len(sys.argv) > 4 else None)
os.kill(os.getpid(), 9)
"""


def killed(path, rows=25, *splits, **options):
    done = child(KILLED, path, rows, {"schema": "int64", "shard_size": 10} | options, *splits, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return path


def fail_at(monkeypatch, name, condition, code=errno.ENOSPC):
    real = getattr(os, name)

    def call(*args, **kwargs):
        if condition(*args):
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    monkeypatch.setattr(files.os, name, call)


# --- a failing close ---


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EIO"])
def test_a_failing_close_loses_nothing(tmp_path, monkeypatch, code):
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    writer.extend(range(25))
    with monkeypatch.context() as patch:
        fail_at(patch, "replace", lambda source, target: str(target).endswith("atlas.json"), getattr(errno, code))
        with pytest.raises(OSError, match="keeps 25 rows in 3 finished shards: continue with resume=True") as caught:
            writer.close()
    assert caught.value.errno == getattr(errno, code) and caught.value.filename == str(tmp_path / "d" / "atlas.json")
    cure = {"ENOSPC": "the disk is full: make room", "EDQUOT": "quota", "EIO": ""}[code]
    assert cure in str(caught.value) and str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    for attempt in (writer.close, lambda: writer.add_example(1)):
        with pytest.raises(errors.AtlasError, match="resume=True"):
            attempt()
    with AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN) as other:
        assert other.position == 25 and other.positions == {None: 25}
    assert list(AtlasDataset(tmp_path / "d")) == list(range(25)) and verify(tmp_path / "d").damages == []


def test_a_disk_that_is_full_while_rows_are_added(tmp_path, monkeypatch):
    """The error leaves the with block: finished shards stay all the same."""
    said = pytest.raises(OSError, match=r"disk is full.*keeps 20 rows in 2 finished shards")
    with monkeypatch.context() as patch, said, AtlasDatasetWriter(tmp_path / "d", **PLAIN) as writer:
        writer.extend(range(20))
        fail_at(patch, "fsync", lambda fd: True)
        writer.extend(range(20, 35))
    assert not list(tmp_path.rglob(".tmp-*"))
    with AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN) as other:
        other.extend(range(other.position, 35))
    assert list(AtlasDataset(tmp_path / "d")) == list(range(35))


def test_nothing_finished_nothing_left(tmp_path, monkeypatch):
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    writer.extend(range(5))
    with monkeypatch.context() as patch:
        fail_at(patch, "fsync", lambda fd: True)
        with pytest.raises(OSError, match="disk is full") as caught:
            writer.close()
    assert "resume" not in str(caught.value) and os.listdir(tmp_path) == []


def test_abort_after_a_failure_takes_it_away(tmp_path, monkeypatch):
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    writer.extend(range(25))
    with monkeypatch.context() as patch:
        fail_at(patch, "replace", lambda source, target: str(target).endswith("atlas.json"))
        with pytest.raises(OSError):
            writer.close()
    writer.abort()
    assert os.listdir(tmp_path) == []


def test_abort_after_another_resumed_takes_nothing_away(tmp_path, monkeypatch):
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    writer.extend(range(25))
    with monkeypatch.context() as patch:
        fail_at(patch, "replace", lambda source, target: str(target).endswith("atlas.json"))
        with pytest.raises(OSError):
            writer.close()
    AtlasDatasetWriter(tmp_path / "d", resume=True, **PLAIN).close()
    writer.abort()
    assert list(AtlasDataset(tmp_path / "d")) == list(range(25)) and verify(tmp_path / "d").damages == []


def test_the_users_own_exception_takes_it_away(tmp_path):
    with pytest.raises(ZeroDivisionError), AtlasDatasetWriter(tmp_path / "d", **PLAIN) as writer:
        writer.extend(range(25))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("code", "cure"), [(errno.EMFILE, "ulimit -n"), (errno.ENOSPC, "make room"), (errno.EROFS, "read-only"), (errno.EACCES, "permissions")])
def test_errors_of_the_system_say_what_to_do(tmp_path, monkeypatch, code, cure):
    fail_at(monkeypatch, "open", lambda path, *rest: ".tmp-" in str(path), code)
    with pytest.raises(OSError, match=cure) as caught:
        AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    assert caught.value.errno == code and str(tmp_path / "d") in caught.value.filename


# --- resume ---


@pytest.mark.parametrize(("mine", "theirs", "said"), [
    ({"shard_size": 7}, {}, "shard_size=10, this one shard_size=7"),
    ({"shard_size": "1MiB"}, {}, "shard_size=10, this one shard_size='1048576B'"),
    ({"block_size": 3}, {}, "block_size=None, this one block_size=3"),
    ({"compression": {}}, {"compression": "zstd"}, "compression='zstd', this one compression={}"),
    ({"access": "scan"}, {}, "access='random', this one .*access='scan'"),
    ({"level": 5}, {"level": 4}, "level=4, this one level=5"),
    ({"dictionary": None}, {}, "dictionary='shared', this one dictionary=None"),
    ({"icc": ["value"]}, {}, r"icc=None, this one icc=\['value'\]"),
])  # fmt: skip
def test_other_options_are_told(tmp_path, mine, theirs, said):
    path = killed(tmp_path / "d", **theirs)
    before = tree(path)
    with pytest.raises(ValueError, match=said):
        AtlasDatasetWriter(path, **PLAIN | {"resume": True} | theirs | mine)
    assert tree(path) == before
    with AtlasDatasetWriter(path, **PLAIN | {"resume": True, "metadata": {"other": 1}, "progress": True} | theirs) as writer:
        assert writer.position == 20
        writer.extend(range(20, 25))
    assert list(AtlasDataset(path)) == list(range(25)) and AtlasDataset(path).metadata == {"other": 1}


def test_another_schema_is_told(tmp_path):
    path = killed(tmp_path / "d")
    with pytest.raises(errors.SchemaError, match="schema= differs from the schema of the finished shards"):
        AtlasDatasetWriter(path, **PLAIN | {"schema": float, "resume": True})
    with AtlasDatasetWriter(path, **PLAIN | {"schema": None, "resume": True}) as writer:
        writer.extend(range(writer.position, 25))
    assert list(AtlasDataset(path)) == list(range(25))


def shard_lines(change):
    """Changes the list of a journal's lines that name shards."""

    def do(data):
        lines = data.splitlines(True)
        found = [line for line in lines if b'"shard"' in line]
        return b"".join([line for line in lines if b'"shard"' not in line] + change(found))

    return edit(do)


def edit(change):
    def do(path):
        file = path / ".writing.json"
        data = file.read_bytes()
        assert change(data) != data
        file.write_bytes(change(data))

    return do


def swap(path):
    a, b = sorted(path.glob("0*.atlas"))[:2]
    a.rename(path / "q")
    b.rename(a)
    (path / "q").rename(b)


LIES = {
    "not a head": (edit(lambda data: b"[]\n"), "line 1 is not the header"),
    "an empty object": (edit(lambda data: b"{}\n" + data), "line 1 is not the header"),
    "head without a process": (edit(lambda data: data.replace(b'"pid"', b'"did"', 1)), "line 1 is not the header"),
    "another key": (edit(lambda data: data.replace(b'"tail"', b'"tale"')), "line 3 does not describe a shard"),
    "a shard outside": (edit(lambda data: data.replace(b'"path": "0', b'"path": "../d/0')), "line 3 path '../d/0.*' is not a shard's name"),
    "an absolute path": (edit(lambda data: data.replace(b'"path": "0', b'"path": "/etc/0')), "is not a shard's name"),
    "fewer rows": (edit(lambda data: data.replace(b'"rows": 10', b'"rows": 9')), "but the file has"),
    "negative rows": (edit(lambda data: data.replace(b'"rows": 10', b'"rows": -9')), "is not a positive integer"),
    "rows that are a bool": (edit(lambda data: data.replace(b'"rows": 10', b'"rows": true')), "is not a positive integer"),
    "another size": (edit(lambda data: data.replace(b'"bytes": 1', b'"bytes": 2')), "but the file has"),
    "one shard twice": (edit(lambda data: data + data.splitlines(True)[-1]), "one shard twice"),
    "no schema": (edit(lambda data: b"".join(line for line in data.splitlines(True) if b'"schema"' not in line)), "shards without their schema"),
    "a schema that is none": (edit(lambda data: b"".join(b'{"schema": 5}\n' if b'"schema"' in line else line for line in data.splitlines(True))), "schema"),
    "a torn line in the middle": (edit(lambda data: data.replace(b'"rows": 10', b'"rows": 1', 1).replace(b"}\n", b"\n", 3)), "line"),
    "an unknown line": (edit(lambda data: data + b'{"x": 1}\n{"left": true}\n'), "known kind .schema, stream, shard or left."),
    "shards swapped": (swap, "but the file has"),
    "a shard left out": (shard_lines(lambda found: found[1:]), "whose numbers are not consecutive from 0"),
    "lines swapped": (shard_lines(lambda found: found[::-1]), "out of order"),
    "a split of its own": (shard_lines(lambda found: [found[0], found[1].replace(b"null", b'"c"')]), "which was never begun"),
    "another first number": (edit(lambda data: data.replace(b'"first": 0', b'"first": 7', 1)), "whose numbers are not consecutive from 7"),
}


@pytest.mark.parametrize("what", LIES)
def test_a_journal_that_lies_is_told(tmp_path, what):
    path = killed(tmp_path / "d")
    change, said = LIES[what]
    change(path)
    before = tree(path)
    for _ in range(2):
        with pytest.raises(errors.CorruptError, match=said):
            AtlasDatasetWriter(path, resume=True, **PLAIN)
    assert {name: data for name, data in tree(path).items() if name[:2] == "00"} == {name: data for name, data in before.items() if name[:2] == "00"}
    assert not (path / "atlas.json").exists()


def test_no_journal_makes_anybody_delete_what_lies_outside(tmp_path):
    path = killed(tmp_path / "d")
    (tmp_path / "00000-0000000000000000.atlas").write_bytes(b"precious")
    edit(lambda data: data.replace(b'"path": "0', b'"path": "../0'))(path)
    for options in ({}, {"overwrite": True}, {"append": True}, {"resume": True}):
        with pytest.raises(errors.CorruptError):
            AtlasDatasetWriter(path, **PLAIN, **options)
    assert (tmp_path / "00000-0000000000000000.atlas").read_bytes() == b"precious"


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty"])
@pytest.mark.parametrize("number", [0, 1])
def test_damaged_shards_are_written_again(tmp_path, damage, number):
    whole = tree(write(tmp_path / "whole", range(25), **PLAIN))
    path = killed(tmp_path / "d")
    file = sorted(path.glob("0*.atlas"))[number]
    if damage == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[200] ^= 1
        file.write_bytes({"cut": data[:100], "flipped": data, "empty": b""}[damage])
    told = damage != "missing" or number == 0  # the last was noted just before it got its name
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        writer = AtlasDatasetWriter(path, resume=True, **PLAIN)
    assert writer.position == 10 * number and [str(one.message) for one in seen if file.name in str(one.message) or not told] == [str(one.message) for one in seen]
    assert bool(seen) == told
    writer.extend(range(writer.position, 25))
    writer.close()
    assert tree(path) == whole


def test_cut_at_every_byte(tmp_path):
    """Of a journal of one shard: resumed, or begun again, never wrong."""
    whole = tree(write(tmp_path / "whole", range(15), **PLAIN))
    killed(tmp_path / "killed", 15)
    data = (tmp_path / "killed" / ".writing.json").read_bytes()
    for size in range(len(data)):
        path = tmp_path / "d"
        shutil.copytree(tmp_path / "killed", path, ignore=shutil.ignore_patterns(".tmp-*"))
        os.truncate(path / ".writing.json", size)
        with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer:
            assert writer.position == 0
            writer.extend(range(15))
        assert tree(path) == whole
        shutil.rmtree(path)


def test_splits_are_resumed(tmp_path):
    path = killed(tmp_path / "d", 65, "train", "test")
    with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer:
        assert writer.positions == {"train": 30, "test": 30} and writer.position == 60
        for split, first in (("train", 0), ("test", 1)):
            rows = [i for i in range(65) if i % 2 == first]
            writer.extend(rows[writer.positions[split] :], split=split)
    assert list(AtlasDataset(path, split="train")) == list(range(0, 65, 2)) and list(AtlasDataset(path, split="test")) == list(range(1, 65, 2))


def test_an_overwrite_is_resumed(tmp_path):
    path = write(tmp_path / "d", range(5), schema=int)
    killed(path, overwrite=True)
    assert list(AtlasDataset(path)) == list(range(5))
    with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer:
        assert writer.position == 20
        writer.extend(range(20, 25))
    assert list(AtlasDataset(path)) == list(range(25)) and len(list(path.glob("*.atlas"))) == 3


def test_an_append_is_resumed_after_another(tmp_path):
    path = write(tmp_path / "d", range(5), schema=int)
    killed(path, append=True)
    write(path, [50], schema=int, append=True)
    with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer:
        assert writer.position == 20
        writer.extend(range(20, 25))
    assert list(AtlasDataset(path)) == [*range(5), 50, *range(25)] and verify(path).damages == []


def test_an_append_to_what_was_replaced_is_told(tmp_path):
    path = write(tmp_path / "d", range(5), schema=int)
    killed(path, append=True)
    other = write(tmp_path / "other", range(7), schema=int)
    shutil.copytree(other, path, dirs_exist_ok=True)
    with pytest.raises(errors.CommitConflict, match="replaced after the writer to be resumed was stopped"):
        AtlasDatasetWriter(path, resume=True, **PLAIN)


def test_a_writer_killed_after_it_had_published(tmp_path):
    """Its journal is still there, and says nothing new: the dataset is finished, and a loop that resumes again must not add its rows twice."""
    killed(tmp_path / "d")
    journal = (tmp_path / "d" / ".writing.json").read_bytes()
    path = write(tmp_path / "d", range(20), **PLAIN, resume=False)
    (path / ".writing.json").write_bytes(journal)
    said = pytest.raises(FileExistsError, match="nothing to resume, the dataset is finished: pass append=True")
    with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer, said:
        writer.add_example(1)
    assert list(AtlasDataset(path)) == list(range(20)) and sorted(os.listdir(path))[1:] == sorted([*(shard.path for shard in AtlasDataset(path).shards), "atlas.json"])


def test_several_stopped_appenders(tmp_path):
    path = write(tmp_path / "d", range(5), schema=int)
    killed(path, 25, append=True)
    killed(path, 15, append=True)
    names = sorted(file.name for file in path.glob(".writing-*.json"))
    assert len(names) == 2
    with pytest.raises(errors.AtlasError, match=r"several writers were stopped.*\(\d0 rows\).*\(\d0 rows\)"):
        AtlasDatasetWriter(path, resume=True, **PLAIN)
    heads = {json.loads((path / name).read_bytes().splitlines()[0])["first"]: name for name in names}
    (path / heads[min(heads)]).rename(tmp_path / heads[min(heads)])
    AtlasDatasetWriter(path, resume=True, **PLAIN).close()
    (tmp_path / heads[min(heads)]).rename(path / heads[min(heads)])
    AtlasDatasetWriter(path, resume=True, **PLAIN).close()
    assert list(AtlasDataset(path)) == [*range(5), *range(10), *range(20)]


def test_an_appender_killed_before_its_first_shard(tmp_path):
    path = write(tmp_path / "d", range(5), schema=int)
    killed(path, 5, append=True)
    with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer:
        writer.extend(range(writer.position, 12))
    assert list(AtlasDataset(path)) == [*range(5), *range(12)]


# --- what is checked when it is given ---


@pytest.mark.parametrize(("metadata", "said"), [
    ({1: "cat"}, "has the key 1, a int: keys must be str; give '1'"),
    ({"a": {"b": [1, float("nan")]}}, r"metadata\['a'\]\['b'\]\[1\] is nan"),
    ({"a": float("inf")}, "None or a str"),
    ({"id": 2**60}, "exact up to 2"),
    ({"id": -(2**53)}, "store it as str"),
    ({"id": np.uint64(2**63)}, "store it as str"),
    ({"a": "\ud800"}, "lone surrogate"),
    ({"\ud800": 1}, "lone surrogate"),
    ([1], "must be a dict with str keys, got list"),
    ("text", "must be a dict"),
    ({"a": {1, 2}}, "set"),
    ({"a": np.zeros(3)}, r"give \.tolist\(\)"),
    ({"a": b"x"}, "bytes"),
    ({"a": np.complex64(1)}, "complex64"),
    ({"a": np.datetime64("2020-01-01")}, "datetime64"),
    ({"a": np.longdouble(1) / 3}, "exactly"),
])  # fmt: skip
def test_metadata_is_checked_when_it_is_given(tmp_path, metadata, said):
    with pytest.raises(errors.SchemaError, match=said):
        AtlasDatasetWriter(tmp_path / "d", metadata=metadata)
    assert os.listdir(tmp_path) == []
    write(tmp_path / "d", [1], part=0)
    from atlas_ds import merge_parts

    with pytest.raises(errors.SchemaError, match=said):
        merge_parts(tmp_path / "d", metadata=metadata)


def test_metadata_that_holds_itself(tmp_path):
    loop = {}
    loop["me"] = loop
    with pytest.raises(errors.SchemaError, match="does it contain itself"):
        AtlasDatasetWriter(tmp_path / "d", metadata=loop)


def test_metadata_is_copied(tmp_path):
    metadata = {"a": [1], "mean": np.float32(0.1), "n": np.int16(3), "yes": np.bool_(True), "t": (1, 2), "s": np.str_("x"), "z": -0.0, "big": 2**53 - 1, "one": 1.0}
    with AtlasDatasetWriter(tmp_path / "d", metadata=metadata) as writer:
        metadata["a"].append(2)
        writer.add_example(1)
    assert AtlasDataset(tmp_path / "d").metadata == {"a": [1], "mean": float(np.float32(0.1)), "n": 3, "yes": True, "t": [1, 2], "s": "x", "z": 0, "big": 2**53 - 1, "one": 1}
    assert type(AtlasDataset(tmp_path / "d").metadata["one"]) is int


@pytest.mark.parametrize("split", ["", 1, b"train", "\ud800", True], ids=repr)
def test_split_names_are_checked_when_they_are_given(tmp_path, split):
    with AtlasDatasetWriter(tmp_path / "d") as writer:
        with pytest.raises(ValueError, match="split="):
            writer.add_example(1, split=split)
        writer.add_example(2, split="train")
        with pytest.raises(ValueError, match="with every example or with none"):
            writer.add_example(3)
        with pytest.raises(ValueError, match="with every example or with none"):
            writer.add_batch([3])
    assert list(AtlasDataset(tmp_path / "d")) == [2]


@pytest.mark.parametrize("options", [
    {"level": 0}, {"level": 1.5}, {"level": True}, {"level": "3"}, {"workers": -1}, {"workers": 1.0}, {"shard_size": 0}, {"shard_size": None}, {"block_size": "x"},
    {"compression": "gzip"}, {"compression": {"x": "gzip"}}, {"compression": {1: "zstd"}}, {"compression": None}, {"access": "all"}, {"dictionary": "no"}, {"icc": "x"},
    {"append": True, "overwrite": True},
], ids=str)  # fmt: skip
def test_options_are_checked_when_they_are_given(tmp_path, options):
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        AtlasDatasetWriter(tmp_path / "d", **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("options", [{"compression": {"y": "zstd"}}, {"icc": ["y"]}], ids=str)
def test_names_of_columns_are_checked_with_the_first_example(tmp_path, options):
    with pytest.raises((ValueError, errors.SchemaError), match=r"'y'.*the columns are x"):
        AtlasDatasetWriter(tmp_path / "d", schema={"x": int}, **options)
    writer = AtlasDatasetWriter(tmp_path / "d", **options)
    with pytest.raises((ValueError, errors.SchemaError), match=r"'y'.*the columns are x"):
        writer.add_example({"x": 1})
    with pytest.raises((ValueError, errors.SchemaError), match=r"'y'.*the columns are x"):
        writer.add_batch({"x": [1]})
    writer.add_example({"x": 1, "y": 2})
    writer.close()
    assert list(AtlasDataset(tmp_path / "d")) == [{"x": 1, "y": 2}]


def test_icc_of_what_cannot_be_alike_is_refused_with_its_example(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", icc=["y"]) as writer:
        with pytest.raises(errors.SchemaError, match="example 0: icc: column 'y'"):
            writer.add_example({"y": np.zeros(3)})
        writer.add_example({"y": None})
        with pytest.raises(errors.SchemaError, match="example 1: icc: column 'y' is list\\(int64\\)"):
            writer.add_example({"y": [1]})
        writer.add_example({"y": 1})
    assert list(AtlasDataset(tmp_path / "d")) == [{"y": None}, {"y": 1}] and AtlasDataset(tmp_path / "d").icc.keys() == {"y"}
    with pytest.warns(RuntimeWarning, match=r"icc=\['y'\].*cannot be measured"):
        write(tmp_path / "e", [{"y": None}], icc=["y"])
    assert list(AtlasDataset(tmp_path / "e")) == [{"y": None}] and AtlasDataset(tmp_path / "e").icc == {}


def test_others_do_not_wait_for_the_check(tmp_path, monkeypatch):
    """Which reads every byte of the finished shards; somebody who comes meanwhile is told at once who is at work."""
    from atlas_ds.dataset import resuming

    path, seen = killed(tmp_path / "d"), []
    verify_opened = resuming.verify_opened

    def meanwhile(shard, **options):
        with pytest.raises(errors.WriterBusy) as caught:
            AtlasDatasetWriter(path, append=True)
        seen.append(caught.value)
        return verify_opened(shard, **options)

    monkeypatch.setattr(resuming, "verify_opened", meanwhile)
    AtlasDatasetWriter(path, resume=True, **PLAIN).close()
    assert len(seen) == 2 and list(AtlasDataset(path)) == list(range(20))


def test_a_damaged_manifest_costs_no_journal(tmp_path):
    path = write(tmp_path / "d", range(5), schema=int)
    killed(path, append=True)
    manifest = (path / "atlas.json").read_bytes()
    (path / "atlas.json").write_bytes(manifest[:-5])
    with pytest.raises(errors.CorruptError):
        AtlasDatasetWriter(path, resume=True, **PLAIN)
    (path / "atlas.json").write_bytes(manifest)
    AtlasDatasetWriter(path, resume=True, **PLAIN).close()
    assert list(AtlasDataset(path)) == [*range(5), *range(20)]


def test_an_overwrite_of_equal_rows_is_not_finished(tmp_path):
    path = write(tmp_path / "d", range(10), **PLAIN)
    killed(path, 15, overwrite=True)
    with AtlasDatasetWriter(path, resume=True, **PLAIN) as writer:
        assert writer.position == 10
        writer.extend(range(10, 15))
    assert list(AtlasDataset(path)) == list(range(15))


def test_a_shard_or_folder_that_was_taken_away(tmp_path):
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    writer.extend(range(25))
    sorted((tmp_path / "d").glob("0*.atlas"))[1].unlink()
    with pytest.raises(errors.DatasetChanged, match=r"was removed or changed by another process.*resume=True"):
        writer.close()
    one = AtlasDatasetWriter(tmp_path / "e", **PLAIN)
    one.extend(range(25))
    shutil.rmtree(tmp_path / "e")
    two = AtlasDatasetWriter(tmp_path / "e", **PLAIN)
    two.extend(range(100, 125))
    with pytest.raises(errors.DatasetChanged, match="removed or replaced") as caught:
        one.close()
    assert "keeps" not in str(caught.value)
    two.close()
    assert list(AtlasDataset(tmp_path / "e")) == list(range(100, 125))


def test_a_folder_that_became_a_file(tmp_path):
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    writer.extend(range(5))
    shutil.rmtree(tmp_path / "d")
    (tmp_path / "d").touch()
    with pytest.raises(OSError):
        writer.close()
    with pytest.raises(errors.AtlasError, match="write the dataset again"):
        writer.close()


@pytest.mark.parametrize("text", ['{"my": "notes"}', "", "{}", '{"my": "notes"}\n'])
@pytest.mark.parametrize("options", [{}, {"append": True}, {"overwrite": True}, {"resume": True}], ids=str)
def test_files_of_others_are_left_alone(tmp_path, text, options):
    (tmp_path / "d").mkdir()
    names = [".writing-x.json", ".writing-notes.json", ".tmp-mine", "00000-0123456789abcdef.atlas"]
    for name in names:
        (tmp_path / "d" / name).write_text(text)
    writer = AtlasDatasetWriter(tmp_path / "d", **PLAIN, **options)
    writer.extend(range(15))
    writer.abort()
    assert sorted(os.listdir(tmp_path / "d")) == sorted([*names, *(set(os.listdir(tmp_path / "d")) & {".atlas.lock"})])
    (tmp_path / "d" / ".writing.json").write_text('{"my": "notes"}')
    with pytest.raises(errors.CorruptError, match="not the header of a writer's journal"):
        AtlasDatasetWriter(tmp_path / "d", **PLAIN, **options)
    assert (tmp_path / "d" / ".writing.json").exists()


def test_an_interrupt_in_the_constructor(tmp_path, monkeypatch):
    from atlas_ds.dataset import writer as module

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "Encoders", lambda threads: (_ for _ in ()).throw(KeyboardInterrupt))
        AtlasDatasetWriter(tmp_path / "d", **PLAIN)
    assert os.listdir(tmp_path) == []
    write(tmp_path / "d", range(5), **PLAIN)
