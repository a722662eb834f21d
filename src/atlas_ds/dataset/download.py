"""Downloads a dataset: a complete copy in a folder, which a later download continues if this one is stopped. It does not decode rows.

The shards are fetched in order, each in ranges, so that an unfinished one always has its first bytes. A shard is renamed into place once all of
its bytes were checked; the manifest is written last. The journal is that of a writer, so writers and downloads keep each other out.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from atlas_ds.dataset.commit import put_manifest, read_current
from atlas_ds.dataset.journal import FoundJournal, Head, Journal, journals, refuse_busy, shard_line, sweep
from atlas_ds.dataset.manifest import Manifest, digest, parse_manifest
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.dataset.open import dataset_in, no_manifest
from atlas_ds.dataset.output import append_to_message, has_strangers
from atlas_ds.dataset.shard_files import ShardFiles
from atlas_ds.dataset.verify import match_manifest
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged
from atlas_ds.progress import Progress
from atlas_ds.shard.open import open_shard
from atlas_ds.store.files import PartialFile, refuse_overlap
from atlas_ds.store.local import LocalStore
from atlas_ds.store.owner import new_token, this_process
from atlas_ds.store.paths import is_url, local_path
from atlas_ds.store.requests import measured
from atlas_ds.store.store import Bytes, Store, Want, is_store, place_of

T = TypeVar("T")
RANGE = 4 << 20  # bytes of a request
REQUESTS = 16  # that are under way, or answered and not yet written: 64 MiB
FINISHING = 2  # shards that wait to be checked and synced while others arrive
AGAIN = "what has arrived is kept: the same download again continues"


def download(url: str | Store, path: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None, progress: bool = True) -> None:
    """Copies a dataset at a URL to a folder of this machine, and checks every byte.

    If it is stopped or fails, the same call continues: bytes that have arrived are not fetched again.
    The folder is a dataset only once everything is there. If it already is one, with the same
    manifest, nothing is fetched except files that are missing.

    Parameters
    ----------
    url
        The dataset's URL, or a store. It needs no permission to list files.
    path
        The folder of the copy: new, empty, or one where the same download was stopped.
    storage_options
        With a URL: see AtlasDataset.
    progress
        Show progress on stderr.

    Raises
    ------
    NotADataset
        No dataset is at `url`.
    FileExistsError
        Another dataset or other files are at `path`; nothing there was changed.
    WriterBusy
        Another download, or a writer, uses `path`.
    DatasetChanged
        The dataset was replaced during the download: the same call fetches the new one.
    CorruptError
        A file is damaged at `url`.
    StoreError
        The store did not answer.
    """
    source = source_of(url, storage_options)
    target = LocalStore(local_path(path))
    if source.folder is not None:
        refuse_overlap(source.folder, target.root)
    data = read_current(source).data
    if data is None:
        raise no_manifest(source)
    manifest = parse_manifest(data, place_of(source, MANIFEST))
    target.create()
    if read_current(target).data == data and all(target.is_plain(shard.path, shard.bytes) for shard in manifest.shards):
        return
    with target.lock():
        journal, checked = acquire(source, target, data, manifest)
    try:
        Download(source, target, manifest, journal).run(checked, progress)
        with target.lock():
            if read_current(target).data != data:
                put_manifest(target, data, expected=None, mark=journal.head.token)
            journal.remove()
    except (AtlasError, OSError) as error:
        append_to_message(error, AGAIN)
        raise
    finally:
        journal.leave()


def source_of(url: str | Store, storage_options: Mapping[str, Any] | None) -> Store:
    if not (is_store(url) or is_url(url)):
        raise ValueError(f"{local_path(cast('str', url))}: is not a URL: to copy a dataset of this machine, copy its folder")
    store, file = dataset_in(url, storage_options)
    if file is not None:
        raise ValueError(f"{place_of(store, file)}: is one file: give the URL of the dataset, which is the folder of {MANIFEST}")
    return store


def acquire(source: Store, target: LocalStore, data: bytes, manifest: Manifest) -> tuple[Journal, set[str]]:
    """The journal of the download, and the names of the shards that were checked. Call it under the lock.

    Removes what a stopped download of the same dataset left that is not needed any more.
    """
    place = place_of(target)
    current, found = read_current(target).data, journals(target)
    refuse_busy(target, found, alone=True)
    if current not in (None, data):
        raise FileExistsError(f"{place}: another dataset, or another version of this one, already exists: choose another folder, or delete it")
    names = {shard.path for shard in manifest.shards}
    head = Head(this_process(), new_token(), "create", True, 0, None, {"download": source.url, "manifest": digest(data)})
    stopped = None
    for one in found:
        if one.head is None:
            sweep(target, one, names.__contains__)
            continue
        same = [one.head.options.get(name) == value for name, value in head.options.items()]
        if not any(same):
            what = f"a download of {one.head.options['download']}" if "download" in one.head.options else "a writer"
            raise FileExistsError(f"{place}: {what} was stopped here: continue that one, choose another folder, or delete this one")
        stopped = one
    if current is None and has_strangers(target):
        raise FileExistsError(f"{place}: the folder has other files and no dataset: choose a new or empty folder")
    if stopped is None:
        return Journal(target, head), names if current is not None else set()
    assert stopped.head is not None
    lines = kept_lines(target, stopped, manifest)
    journal = Journal(target, replace(head, token=stopped.head.token), lines, stopped.name)
    return journal, {line["shard"]["path"] for line in lines} | (names if current is not None else set())


def kept_lines(target: LocalStore, stopped: FoundJournal, manifest: Manifest) -> list[dict[str, Any]]:
    """The lines of a stopped download for shards that the manifest names. Removes other files that it made: the dataset was replaced since then."""
    assert stopped.head is not None
    names = {shard.path for shard in manifest.shards}
    target.delete(info.path for _, info in stopped.shards if info.path not in names and target.is_plain(info.path, info.bytes))
    target.remove_unfinished(stopped.head.token, but=names)
    return [shard_line(None, info) for _, info in stopped.shards if info.path in names]


@dataclass(frozen=True, slots=True)
class Download:
    """Fetches shards of a manifest into a folder whose journal this process holds."""

    source: Store
    target: LocalStore
    manifest: Manifest
    journal: Journal

    def run(self, checked: set[str], progress: bool) -> None:
        """Fetches all shards but the checked ones that are there."""
        shards = self.manifest.shards
        left = [k for k, shard in enumerate(shards) if shard.path not in checked or not self.target.is_plain(shard.path, shard.bytes)]
        with Progress(sum(shards[k].bytes - self.begun(k) for k in left), "downloading", "bytes", progress) as bar:
            left = [k for k in left if not self.is_there(k, bar)]
            wrong = self.fetch(left, bar)
            worse = self.fetch([k for k, _ in wrong], bar)  # damaged on the way, or on this disk
        for k, error in worse:
            raise self.damaged(k, error)

    def begun(self, k: int) -> int:
        """Bytes of a shard that have arrived."""
        info = self.manifest.shards[k]
        return self.target.partial_size(info.path, self.journal.head.token, info.bytes)

    def is_there(self, k: int, bar: Progress) -> bool:
        """Whether a shard that nobody noted is there with the right bytes."""
        info = self.manifest.shards[k]
        if not self.target.is_plain(info.path, info.bytes) or self.fault(k, self.target.root / info.path) is not None:
            return False
        self.journal.note(shard_line(None, info))
        bar.advance(info.bytes)
        return True

    def fetch(self, numbers: Sequence[int], bar: Progress) -> list[tuple[int, AtlasError]]:
        """Fetches and publishes shards. Returns those whose bytes are wrong, which are emptied, with what is wrong."""
        finishing: deque[Future[tuple[int, AtlasError | None]]] = deque()
        done = []
        with closing(in_order(self.requests(numbers))) as answers, ThreadPoolExecutor(1, "atlas-download-finish") as pool:
            for k in numbers:
                info = self.manifest.shards[k]
                file = self.target.partial_file(info.path, self.journal.head.token, info.bytes)
                try:
                    while file.size < info.bytes:
                        before = file.size
                        file.write(next(answers))
                        bar.advance(file.size - before)
                except BaseException:
                    file.discard()
                    raise
                finishing.append(pool.submit(self.finish, k, file))
                if len(finishing) > FINISHING:
                    done.append(finishing.popleft().result())
            done += [future.result() for future in finishing]
        return [(k, error) for k, error in done if error is not None]

    def requests(self, numbers: Sequence[int]) -> Iterator[Callable[[], Bytes]]:
        for k in numbers:
            info = self.manifest.shards[k]
            for offset in range(self.begun(k), info.bytes, RANGE):
                yield partial(self.read, k, Want(info.path, offset, min(RANGE, info.bytes - offset)))

    def read(self, k: int, want: Want) -> Bytes:
        """A range of a shard. One that is missing or too short is asked for once more, unless the dataset was replaced."""
        for last in (False, True):
            ((_, answer),) = self.source.read_ranges([want])
            found = measured(answer, want, self.source)
            if not isinstance(found, Exception):
                return found
            if not isinstance(found, FileNotFoundError | DatasetChanged | CorruptError):
                raise found
            why = self.files.changed(k)
            if why is not None:
                raise why
            if last:
                raise self.files.gone(k) if isinstance(found, FileNotFoundError) else found
        raise AssertionError

    def finish(self, k: int, file: PartialFile) -> tuple[int, AtlasError | None]:
        """Checks and publishes a shard that has all of its bytes."""
        info = self.manifest.shards[k]
        try:
            file.finish()
            error = self.fault(k, file.path)
            if error is not None:
                file.empty()
                return k, error
            self.journal.note(shard_line(None, info))
            file.publish(info.path)
            self.journal.sync()
            return k, None
        finally:
            file.discard()

    def fault(self, k: int, path: Path) -> AtlasError | None:
        """What is wrong with the bytes of a shard in a file, if anything is: all hashes are compared, and the manifest's facts."""
        try:
            shard = open_shard(path)
            for _ in shard.verify_steps():
                pass
            match_manifest(shard, self.manifest, k)
        except AtlasError as error:
            return error.with_traceback(None)  # which would keep the file mapped
        return None

    def damaged(self, k: int, error: AtlasError) -> AtlasError:
        why = re.sub(r"^.*?/\.tmp-[^:]*: ", "", str(error))  # the file here, which is empty again
        cure = f"it is damaged there: restore it, or save the other rows: atlas-ds repair {place_of(self.source)} --output FOLDER"
        return self.files.changed(k) or CorruptError(f"{self.files.place(k)}: arrived twice with wrong bytes: {why}; {cure}")

    @property
    def files(self) -> ShardFiles:
        return ShardFiles(self.source, self.manifest, None)


def in_order(calls: Iterable[Callable[[], T]]) -> Generator[T]:
    """The results of calls, in order, of which REQUESTS are under way or wait to be taken. The threads do not keep the process from ending."""
    tasks: queue.SimpleQueue[tuple[Callable[[], T], Future[T]] | None] = queue.SimpleQueue()

    def work() -> None:
        while (task := tasks.get()) is not None:
            call, future = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)
            del task, call, future  # the result belongs to who takes it

    threads = 0
    waiting: deque[Future[T]] = deque()
    try:
        for call in calls:
            if len(waiting) == REQUESTS:
                yield waiting.popleft().result()
            if threads < REQUESTS:
                threading.Thread(target=work, name="atlas-download", daemon=True).start()
                threads += 1
            future: Future[T] = Future()
            waiting.append(future)
            tasks.put((call, future))
            del future
        while waiting:
            yield waiting.popleft().result()
    finally:
        for left in waiting:
            left.cancel()
        for _ in range(threads):
            tasks.put(None)
