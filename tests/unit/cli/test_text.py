"""Times, tables and values as people read them; the progress line."""

import io
import sys

import numpy as np
import pytest

from atlas_ds import progress
from atlas_ds.cli.text import brief, brief_json, duration, one_line, ratio, table
from atlas_ds.progress import Progress
from atlas_ds.text import count


@pytest.mark.parametrize(("value", "text"), [(8.5e-7, "850 ns"), (1.6e-6, "1.6 us"), (0.045, "45 ms"), (3.2, "3.2 s"), (245, "4:05 min")])
def test_duration(value, text):
    assert duration(value) == text


def test_small_words():
    assert (ratio(241, 100), ratio(1, 0)) == ("2.41x", "-")
    assert (count(1, "row"), count(2000, "row")) == ("1 row", "2,000 rows")
    assert table([("a", "n"), ("bb", "10")], right=(1,)) == "a    n\nbb  10"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(8, dtype=np.int16), "int16 8 [0 1 2 3 4 5 ...]"),
        (np.float32(1.5), "1.5"),
        (np.array(1.0), "float64 scalar [1]"),
        (np.zeros((0, 3)), "float64 0x3 []"),
        (b"", "0 B of bytes"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), "2.01 kB of image/png"),
        (memoryview(b"abc"), "3 B of bytes"),
        ("grüße\n", '"grüße\\n"'),
        ("x" * 500, '"' + "x" * 100 + '..." (500 characters)'),
        (None, "null"),
        (True, "true"),
        ({"a": [1, np.ones(2)]}, '{"a": [1, {"dtype": "float64", "shape": [2], "values": [1.0, 1.0]}]}'),
        (float("nan"), '"nan"'),
    ],
)
def test_brief(value, text):
    assert brief(value) == text


def test_brief_json_is_json():
    assert brief_json(np.array([1 + 2j, np.nan], np.complex64))["dtype"] == "complex64"
    assert brief_json(np.array([np.inf])) == {"dtype": "float64", "shape": [1], "values": ["inf"]}


def test_one_line():
    assert one_line(FileNotFoundError(2, "No such file or directory", "x")) == "x: No such file or directory"
    assert one_line(KeyError("no column 'a'")) == "no column 'a'"
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"
    assert one_line(ValueError("x" * 50_000)) == "x" * 4000 + "..."


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress(monkeypatch):
    monkeypatch.setattr(progress, "TERMINAL", progress.TERMINAL._replace(first=0.0))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(1000, "converting", "rows", True) as bar:
        bar.advance(250)
    shown = sys.stderr.getvalue()
    assert "converting  250 of 1,000 rows (25%)" in shown and "rows/s" in shown and "left" in shown and shown.endswith("\r\x1b[K")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(None, "reading", "rows", True) as bar:
        bar.advance(3)
    assert "reading  3 rows" in sys.stderr.getvalue()


def test_progress_is_silent(monkeypatch):
    for stream, enabled in ((io.StringIO(), True), (Terminal(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(10, "x", "rows", enabled) as bar:
            bar.advance(10)
        assert stream.getvalue() == ""
