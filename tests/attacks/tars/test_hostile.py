"""Every hostile tar through import_webdataset, its dry run, a stream, and open_tar: the error that was announced, nothing left behind.

A child process then does it all again, and shows that nothing is run, opened or written elsewhere, and what it costs at most.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import errors
from atlas_ds.errors import AtlasError, UnsupportedError
from attacks.tars import hostile
from attacks.tars.craft import END, by_tarfile, listing, member, read
from attacks.tars.hostile import ATTACKS, Attack
from support import child

NAMES = [attack.name for attack in ATTACKS]
TAKEN = list(hostile.taken())


def in_data(attack: Attack) -> bool:
    """Whether the harm is in a member's data, which the walk through headers does not read."""
    return attack.name.startswith("sparse 1.0") or attack.name == "sparse_map_of_a_million_entries"


def test_what_the_attacks_start_from_is_good() -> None:
    assert read(hostile.GOOD + END) == [("a", {"txt": b"1"}), ("b", {"txt": b"2"})]


def test_there_are_many_and_each_tells_its_lesson() -> None:
    assert len(set(NAMES)) == len(NAMES) > 80
    assert all(len(attack.make.__doc__ or "") > 10 for attack in ATTACKS if not attack.name.startswith("sparse "))


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack) -> None:
    data, error = attack.make(), getattr(errors, attack.error)
    path, out = tmp_path / "t.tar", tmp_path / "out"
    path.write_bytes(data)
    with pytest.raises(error, match=attack.match):
        atlas.import_webdataset(path, out)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    with pytest.raises(error, match=attack.match):
        atlas.import_webdataset("-", out)
    if not in_data(attack):
        with pytest.raises(error, match=attack.match):
            atlas.import_webdataset(path, out, dry_run=True)
    if attack.match != "no sample":
        with pytest.raises((error, UnsupportedError)):  # packed tars and sparse members are not read in place
            atlas.open_tar(path, progress=False)
        assert listing(tmp_path) == {"t.tar"}


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_it_is_read(tmp_path: Path, case: hostile.Taken) -> None:
    path = tmp_path / "t.tar"
    path.write_bytes(case.data)
    report = atlas.import_webdataset(path, tmp_path / "out")
    rows = [(row.pop("__key__"), row) for row in map(dict, atlas.AtlasDataset(tmp_path / "out"))]
    assert [(key, {name: value for name, value in row.items() if value is not None}) for key, row in rows] == case.samples
    assert report.rows == atlas.import_webdataset(path, tmp_path / "no", dry_run=True).rows == len(case.samples)
    assert "\x1b" not in "".join(report.notes) and "\u202e" not in "".join(report.notes)
    assert {name.split("/")[0] for name in listing(tmp_path)} == {"t.tar", "out"}
    if case.name != "nested":
        ds = atlas.open_tar(path, progress=False)
        assert [row["__key__"] for row in ds] == [key for key, _ in case.samples]
        assert listing(tmp_path) >= {"t.tar.atlas"}


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("form", hostile.FORMS)
def test_sparse_files_read_as_tarfile_reads_them(form: str, seekable: bool) -> None:
    data = hostile.by_gnu(form)
    whole = hostile.tarfile_reads(data)
    assert len(whole) == 10_000 and whole.startswith(b"data\0") and whole[5000:5001] == b"x"
    assert read(data, seekable=seekable) == [("s", {"bin": whole})]
    assert read(hostile.FORMS[form](7, []), seekable=seekable) == [("s", {"bin": bytes(7)})]


@pytest.mark.parametrize("form", hostile.FORMS)
def test_every_cut_of_a_sparse_file(form: str) -> None:
    data = hostile.by_gnu(form)
    for size in range(len(data)):
        with pytest.raises(errors.TruncatedError, match=f"byte {size}:"):
            read(data[:size])


# --- keys, under each policy ---


def test_duplicates_and_interleaved_keys_under_each_policy() -> None:
    data = b"".join(member(*pair) for pair in ((b"a.txt", b"1"), (b"b.txt", b"2"), (b"a.txt", b"3"), (b"a.bin", b"4"))) + END
    apart = {"interleaved": "separate"}
    assert read(data, **apart) == [("a", {"txt": b"1"}), ("b", {"txt": b"2"}), ("a", {"txt": b"3", "bin": b"4"})]
    for duplicates in ("first", "last"):
        with pytest.raises(errors.SchemaError, match="occurs again"):
            read(data, duplicates=duplicates)
    twice = member(b"a.txt", b"1") + member(b"a.TXT", b"2") + END
    assert read(twice, duplicates="first") == [("a", {"txt": b"1"})]
    assert read(twice, duplicates="last") == [("a", {"txt": b"2"})]
    assert read(twice, keep_case=True) == [("a", {"txt": b"1", "TXT": b"2"})]


@pytest.mark.parametrize("duplicates, text", [("first", b"1"), ("last", b"3")])
def test_joined_keys(tmp_path: Path, duplicates: str, text: bytes) -> None:
    path = tmp_path / "t.tar"
    path.write_bytes(b"".join(member(*pair) for pair in ((b"a.txt", b"1"), (b"b.txt", b"2"), (b"a.txt", b"3"))) + END)
    with pytest.raises(errors.SchemaError, match="already"):
        atlas.import_webdataset(path, tmp_path / "out", interleaved="merge")
    atlas.import_webdataset(path, tmp_path / "out", interleaved="merge", duplicates=duplicates)
    assert [row["txt"] for row in atlas.AtlasDataset(tmp_path / "out")] == [text, b"2"]


# --- values ---


def test_pickles_are_refused_by_name_and_never_read(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.array([hostile.Evil()], object), allow_pickle=True)
    for name, data in {"a.pkl": pickle.dumps(hostile.Evil()), "a.pth": b"x", "a.npy": array.getvalue()}.items():
        path = tmp_path / "t.tar"
        path.write_bytes(by_tarfile([(name, data)]))
        for options in ({"decode": True}, {"decode": [name[2:]]}):
            with pytest.raises(UnsupportedError, match=rf"t\.tar: a\.{name[2:]}\b.*pickle"):
                atlas.import_webdataset(path, tmp_path / "out", **options)
        assert listing(tmp_path) == {"t.tar"}
        atlas.import_webdataset(path, tmp_path / "out")
        assert atlas.AtlasDataset(tmp_path / "out")[0][name[2:]] == data
        ds = atlas.open_tar(path, decode=True, progress=False)
        with pytest.raises(UnsupportedError, match="pickle"):
            ds[0]
        for left in ("out", "t.tar.atlas"):
            remove(tmp_path / left)


def remove(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True) if path.is_dir() else []:
        inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir() if path.is_dir() else path.unlink()


# --- sources ---


@pytest.mark.parametrize(
    "source, error, match",
    [
        ("pipe:touch ran", "UnsupportedError", "would run a program"),
        ("PIPE:touch ran", "UnsupportedError", "would run a program"),
        ("a.tar::pipe:touch ran", "UnsupportedError", "would run a program"),
        ("{pipe,pipe}:touch ran", "UnsupportedError", "would run a program"),
        ("file://other/etc/passwd", "UnsupportedError", "another machine"),
        ("ftp://host/a.tar", "UnsupportedError", "is not supported"),
        ("{0..999999999}.tar", "LimitError", "names"),
        ("{0..999999}{0..999999}.tar", "LimitError", "names"),
        ("{{0..999999},{0..999999}}{0..999999}.tar", "LimitError", "names"),
        ("{a,b}" * 2000, "LimitError", "groups"),
        ("{" * 5000, "LimitError", "nested"),
        ("{a," * 5000, "LimitError", "nested"),
        ("{0.." + "9" * 5000 + "}", "AtlasError", "neither a range"),
        ("x" * 30_000 + "{0..9999}", "LimitError", "characters"),
        ("{0..9..0}", "AtlasError", "step 0"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_sources_that_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: str, match: str) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (lambda: atlas.import_webdataset(source, "out"), lambda: atlas.open_tar(source, progress=False)):
        with pytest.raises(getattr(errors, error), match=match):
            call()
    assert listing(tmp_path) == set()


def test_file_urls_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.tar").write_bytes(hostile.plain())
    for source in ("file:t.tar", f"file:{tmp_path}/t.tar", f"file://{tmp_path}/t.tar", f"file://localhost{tmp_path}/t.tar"):
        assert atlas.import_webdataset(source, "out", dry_run=True).rows == 2
    with pytest.raises(AtlasError, match=r"/etc/passwd: byte"):
        atlas.import_webdataset("file:///etc/passwd", "out")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.tar")
    for call in (atlas.import_webdataset, lambda path, out: atlas.open_tar(path, progress=False)):
        with pytest.raises(UnsupportedError, match="not a file but a pipe"):
            call(tmp_path / "t.tar", tmp_path / "out")
    assert listing(tmp_path) == {"t.tar"}


# --- what it costs, and that it runs nothing ---

GAUNTLET = """
import io, json, os, sys, time
import atlas_ds as atlas
from atlas_ds.errors import AtlasError
from attacks.tars import hostile

folder = sys.argv[1] + "/work"
os.mkdir(folder)
os.mkdir(sys.argv[1] + "/empty")
os.chdir(sys.argv[1] + "/empty")
path, out = folder + "/t.tar", folder + "/out"
seen = []

def elsewhere(name):
    # not below the folder; a bare name is one in a folder that is open (shutil.rmtree), for the child stands in a folder of its own
    return "/" in str(name) and str(name) != folder and not str(name).startswith((folder + "/", "/proc/self/"))

def hook(event, args):
    kind = event.split(".")[0]
    if event == "open" and elsewhere(args[0]):
        seen.append([event, str(args[0])])
    elif kind in ("exec", "compile", "import", "pickle", "subprocess", "socket", "ctypes", "marshal", "urllib") or event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.symlink", "os.chmod", "os.chown"):
        seen.append([event, repr(args)[:200]])
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "shutil.rmtree") and elsewhere(args[0]):
        seen.append([event, repr(args)[:200]])

def memory(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))

def run(data):
    with open(path, "wb") as file:
        file.write(data)
    del data
    for call in (lambda: atlas.import_webdataset(path, out, workers=1, overwrite=True), lambda: atlas.import_webdataset(path, out, dry_run=True),
                 lambda: atlas.import_webdataset(path, out, workers=1, overwrite=True, on_error="skip"), lambda: atlas.open_tar(path, progress=False)[:1][0]):
        yield cost(call)

def cost(call):
    with open("/proc/self/clear_refs", "w") as file:  # forgets the peak
        file.write("5")
    start, before = time.process_time(), memory("VmRSS")
    try:
        call()
    except (AtlasError, IndexError):  # IndexError: the first row of a tar without samples
        pass
    return time.process_time() - start, memory("VmHWM") - before

cases = [(one.name, one.make) for one in hostile.ATTACKS] + [(one.name, lambda one=one: one.data) for one in hostile.taken()]
for pack in ("gzip_bomb", "bzip2_bomb", "xz_bomb", "zstd_bomb", "lz4_bomb"):  # what is imported when first used
    list(run(getattr(hostile, pack)()[:-1]))
list(run(hostile.plain()))
made = [(name, make()) for name, make in cases]
sys.addaudithook(hook)
costs = {}
for name, data in made:
    both = list(run(data))
    costs[name] = [max(cpu for cpu, _ in both), max(kib for _, kib in both)]
done = list(seen)
if len(sys.argv) > 2:
    exec(sys.argv[2])
    done = list(seen)
left = sorted(os.listdir("."))
control = cost(lambda: bytearray(b"x") * (80 << 20))
print(json.dumps({"seen": done, "costs": costs, "control": control, "left": left, "made": sorted(os.listdir(folder)), "beside": sorted(os.listdir(".."))}))
"""


@pytest.fixture(scope="module")
def gauntlet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[float]]]:
    return json.loads(child(GAUNTLET, tmp_path_factory.mktemp("gauntlet")).stdout)


def test_nothing_is_run_or_opened_elsewhere(gauntlet: dict[str, list[object]]) -> None:
    assert gauntlet["seen"] == []
    assert gauntlet["left"] == [] and gauntlet["made"] == ["out", "t.tar", "t.tar.atlas"] and gauntlet["beside"] == ["empty", "work"]


def test_each_takes_less_than_a_second_of_cpu(gauntlet: dict[str, dict[str, list[float]]]) -> None:
    slow = {name: seconds for name, (seconds, _) in gauntlet["costs"].items() if seconds >= 1}
    assert len(gauntlet["costs"]) == len(ATTACKS) + len(TAKEN) and not slow


def test_each_takes_less_than_64_mib(gauntlet: dict[str, dict[str, list[float]]]) -> None:
    assert {name: kib // 1024 for name, (_, kib) in gauntlet["costs"].items() if kib >= 64 << 10} == {}
    assert gauntlet["control"][1] >= 64 << 10  # the measure measures


def test_the_hook_would_see_it(tmp_path: Path) -> None:
    code = GAUNTLET.replace("for name, data in made:", "for name, data in made[:1]:")
    for strange, event in (("open('/etc/passwd').close()", "open"), ("import os; os.system('true')", "os.system"), ("import pickle; pickle.loads(pickle.dumps(len))", "pickle.find_class")):
        (tmp_path / event).mkdir()
        assert event in {name for name, _ in json.loads(child(code, tmp_path / event, strange).stdout)["seen"]}
