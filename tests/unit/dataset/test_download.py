"""download: a complete copy, counted at the server; after kills, faults and changes at both ends."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import cli
from atlas_ds.dataset import download as module
from atlas_ds.errors import CorruptError, DatasetChanged, NotADataset, StoreError, WriterBusy
from servers import proxy, web

RANGE = 32 << 10  # in these tests
OPTIONS = {"allow_http": True}
SHARDS = 4


def write(folder, seed=0, **options):
    rng = np.random.default_rng(seed)
    with atlas.AtlasDatasetWriter(folder, shard_size=100, **options) as writer:
        writer.extend({"label": i, "photo": rng.bytes(4000)} for i in range(100 * SHARDS))


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin")
    with web.serving(folder / "root", folder / "nginx") as url:
        write(folder / "root" / "cars")
        yield folder / "root", url


@pytest.fixture
def link(origin):
    with proxy.in_front_of(origin[1]) as found:
        yield found


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch):
    monkeypatch.setattr(module, "RANGE", RANGE)


def get(link, path, **options):
    atlas.download(f"{link.endpoint}/cars", path, storage_options=OPTIONS | options, progress=False)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".atlas.lock"}


def fetched(link):
    """How often each range was asked for, by file."""
    return Counter((one.path, one.range) for one in link.requests if one.range)


def twice(link, size):
    """Bytes of a file that were asked for more than once, of all files. size: of the largest."""
    counts = {}
    for path, (start, stop) in (key for key, times in fetched(link).items() for _ in range(times)):
        counts.setdefault(path, np.zeros(size, np.int64))[start:stop] += 1
    return sum(int(np.maximum(count - 1, 0).sum()) for count in counts.values())


def largest(folder):
    return max(path.stat().st_size for path in folder.glob("*.atlas"))


def test_a_copy_takes_each_byte_once(origin, link, tmp_path):
    source = origin[0] / "cars"
    get(link, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(source)
    asked = fetched(link)
    assert set(asked.values()) == {1} and all(one.method == "GET" for one in link.requests)
    assert sum(stop - start for _, (start, stop) in asked) == sum(path.stat().st_size for path in source.glob("*.atlas"))
    assert max(stop - start for _, (start, stop) in asked) == RANGE
    assert [one.path for one in link.requests if not one.range] == ["/cars/atlas.json"]
    link.requests.clear()
    get(link, tmp_path / "copy")
    assert len(link.requests) == 1, "what is complete costs its manifest"
    next((tmp_path / "copy").glob("00002-*")).unlink()
    get(link, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(source) and {path.split("/")[2][:5] for path, _ in fetched(link)} == {"00002"}


def test_what_is_in_memory_is_bounded():
    started = threading.Semaphore(0)

    def call(number):
        started.release()
        return number

    results = module.in_order(lambda number=number: call(number) for number in range(100))
    for taken in range(100):
        assert next(results) == taken
        for _ in range(module.REQUESTS if taken == 0 else taken + module.REQUESTS <= 100):
            assert started.acquire(timeout=10), "as many as may be are under way"
        assert not started.acquire(timeout=0.01), "and no more"
    assert module.REQUESTS * (4 << 20) <= 64 << 20


CHILD = """
import sys
import atlas_ds as atlas
from atlas_ds.dataset import download
download.RANGE = int(sys.argv[3])
atlas.download(sys.argv[1], sys.argv[2], storage_options={"allow_http": True}, progress=False)
"""


def kill_at_random(origin, link, tmp_path, seed, kills):
    """Downloads with so many SIGKILLs on the way, each after some requests. Returns how many there were."""
    rng, copy, killed = random.Random(seed), tmp_path / f"copy-{seed}", 0
    link.requests.clear()
    link.change = proxy.stalled(0.01)
    while True:
        seen, stop = len(link.requests), rng.randrange(2, 30) if killed < kills else 1 << 30
        child = subprocess.Popen([sys.executable, "-c", CHILD, f"{link.endpoint}/cars", str(copy), str(RANGE)])
        while child.poll() is None and len(link.requests) - seen < stop:
            time.sleep(0.002)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            killed += 1
        if child.wait() == 0:
            break
        assert not (copy / "atlas.json").exists(), "half a copy is no dataset"
    assert files(copy) == files(origin[0] / "cars"), "the same bytes, and nothing else"
    assert twice(link, largest(copy)) <= killed * module.REQUESTS * RANGE
    return killed


def test_a_killed_download_continues(origin, link, tmp_path):
    assert kill_at_random(origin, link, tmp_path, 0, 6) >= 3


@pytest.mark.campaign
def test_a_killed_download_continues_for_long(origin, link, tmp_path):
    assert sum(kill_at_random(origin, link, tmp_path, seed, 8) for seed in range(1, 30)) > 100


def test_ctrl_c_says_that_it_can_be_continued(origin, link, tmp_path):
    link.change = proxy.stalled(0.05)
    command = [sys.executable, "-m", "atlas_ds", "download", f"{link.endpoint}/cars", tmp_path / "copy", "--storage-option", "allow_http=true"]
    code = f"import sys; from atlas_ds.dataset import download; download.RANGE = {RANGE}; from atlas_ds.cli import main; sys.exit(main(sys.argv[1:]))"
    child = subprocess.Popen([sys.executable, "-c", code, *map(str, command[3:])], stderr=subprocess.PIPE, text=True)
    while len(fetched(link)) < 20:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and err == f"atlas-ds: error: interrupted; {module.AGAIN}\n" and time.monotonic() - begin < 20
    assert not (tmp_path / "copy" / "atlas.json").exists()
    link.change = lambda _, answer: answer
    assert cli.main([*map(str, command[3:]), "--quiet"]) == 0
    assert files(tmp_path / "copy") == files(origin[0] / "cars") and twice(link, largest(tmp_path / "copy")) <= module.REQUESTS * RANGE


FAULTS = {"503": proxy.status(503), "500": proxy.status(500), "404": proxy.status(404), "reset": proxy.reset, "cut": proxy.cut, "short": proxy.short, "flipped": proxy.flipped}


def in_shards(link, change, times):
    """Changes the answers to some requests for ranges."""
    left = iter([change] * times)
    link.change = lambda request, answer: next(left, lambda _, same: same)(request, answer) if request.range and request.range[0] else answer
    return left


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes(origin, link, tmp_path, fault):
    left = in_shards(link, FAULTS[fault], 1)
    get(link, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(origin[0] / "cars") and next(left, None) is None


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("503", StoreError, "503"), ("reset", StoreError, "cannot be read"), ("404", FileNotFoundError, "atlas.json names it"), ("short", DatasetChanged, "were asked for"),
        ("flipped", CorruptError, "arrived twice with wrong bytes: .*hash.*repair http"),
    ],
)  # fmt: skip
def test_a_fault_that_stays(origin, link, tmp_path, fault, error, words):
    bad = sorted((origin[0] / "cars").glob("*.atlas"))[2].name
    link.change = lambda request, answer: FAULTS[fault](request, answer) if bad in request.path else answer
    with pytest.raises(error, match=words) as caught:
        get(link, tmp_path / "copy", timeout=1)
    assert module.AGAIN in str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))
    assert not (tmp_path / "copy" / "atlas.json").exists()
    there = files(tmp_path / "copy")
    with pytest.raises(NotADataset, match="a download is active here, or was stopped"):
        atlas.AtlasDataset(tmp_path / "copy")
    link.change = lambda _, answer: answer
    link.requests.clear()
    get(link, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(origin[0] / "cars")
    assert not any(name in path for name in there if name.endswith(".atlas") and name[0] != "." for path, _ in fetched(link)), "complete shards are kept"


def test_bytes_that_were_damaged_on_this_disk_are_fetched_again(origin, link, tmp_path):
    link.change = lambda request, answer: proxy.status(404)(request, answer) if request.range and request.range[0] >= 4 * RANGE else answer
    with pytest.raises(FileNotFoundError):
        get(link, tmp_path / "copy")
    (begun,) = (tmp_path / "copy").glob(".tmp-00000-*")
    assert begun.stat().st_size == 4 * RANGE
    data = bytearray(begun.read_bytes())
    data[2 * RANGE] ^= 1
    begun.write_bytes(data)
    link.change = lambda _, answer: answer
    get(link, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(origin[0] / "cars")


def test_nothing_else_is_overwritten(origin, link, tmp_path):
    write(tmp_path / "other", seed=1)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, words in {"other": "another dataset", "strange": "other files and no dataset", "file": "is a file"}.items():
        before = files(tmp_path / name) if name != "file" else {}
        with pytest.raises(FileExistsError, match=words):
            get(link, tmp_path / name)
        assert name == "file" or files(tmp_path / name) == before
    assert fetched(link) == {}
    with pytest.raises(NotADataset, match=r"atlas\.json not found"):
        atlas.download(f"{link.endpoint}/none", tmp_path / "new", storage_options=OPTIONS)
    with pytest.raises(ValueError, match="is one file"):
        atlas.download(f"{link.endpoint}/cars/00000-0000000000000000.atlas", tmp_path / "new", storage_options=OPTIONS)
    with pytest.raises(ValueError, match="is not a URL"):
        atlas.download(str(tmp_path / "other"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_stopped_download_of_another_dataset_is_left(origin, link, tmp_path):
    shutil.copytree(origin[0] / "cars", origin[0] / "mirror", dirs_exist_ok=True)
    link.change = lambda request, answer: proxy.status(403)(request, answer) if "/00003-" in request.path else answer
    with pytest.raises(StoreError):
        get(link, tmp_path / "copy")
    write(origin[0] / "second", seed=2, overwrite=True)
    before = files(tmp_path / "copy")
    with pytest.raises(FileExistsError, match=f"a download of {link.endpoint}/cars was stopped here"):
        atlas.download(f"{link.endpoint}/second", tmp_path / "copy", storage_options=OPTIONS)
    assert files(tmp_path / "copy") == before
    link.requests.clear()
    link.change = lambda _, answer: answer
    atlas.download(f"{link.endpoint}/mirror", tmp_path / "copy", storage_options=OPTIONS, progress=False)
    assert files(tmp_path / "copy") == files(origin[0] / "cars") and {path.split("/")[2][:5] for path, _ in fetched(link)} == {"00003"}


def test_one_download_or_writer_at_a_time(origin, link, tmp_path):
    with atlas.AtlasDatasetWriter(tmp_path / "written") as writer:
        writer.add_example({"label": 1})
        with pytest.raises(WriterBusy, match="another writer is active"):
            get(link, tmp_path / "written")
    link.change = proxy.stalled(0.2)
    first = threading.Thread(target=get, args=(link, tmp_path / "copy"))
    first.start()
    while not fetched(link):
        time.sleep(0.01)
    for second in (get, lambda _, path: atlas.AtlasDatasetWriter(path)):
        with pytest.raises(WriterBusy, match="this process"):
            second(link, tmp_path / "copy")
    first.join()
    assert files(tmp_path / "copy") == files(origin[0] / "cars")


def test_a_dataset_that_is_replaced_meanwhile(tmp_path, origin, link):
    source = origin[0] / "changing"
    write(source, seed=3)
    url = f"{link.endpoint}/changing"
    old = files(source)
    replaced = threading.Event()

    def change(request, answer):
        if "/00002-" in request.path and not replaced.is_set():
            replaced.set()
            write(source, seed=4, overwrite=True)
        return answer

    link.change = change
    with pytest.raises(DatasetChanged, match="was replaced"):
        atlas.download(url, tmp_path / "copy", storage_options=OPTIONS, progress=False)
    assert old.keys() & files(tmp_path / "copy").keys(), "shards of the old one are there"
    atlas.download(url, tmp_path / "copy", storage_options=OPTIONS, progress=False)
    assert files(tmp_path / "copy") == files(source), "nothing of the old one is left"


def test_rows_that_are_appended_meanwhile(tmp_path, origin, link):
    source = origin[0] / "growing"
    write(source, seed=5)
    old = files(source)
    grown = threading.Event()

    def change(request, answer):
        if request.range and not grown.is_set():
            grown.set()
            write(source, seed=6, append=True)
        return answer

    link.change = change
    atlas.download(f"{link.endpoint}/growing", tmp_path / "copy", storage_options=OPTIONS, progress=False)
    assert files(tmp_path / "copy") == old, "the dataset as it was at the start"
    with pytest.raises(FileExistsError, match="another version of this one"):
        atlas.download(f"{link.endpoint}/growing", tmp_path / "copy", storage_options=OPTIONS)


def test_a_full_disk(origin, link, tmp_path, monkeypatch):
    real, room = os.writev, iter(range(40 * RANGE, 0, -RANGE))

    def full(fd, pieces):
        if sum(map(len, pieces)) >= RANGE and next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, pieces)

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(OSError, match=rf"the disk is full: make room there.*{module.AGAIN}.*copy/.tmp-0000") as caught:
        get(link, tmp_path / "copy")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(os, "writev", real)
    get(link, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(origin[0] / "cars") and twice(link, largest(tmp_path / "copy")) <= module.REQUESTS * RANGE


def test_a_writer_that_starts_over_removes_what_a_download_left(origin, link, tmp_path):
    link.change = lambda request, answer: proxy.status(403)(request, answer) if "/00002-" in request.path and request.range[0] else answer
    with pytest.raises(StoreError):
        get(link, tmp_path / "copy")
    with atlas.AtlasDatasetWriter(tmp_path / "copy") as writer:
        writer.add_example({"label": 1})
    assert len(files(tmp_path / "copy")) == 2


def test_a_dataset_of_a_store(origin, tmp_path):
    from atlas_ds.store.local import LocalStore

    atlas.download(LocalStore(origin[0] / "cars"), tmp_path / "copy", progress=False)
    assert files(tmp_path / "copy") == files(origin[0] / "cars")


def test_the_command(origin, tmp_path, capsys):
    argv = ["download", f"{origin[1]}/cars", str(tmp_path / "copy"), "--storage-option", "allow_http=true"]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert "400 rows" in out and "complete and checked" in out and err == ""
    assert files(tmp_path / "copy") == files(origin[0] / "cars")
    assert cli.main([*argv, "--json"]) == 0 and '"rows": 400' in capsys.readouterr()[0]
    assert cli.main(["download", str(tmp_path / "copy"), str(tmp_path / "x")]) == 1
    assert "copy its folder" in capsys.readouterr()[1]
