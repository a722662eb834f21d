"""Spans: a mapped file, and anonymous memory whose blocks come and go."""

import os

import numpy as np
import pytest

from atlas_ds.errors import DatasetChanged
from atlas_ds.store.local import LocalStore
from atlas_ds.store.span import Span, open_mapped
from support import fd_count

DATA = bytes(range(256)) * 100


@pytest.fixture
def path(tmp_path):
    (tmp_path / "x").write_bytes(DATA)
    return tmp_path / "x"


def ram_span(path):
    store = LocalStore(path.parent)
    return Span(store, store.info(path.name), str(path))


def fetch(span, offset, size):
    [(_, answer)] = span.store.read_ranges([span.want(offset, size)])
    if isinstance(answer, Exception):
        raise answer
    span.store_bytes(offset, answer)


def divided(path, *ranges):
    """A span whose blocks are these (offset, size), all present."""
    span = ram_span(path)
    forgotten = []
    offsets, sizes = np.array(ranges).T
    span.divide(offsets, sizes, lambda number: True, forgotten.append)
    for number, (offset, size) in enumerate(ranges):
        fetch(span, offset, size)
        span.states.set(number)
    return span, forgotten


def test_mapped(path):
    before = fd_count()
    memory = open_mapped(path)
    assert memory[:] == DATA and memoryview(memory).readonly
    del memory
    assert fd_count() == before


def test_stored_bytes_are_where_they_are_in_the_file(path):
    span = ram_span(path)
    assert span.size == len(DATA) and span.memory[:] == bytes(len(DATA))
    fetch(span, 5000, 10_000)
    assert span.memory[5000:15_000] == DATA[5000:15_000] and not any(span.memory[:5000]) and not any(span.memory[15_000:])


def test_a_block_that_is_dropped_gives_its_pages_back(path):
    span, forgotten = divided(path, (64, 936), (1000, 9000), (10_000, 10_000), (20_000, 5000))
    span.states.clear(1)
    span.give_back(1)
    assert forgotten == [1]
    assert span.memory[64:1000] == DATA[64:1000], "of the page that it shares with the block before it"
    assert not any(span.memory[4096:8192])
    assert span.memory[10_000:25_000] == DATA[10_000:25_000], "and with the one after it"


def test_the_pages_at_the_ends_stay(path):
    span, _ = divided(path, (64, 9936), (10_000, 10_000))
    fetch(span, 0, 64)
    fetch(span, 20_000, 5600)
    for number in (0, 1):
        span.states.clear(number)
        span.give_back(number)
    assert span.memory[:64] == DATA[:64] and span.memory[20_000:25_600] == DATA[20_000:25_600]
    assert not any(span.memory[4096:8192]) and not any(span.memory[12_288:16_384])


@pytest.mark.parametrize("kind", ["coming", "leaving"])
def test_a_page_is_not_given_back_under_a_block_that_may_be_shown(path, kind):
    span, _ = divided(path, (64, 9936), (10_000, 2000), (12_000, 9000))
    for number in (1, 2):
        span.states.clear(number)
    getattr(span, kind).add(1)
    span.give_back(2)
    assert span.memory[10_000:12_288] == DATA[10_000:12_288]
    getattr(span, kind).clear()
    span.give_back(2)
    span.give_back(1)
    assert not any(span.memory[12_288:16_384])


def test_states_are_of_the_blocks(path):
    span, _ = divided(path, (64, 9936), (10_000, 2000))
    assert span.there() == [0, 1] and span.range_of(1) == (10_000, 2000)
    span.states.clear(0)
    assert span.there() == [1]
    with pytest.raises(IndexError, match="2 is out of range for 2 states"):
        span.states.set(2)


def test_short_reads_are_continued(path, monkeypatch):
    original = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: original(fd, [views[0][:7]], at))
    span = ram_span(path)
    fetch(span, 3, 1000)
    assert span.memory[3:1003] == DATA[3:1003]


def test_a_file_that_was_cut(path):
    span = ram_span(path)
    fetch(span, 0, 10)
    os.truncate(path, 1000)
    with pytest.raises(DatasetChanged, match="ends at byte 1000"):
        fetch(span, 900, 200)


def test_empty_files(tmp_path):
    (tmp_path / "x").touch()
    before = fd_count()
    for make in (open_mapped, ram_span):
        with pytest.raises(ValueError, match="empty"):
            make(tmp_path / "x")
    assert fd_count() == before
