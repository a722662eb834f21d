"""Spans: a mapped file, and anonymous memory that is filled by ranges and given back."""

import os

import pytest

from atlas_ds.store.span import AnonymousSpan, open_mapped
from support import fd_count

DATA = bytes(range(256)) * 100


@pytest.fixture
def path(tmp_path):
    (tmp_path / "x").write_bytes(DATA)
    return tmp_path / "x"


def test_mapped(path):
    before = fd_count()
    memory = open_mapped(path)
    assert memory[:] == DATA and memoryview(memory).readonly
    del memory
    assert fd_count() == before


def test_fill_and_release(path):
    before = fd_count()
    span = AnonymousSpan(path)
    assert span.size == len(DATA) and span.memory[:] == bytes(len(DATA))
    span.fill(5000, 10_000)
    assert span.memory[5000:15_000] == DATA[5000:15_000] and not any(span.memory[:5000]) and not any(span.memory[15_000:])
    span.release(5000, 10_000)
    assert span.memory[5000:8192] == DATA[5000:8192] and not any(span.memory[8192:12288]) and span.memory[12288:15_000] == DATA[12288:15_000]
    span.release(5000, 10)
    assert span.memory[5000:8192] == DATA[5000:8192]
    del span
    assert fd_count() == before


def test_short_reads_are_continued(path, monkeypatch):
    original = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: original(fd, [views[0][:7]], at))
    span = AnonymousSpan(path)
    span.fill(3, 1000)
    assert span.memory[3:1003] == DATA[3:1003]


def test_a_file_that_was_cut(path):
    span = AnonymousSpan(path)
    os.truncate(path, 1000)
    with pytest.raises(OSError, match="ends at byte 1000"):
        span.fill(900, 200)


def test_empty_files(tmp_path):
    (tmp_path / "x").touch()
    before = fd_count()
    for make in (open_mapped, AnonymousSpan):
        with pytest.raises(ValueError, match="empty"):
            make(tmp_path / "x")
    assert fd_count() == before
