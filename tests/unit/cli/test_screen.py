"""Nothing that a dataset holds steers the terminal: names, values, notes, paths, in output, errors and JSON, whatever the terminal's encoding."""

import io
import json
import os
import subprocess
import sys

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, progress
from atlas_ds.cli.screen import Screen
from atlas_ds.progress import Progress
from atlas_ds.text import encodable, escaped, listed, printable
from support import child

STEER = "\x1b]52;c;\x07\x9b31m\u202e\u2066\u200b\u2028\U000e0041\x7f\r\b"
NAMES = {"column": "c\u00f6l" + STEER, "inner": "in" + STEER, "split": "sp\nlit" + STEER}


@pytest.fixture
def evil(tmp_path):
    path = tmp_path / "evil"
    with AtlasDatasetWriter(path, workers=0, metadata={"k" + STEER: STEER}) as writer:
        example = {NAMES["column"]: 7, "text": "t\u00e9xt" + STEER, "s": {NAMES["inner"]: STEER}, "o": [{STEER: STEER}], "n\nall is whole": 1}
        writer.add_example(example, split=NAMES["split"])
    return path


def run(*args, cwd, **env):
    command = [sys.executable, "-m", "atlas_ds", *map(os.fspath, args)]
    whole = {name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL", "PYTHONIOENCODING")} | env
    whole |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=cwd, capture_output=True, env=whole, timeout=120)
    return done.returncode, done.stdout, done.stderr


def need_plain(data, encoding="utf-8"):
    text = data.decode(encoding)
    assert text.replace("\n", "").isprintable(), ascii(text)
    return text


# --- the escape ---


@pytest.mark.parametrize("char", "\x1b\x07\x9b\u202e\u2066\u200b\u2028\U000e0041\x7f\r\b\0\x1f\x80\x85\xad\u061c\u200d\u200f\u2029\u202a\u2069\ufeff\ufff9\ud800\udfff\U000e007f", ids=lambda char: f"{ord(char):x}")
def test_what_steers_is_escaped(char):
    shown = printable(f"a{char}b")
    assert shown == f"a{escaped(char)}b" and shown.isprintable() and shown.isascii()
    assert json.loads(f'"{shown}"') == f"a{char}b"


@pytest.mark.parametrize("text", ["", "plain", "\u00e9\u00df\u4e2d\u6587 \u0627\u0644\u0639\u0631\u0628\u064a\u0629", "no\u00a0break", "\U0001f600\ufe0f", "back\\slash", "ideographic\u3000space"])
def test_other_text_stays(text):
    assert printable(text) == text


def test_what_is_kept():
    assert printable("a\nb\tc", keep="\n") == "a\nb\\u0009c" and printable(3) == "3"


def test_an_encoding_that_lacks_characters():
    assert encodable("a\u00e9\u4e2d\U0001f600", "latin-1") == "a\u00e9\\u4e2d\\ud83d\\ude00"
    assert encodable("\u00e9", "ascii") == "\\u00e9" and encodable("\u00e9", None) == "\u00e9" == encodable("\u00e9", "utf-8")


def test_a_list_of_names_is_bounded():
    assert listed([]) == "none" and listed(["a", "b\x1b"]) == "a, b\\u001b"
    assert listed([str(k) for k in range(100)], 3) == "0, 1, 2, ... (100 in all)"
    assert len(listed(["x" * 10_000] * 50)) < 10_000


def test_a_screen_over_any_stream():
    for encoding in ("ascii", "latin-1", "utf-8", "cp1252"):
        under = io.BytesIO()
        stream = io.TextIOWrapper(under, encoding)
        screen = Screen(stream)
        print("\x1b\u00e9\u4e2d\ud800", file=screen, flush=True)
        assert need_plain(under.getvalue(), encoding).endswith("\\ud800\n") and screen.encoding == encoding and screen.writable() and not screen.isatty()


# --- the commands ---

COMMANDS = (
    ["info"], ["info", "--shards"], ["info", "--json"], ["head"], ["head", "--json"], ["head", "--columns", "nope"], ["head", "--split", "nope"], ["verify"], ["verify", "--json"],
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_output_of_commands(evil, cli, command):
    code, out, err = cli(*command, evil)
    assert code == (1 if "nope" in command else 0) and bool(out) == (code == 0)
    need_plain((out + err).encode())
    assert "all is whole" not in [line.strip() for line in out.splitlines()]


def test_json_says_what_is_there(evil, cli):
    told = json.loads(cli("info", evil, "--json")[1])
    assert told["splits"] == {NAMES["split"]: 1} and told["metadata"] == {"k" + STEER: STEER} and told["columns"][0]["name"] == NAMES["column"]
    shown = json.loads(cli("head", evil, "--json")[1])
    assert shown[NAMES["column"]] == 7 and shown["s"] == {NAMES["inner"]: STEER} and "t\u00e9xt" in cli("head", evil, "--json")[1]


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "utf-8"}], ids=str)
def test_any_encoding_of_the_terminal(evil, env):
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    for command in (["info"], ["head"], ["head", "--json"]):
        code, out, err = run(*command, evil, cwd=evil.parent, **env)
        assert (code, err) == (0, b"")
        text = need_plain(out, encoding)
        if "--json" in command:
            assert json.loads(text)["text"].startswith("t\u00e9xt")


def test_names_of_files_that_are_not_text(tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff\x1b[2J\nall is whole"
    with AtlasDatasetWriter(odd, workers=0) as writer:
        writer.add_example({"x": 1})
    for command in (["info"], ["info", "--json"], ["verify"], ["head"], ["repair"]):
        code, out, err = run(*command, os.fsdecode(odd), cwd=tmp_path)
        assert (code, err) == (0, b"") and "all is whole" not in need_plain(out).splitlines()
    code, out, err = run("info", os.fsdecode(odd) + "-none", cwd=tmp_path)
    assert code == 1 and need_plain(err).count("\n") == 1
    code, out, err = run("info", "a", os.fsdecode(odd), cwd=tmp_path)
    assert code == 2 and need_plain(err).count("\n") == 1


def test_damage_whose_message_holds_names(evil, cli):
    shard = next(evil.glob("*.atlas"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    for command in (["verify"], ["verify", "--json"], ["repair"]):
        code, out, err = cli(*command, evil)
        assert code == 1 or command == ["repair"]
        need_plain((out + err).encode())


FAULT = """
import sys, warnings
from atlas_ds.cli import info, main
def broken(path, **options):
    warnings.warn("careful " + sys.argv[1], RuntimeWarning, stacklevel=2)
    raise AssertionError("wrong " + sys.argv[1])
info.AtlasDataset = broken
print(main(["info", "x"]))
"""


def test_warnings_and_faults_are_plain():
    done = child(FAULT, STEER)
    assert done.stdout == "1\n" and "warning: careful" in done.stderr and "unexpected AssertionError: wrong" in done.stderr and "Traceback" not in done.stderr
    need_plain(done.stderr.encode())


def test_many_splits_are_cut(tmp_path, cli):
    with AtlasDatasetWriter(tmp_path / "d", workers=0, schema=int) as writer:
        for k in range(300):
            writer.add_example(k, split=f"part{k}")
    out = cli("info", tmp_path / "d")[1]
    assert "(300 in all)" in out and "part299" not in out and len(json.loads(cli("info", tmp_path / "d", "--json")[1])["splits"]) == 300


def test_progress_shows_no_steering_label(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "TERMINAL", progress.TERMINAL._replace(first=0.0))
    with Progress(10, "a\x9bb", "rows") as bar:
        bar.advance(3)
    assert "a\\u009bb" in sys.stderr.getvalue()


# --- errors in Python ---


def test_errors_say_names_without_steering(evil):
    ds = AtlasDataset(evil)
    doors = [
        lambda: AtlasDataset(evil, columns=["nope"]), lambda: AtlasDataset(evil, split="nope"), lambda: ds.column("nope"), lambda: ds.schema["nope"], lambda: ds.batch([0], ["nope"]),
        lambda: AtlasDataset(evil / STEER.replace("\0", "")), lambda: AtlasDatasetWriter(evil, append=True, schema={"x": int}),
    ]  # fmt: skip
    for door in doors:
        with pytest.raises((KeyError, errors.AtlasError, FileNotFoundError)) as caught:
            door()
        shown = str(caught.value)
        assert shown.replace("\n", "").isprintable(), ascii(shown)


def test_the_text_of_an_error_is_plain_and_its_args_are_whole():
    for kind in (errors.AtlasError, errors.CorruptError, errors.SchemaError, errors.DatasetChanged, errors.LoaderTimeout, errors.WriterBusy):
        error = kind(f"a{STEER}\nb")
        assert str(error).split("\n")[1] == "b" and str(error).replace("\n", "").isprintable() and error.args == (f"a{STEER}\nb",)


def test_a_traceback_is_plain(evil):
    code = f"from atlas_ds import errors\nerror = errors.CorruptError({STEER!r})\nfrom atlas_ds.dataset.row_place import add_note\nadd_note(error, {STEER!r})\nraise error"
    done = child(code, check=False)
    need_plain(done.stderr.encode())
