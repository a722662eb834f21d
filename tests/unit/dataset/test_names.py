"""The names of a dataset's files: made and parsed in one place, and nowhere else."""

import re
from pathlib import Path

import pytest

import atlas_ds
from atlas_ds.dataset import names
from atlas_ds.dataset.names import ShardName

SRC = Path(atlas_ds.__file__).parent
HOMES = {"dataset/names.py", "store/temporary.py", "store/lock.py", "store/object_reading.py"}
LITERALS = re.compile(r"""["'](\.parts|\.tmp-[^"']*|\.writing[^"']*|atlas\.json|done\.json|\.atlas[a-z.-]*)["']|:05d\}""")


def test_nobody_else_spells_them():
    found = [
        f"{file.relative_to(SRC).as_posix()}:{number}"
        for file in sorted(SRC.rglob("*.py"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if LITERALS.search(line) and file.relative_to(SRC).as_posix() not in HOMES
    ]
    assert found == []


@pytest.mark.parametrize("ordinal", [0, 7, 99_999, 100_000, 10**14])
def test_a_shard_name_is_what_was_made(ordinal):
    root = "0123456789abcdef"
    assert names.parse_shard_name(names.shard_name(ordinal, root)) == ShardName(ordinal, root)
    assert names.ordinal_of(names.shard_name(ordinal, root)) == ordinal


@pytest.mark.parametrize("name", ["", "1-0123456789abcdef.atlas", "00000-0123456789ABCDEF.atlas", "00000-0123456789abcdef.atlas.tmp", "../00000-0123456789abcdef.atlas"])
def test_other_names_are_no_shards(name):
    assert names.parse_shard_name(name) is None and not names.is_shard_name(name)


@pytest.mark.parametrize("token", [None, "0123456789abcdef"])
def test_a_journal_is_known_by_its_name(token):
    assert names.is_journal(names.journal_name(token)) and names.resembles_journal(names.journal_name(token))


def test_a_file_that_only_resembles_a_journal():
    assert not names.is_journal(".writing-mine.json") and names.resembles_journal(".writing-mine.json")


@pytest.mark.parametrize("number", [0, 42, 123_456])
def test_a_part_name_is_what_was_made(number):
    assert names.parse_part_name(names.part_name(number)) == number


@pytest.mark.parametrize("name", ["", "7", "0000x", "01234567890"])
def test_other_names_are_no_parts(name):
    assert names.parse_part_name(name) is None


@pytest.mark.parametrize("tar", ["a.tar", "a.tar.gz", "b.tgz"])
def test_the_index_of_a_tar_is_known_by_its_name(tar):
    assert names.is_tar_index(names.tar_index_name(tar)) and not names.is_tar_index(tar)


def test_unfinished_shards_are_known_by_their_names():
    for name in ("00002-0123456789abcdef.atlas", ".tmp-00001-token-0"):
        assert names.resembles_shard(name)
    for name in ("atlas.json", "notes.txt", ".tmp-journal-token-0", "tmp-00001-token-0"):
        assert not names.resembles_shard(name)


@pytest.mark.parametrize(("name", "known"), [("00000-0123456789abcdef.atlas", True), ("atlas.json", True), ("done.json", True), (".atlas.lock", True), (".atlas.lock-held", True), (".writing.json", True), (".tmp-x", True), (".tmp-", False), ("notes.txt", False), (".writing-mine.json", False)])
def test_what_writers_name(name, known):
    assert names.is_of_writer(name) is known
