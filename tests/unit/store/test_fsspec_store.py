"""Datasets at URLs that fsspec reads: in its memory, and on a real FTP server."""

from __future__ import annotations

import io
import itertools
import logging
import os
import pickle
import random
import threading
import traceback

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import atlas_ds as atlas
from atlas_ds.errors import DatasetChanged, NotADataset, StoreError, UnsupportedError
from atlas_ds.store.fsspec_store import FsspecStore
from atlas_ds.store.helper import helper
from atlas_ds.store.open import open_store
from atlas_ds.store.store import Want
from atlas_ds.testing import check_reading
from servers import ftp

numbers = itertools.count()
ROWS = 2000
USER, PASSWORD = "me", "CANARYpassword"


def example(i):
    """So large that a range is a small part of a shard, whose transfer by FTP is broken off."""
    return {"label": i, "text": f"the text of car number {i} " * (i % 40), "photo": random.Random(i).randbytes(1500)}


def same_rows(dataset, rows=range(0, ROWS, 97)):
    return [dataset[i] for i in rows] == [example(i) for i in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with atlas.AtlasDatasetWriter(folder / "cars", shard_size=500, block_size="8KiB") as writer:
        writer.extend(map(example, range(ROWS)))
    return folder


@pytest.fixture(scope="module")
def url(folder):
    with ftp.serving(folder) as found:
        yield f"{found}/cars"


@pytest.fixture(scope="module")
def in_memory(folder):
    place = f"memory://fixture/{next(numbers)}"
    fsspec.filesystem("memory").put(f"{folder}/cars/", f"{place}/", recursive=True)
    return place


def in_a_fork(check):
    """Whether check() is true in a forked child."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if check() else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


# --- the rules ---


class FilledMemory(FsspecStore):
    def create(self):
        return True

    def put(self, name, data, *, expected=..., mark=None):
        fsspec.filesystem("memory").pipe_file(self._path(name), bytes(data))
        return self.info(name).version

    def delete(self, names):
        for name in names:
            fsspec.filesystem("memory").rm_file(self._path(name))


class FilledFtp(FsspecStore):
    def create(self):
        return True

    def put(self, name, data, *, expected=..., mark=None):
        path = self.served / self.prefix.removeprefix("/") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(data))
        os.utime(path, (0, next(numbers)))  # FTP tells times in seconds
        return self.info(name).version

    def delete(self, names):
        for name in names:
            (self.served / self.prefix.removeprefix("/") / name).unlink()


def test_the_rules_for_reading_in_memory():
    check_reading(lambda: FilledMemory(f"memory://rules/{next(numbers)}"))


def test_the_rules_for_reading_by_ftp(tmp_path, monkeypatch):
    monkeypatch.setattr(FilledFtp, "served", tmp_path, raising=False)
    with ftp.serving(tmp_path) as served:
        check_reading(lambda: FilledFtp(f"{served}/rules/{next(numbers)}"))


def test_the_rules_for_reading_by_ftp_in_a_forked_child(tmp_path, monkeypatch):
    monkeypatch.setattr(FilledFtp, "served", tmp_path, raising=False)
    with ftp.serving(tmp_path) as served:
        FilledFtp(served).put("used", b"before the fork")
        assert in_a_fork(lambda: check_reading(lambda: FilledFtp(f"{served}/rules/{next(numbers)}")) is None and helper.running)


def test_the_rules_for_reading_in_memory_in_a_forked_child():
    FilledMemory("memory://rules").put("used", b"before the fork")
    assert in_a_fork(lambda: check_reading(lambda: FilledMemory(f"memory://rules/{next(numbers)}")) is None)


# --- datasets ---


@pytest.mark.parametrize("cache", ["auto", None])
def test_a_dataset_is_opened_by_its_url(url, in_memory, cache):
    for place in (url, in_memory):
        dataset = atlas.AtlasDataset(place, cache=cache)
        assert len(dataset) == ROWS and same_rows(dataset) and dataset.path == place
        assert [row["label"] for row in atlas.AtlasDataset(f"{place}/atlas.json")] == list(range(ROWS))
        assert atlas.AtlasDataset(f"{place}/{dataset.shards[1].path}")[0]["label"] == 500
        assert dataset.batch([7, 1900, 3])["label"].tolist() == [7, 1900, 3]
        report = atlas.verify(place)
        assert (report.rows, report.damages) == (ROWS, [])
        with pytest.raises(NotADataset, match=r"atlas\.json not found"):
            atlas.AtlasDataset(f"{place}/nothing")


def test_a_loader_reads_it(url):
    seen = [int(k) for batch in atlas.Loader(atlas.AtlasDataset(url), batch_size=100, shuffle=True, seed=3) for k in batch["label"]]
    assert sorted(seen) == list(range(ROWS)) and seen != sorted(seen)


def test_what_was_read_stays_in_the_cache(url, in_memory):
    for place in (url, in_memory):
        for cache, fetched in (("auto", True), ("auto", False), (None, True)):
            dataset = atlas.AtlasDataset(place, cache=cache)
            assert same_rows(dataset)
            assert (dataset.shard_set.keeper.filling.counts()["requests"] > 0) == fetched


@pytest.mark.parametrize("cache", ["auto", None])
def test_children_forked_after_it_was_used_read_it(url, in_memory, cache):
    for place in (url, in_memory):
        dataset = atlas.AtlasDataset(place, cache=cache)
        assert same_rows(dataset, [0, ROWS - 1])
        for k in range(3):
            assert in_a_fork(lambda place=place, dataset=dataset, k=k: same_rows(dataset, range(k, ROWS, 300)) and same_rows(atlas.AtlasDataset(place), [7]))
        assert same_rows(dataset, [1500])


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_a_dataloader_read_it(folder, method):
    """Those that are started get the password."""
    data = pytest.importorskip("torch.utils.data")
    with ftp.serving(folder, USER, PASSWORD) as served:
        dataset = atlas.AtlasDataset(f"{served}/cars", storage_options={"username": USER, "password": PASSWORD})
        assert dataset[0]["label"] == 0
        loader = data.DataLoader(dataset, batch_size=100, num_workers=2, shuffle=True, multiprocessing_context=method)
        assert sorted(int(k) for batch in loader for k in batch["label"]) == list(range(ROWS))


def test_a_secret_is_nowhere(folder, caplog):
    """Not in a repr, a pickle, a log or an error."""
    caplog.set_level(logging.DEBUG)
    with ftp.serving(folder, USER, PASSWORD) as served:
        dataset = atlas.AtlasDataset(f"{served}/cars", storage_options={"username": USER, "password": PASSWORD})
        store = dataset._state.options.store
        said = [repr(store), repr(vars(store)), repr(store.options), repr(dataset), str(dataset._state.options)]
        said += [pickle.dumps(dataset).decode("latin-1"), pickle.dumps(store).decode("latin-1")]
        with pytest.raises(StoreError, match="530") as caught:
            FsspecStore(served, {"username": USER, "password": f"{PASSWORD}x"}).info("cars/atlas.json")
    text = io.StringIO()
    traceback.print_exception(caught.value, file=text)
    said += [text.getvalue(), pickle.dumps(caught.value).decode("latin-1"), caplog.text]
    with pytest.raises(ValueError, match="a user or a password is refused") as refused:
        open_store(f"ftp://{USER}:{PASSWORD}@host/cars")
    assert not any(PASSWORD in one for one in [*said, str(refused.value)])


# --- what fails ---


class Ill(MemoryFileSystem):
    """Its requests for ranges fail as the test says: ill is called with each path, and may raise."""

    protocol = "ill"
    cachable = False
    ill = staticmethod(lambda path: None)

    def __init__(self, **options):
        super().__init__()
        Ill.given = options

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("ill://", "memory://"))

    def cat_file(self, path, start=None, end=None, **kwargs):
        self.ill(path)
        return super().cat_file(path, start, end, **kwargs)


@pytest.fixture
def ill(monkeypatch):
    """A store of one file whose requests fail as set_ill says."""
    fsspec.register_implementation("ill", Ill, clobber=True)
    fsspec.filesystem("memory").pipe_file("/ward/x", b"0123456789")
    yield lambda how, **options: monkeypatch.setattr(Ill, "ill", staticmethod(how)) or FsspecStore("ill://ward", options)
    fsspec.filesystem("memory").rm_file("/ward/x")


def failing(error, times=1000):
    left = iter([error] * times)
    seen = []

    def fail(path):
        seen.append(path)
        if (found := next(left, None)) is not None:
            raise found

    fail.seen = seen
    return fail


def answer_of(store, want=None):
    [(_, answer)] = store.read_ranges([want or Want("x", 2, 3)])
    return answer


def test_what_passes_is_tried_again(ill):
    how = failing(OSError(104, "reset by peer"), 3)
    store = ill(how)
    before = store.retries
    assert bytes(answer_of(store)) == b"234" and len(how.seen) == 4 and store.retries - before == 3


def test_what_stays_is_an_error_in_time(ill):
    answer = answer_of(ill(failing(OSError(104, "reset by peer")), timeout=0.5))
    assert type(answer) is StoreError and "ill://ward/x: bytes 2 to 4 cannot be read: " in str(answer) and "reset by peer" in str(answer)


class Answered(Exception):
    def __init__(self, status):
        super().__init__(f"the server said {status}")
        self.status = status


@pytest.mark.parametrize("error", [PermissionError(13, "no"), Answered(403), Answered(404)], ids=["denied", "403", "404"])
def test_what_does_not_pass_is_not_tried_again(ill, error):
    how = failing(error)
    assert type(answer_of(ill(how))) is StoreError and len(how.seen) == 1


def test_a_server_that_says_nothing_is_an_error_in_time(ill):
    never = threading.Event()
    answer = answer_of(ill(lambda path: never.wait(), timeout=0.5))
    assert type(answer) is StoreError and "no answer within 0.5 s" in str(answer)
    assert bytes(answer_of(ill(lambda path: None, timeout=0.5))) == b"234"
    never.set()


def test_a_range_that_fails_fails_no_other(ill):
    def how(path):
        if path.endswith("/y"):
            raise PermissionError("no")

    answers = dict(ill(how).read_ranges([Want("x", 1, 1), Want("y", 0, 1), Want("x", 8, 9), Want("x", 0, 1, "another")]))
    assert bytes(answers[0]) == b"1"
    assert [type(answers[k]) for k in (1, 2, 3)] == [StoreError, DatasetChanged, DatasetChanged]


def test_no_value_of_an_option_is_in_an_error(ill):
    answer = answer_of(ill(failing(PermissionError("token CANARY of https://CANARY2@host?sig=CANARY3")), keys={"token": "CANARY"}))
    assert "token *** of https://host" in str(answer) and "CANARY" not in str(answer)


@pytest.mark.parametrize("options", [{}, {"key": threading.Lock()}], ids=["unknown", "not-picklable"])
def test_what_no_other_process_can_read_is_an_error_in_a_forked_child(ill, options):
    """A file system that only this one knows, and options that cannot be sent."""
    store = ill(lambda path: None, **options)
    assert bytes(answer_of(store)) == b"234"

    def check():
        with pytest.raises(StoreError, match=r'multiprocessing_context="forkserver".*atlas_ds\.Loader'):
            store.info("x")
        return True

    assert in_a_fork(check)


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(ill):
    times = iter(range(1000))

    def replaced(path):
        if next(times) < 2:
            fsspec.filesystem("memory").pipe_file("/ward/x", b"new bytes")

    assert ill(replaced).read("x", limit=100)[0] == b"new bytes"


def test_a_scheme_that_nobody_knows():
    with pytest.raises(UnsupportedError, match=r"no store for ftq:// is known.*\bsftp\b"):
        open_store("ftq://host/cars")
    fsspec.register_implementation("gone", "no_such_module.Gone", errtxt="Install gone-fs to access it", clobber=True)
    with pytest.raises(UnsupportedError, match="another package: Install gone-fs"):
        open_store("gone://host/cars")


def test_options_are_given_to_fsspec_as_they_are(ill):
    given = {"timeout": 5, "keys": {"token": ["a", None]}, "no": None}
    assert bytes(answer_of(ill(lambda path: None, **given))) == b"234" and Ill.given == given
    for wrong in ("x", {1: 2}):
        with pytest.raises(TypeError, match="storage_options"):
            FsspecStore("memory://x", wrong)


def test_a_server_that_is_gone_is_no_damage(folder):
    with ftp.serving(folder) as served:
        dataset = atlas.AtlasDataset(f"{served}/cars", storage_options={"timeout": 1})
    with pytest.raises(StoreError, match=r"bytes \d+ to \d+ cannot be read"):
        dataset[0]
    with pytest.raises(StoreError):
        atlas.verify(f"{served}/cars", storage_options={"timeout": 1})
