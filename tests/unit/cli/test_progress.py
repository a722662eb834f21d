"""Progress in a terminal, in a notebook and in a log."""

import inspect
import io
import os
import sys
import types

import pytest

import atlas_ds as atlas
from atlas_ds import bridge, progress
from atlas_ds.progress import Progress, duration


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def notebook(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def told(monkeypatch, clock, terminal, seconds, step=0.05, label="converting", error=None):
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        with Progress(1000, label, "rows") as bar:
            for _ in range(int(seconds / step)):
                clock.now += step
                bar.advance()
            if error is not None:
                raise error
    except ValueError:
        pass
    return stream.getvalue()


def test_short_tasks_say_nothing(monkeypatch, clock):
    assert told(monkeypatch, clock, True, 0.4) == told(monkeypatch, clock, False, 4.9) == ""
    notebook(monkeypatch)
    assert told(monkeypatch, clock, False, 0.4) == ""


def test_a_terminal_has_one_line_that_fits(monkeypatch, clock):
    monkeypatch.setattr(progress, "width", lambda: 30)
    shown = told(monkeypatch, clock, True, 3.0, label="converting a folder of many files")
    assert "\n" not in shown and shown.endswith("\r\x1b[K")
    lines = shown.split("\r")[1:-1]
    assert 10 < len(lines) <= 30 and all(len(line.removesuffix("\x1b[K")) < 30 for line in lines)


def test_a_notebook_has_one_line_without_codes(monkeypatch, clock):
    notebook(monkeypatch)
    shown = told(monkeypatch, clock, False, 4.0, step=0.25)
    assert "\x1b" not in shown and "\n" not in shown and shown.count("converting") == 8
    last = shown.rsplit("\r", 2)
    assert last[1].strip(" ") == "" and last[2] == ""


def test_a_log_has_a_line_now_and_then(monkeypatch, clock):
    shown = told(monkeypatch, clock, False, 100.0, step=0.5)
    lines = shown.splitlines()
    assert len(lines) == 5 and shown.endswith("\n") and shown.isascii() and all(line.isprintable() for line in lines)
    assert lines[0].startswith("converting  10 of 1,000 rows (1%)") and lines[-1] == "converting  done: 200 rows in 1:40"
    assert told(monkeypatch, clock, False, 10.0, error=ValueError("x")).splitlines()[-1] == "converting  stopped by ValueError: 200 rows in 0:10"


def test_nobody_listens(monkeypatch, clock):
    class Broken(Stream):
        def write(self, text):
            raise BrokenPipeError

    for stream in (None, Broken(True), Broken(False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(10, "x") as bar:
            clock.now += 9
            bar.advance()


def test_width(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda fd=0: os.terminal_size((0, 0)))
    monkeypatch.delenv("COLUMNS", raising=False)
    assert progress.width() == 80


def test_durations():
    assert [duration(seconds) for seconds in (0.2, 61, 3600, 90061)] == ["0:00", "1:01", "1:00:00", "25:01:01"]


LONG = [atlas.download, atlas.verify, atlas.repair, atlas.shuffle, atlas.import_webdataset, atlas.export_webdataset, atlas.open_tar, atlas.import_atlas_v1, bridge.convert]


@pytest.mark.parametrize("function", LONG)
def test_long_calls_show_how_far_they_are(function):
    assert inspect.signature(function).parameters["progress"].default is True
