"""Datasets at URLs, on a real S3."""

from __future__ import annotations

import asyncio
import copy
import io
import itertools
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import obstore
import pytest

import atlas_ds as atlas
from atlas_ds.errors import AtlasError, StoreError, UnsupportedError
from atlas_ds.store.causes import cause_of, status_of
from atlas_ds.store.clients import Turns
from atlas_ds.store.object import ObjectStore, split_url
from atlas_ds.store.paths import clean
from atlas_ds.store.store import Want
from atlas_ds.testing import check_reading
from servers import azure, s3, web

numbers = itertools.count()
ROWS = 3000


@pytest.fixture(scope="module")
def url(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "cars"
    with atlas.AtlasDatasetWriter(folder, shard_size=1000, block_size="8KiB") as writer:
        writer.extend(example(i) for i in range(ROWS))
    return server.upload(folder, "data", "cars")


def example(i):
    return {"label": i, "text": f"the text of car number {i} " * (i % 7), "grid": np.arange(64, dtype=np.int32) * i}


def same_rows(dataset, rows=range(0, ROWS, 97)):
    return all(dataset[i]["label"] == i and dataset[i]["text"] == example(i)["text"] and (dataset[i]["grid"] == example(i)["grid"]).all() for i in rows)


class Filled(ObjectStore):
    """With a way to put files there."""

    def create(self):
        return True

    def put(self, name, data, *, expected=..., mark=None):
        self.s3.put_object(Bucket="data", Key=f"{self.prefix}/{name}", Body=bytes(data))
        return self.info(name).version

    def delete(self, names):
        for name in names:
            self.s3.delete_object(Bucket="data", Key=f"{self.prefix}/{name}")


def test_the_rules_for_reading(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.KEY)  # for stores that were pickled
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.SECRET)
    monkeypatch.setattr(Filled, "s3", server.client(), raising=False)
    check_reading(lambda: Filled(f"s3://data/rules/{next(numbers)}", server.options))


class FilledAzure(ObjectStore):
    def create(self):
        return True

    def put(self, name, data, *, expected=..., mark=None):
        obstore.put(self.client.get(), f"{self.prefix}/{name}", bytes(data))
        return self.info(name).version

    def delete(self, names):
        obstore.delete(self.client.get(), [f"{self.prefix}/{name}" for name in names])


def test_the_rules_for_reading_on_azure(tmp_path, monkeypatch):
    with azure.running(tmp_path) as options:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azure.KEY)
        check_reading(lambda: FilledAzure(f"az://data/rules/{next(numbers)}", options))


class FilledWeb(ObjectStore):
    """A web server has no lists: here, the folder that it serves is one."""

    def create(self):
        return True

    def put(self, name, data, *, expected=..., mark=None):
        path = self.served / self.prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(data))
        os.utime(path, (0, next(numbers)))  # of which, and of the size, nginx makes the ETag
        return self.info(name).version

    def delete(self, names):
        for name in names:
            (self.served / self.prefix / name).unlink()

    def list(self, prefix=""):
        top = self.served / self.prefix
        found = sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
        return (self.info(name) for name in found if name.startswith(prefix))

    def entries(self):
        return iter({"".join(one.name.partition("/")[:2]) for one in self.list()})


@pytest.fixture
def web_root(tmp_path):
    with web.serving(tmp_path / "root", tmp_path / "nginx") as found:
        yield found


def test_the_rules_for_reading_on_the_web(tmp_path, web_root, monkeypatch):
    monkeypatch.setattr(FilledWeb, "served", tmp_path / "root", raising=False)
    check_reading(lambda: FilledWeb(f"{web_root}/rules/{next(numbers)}", {"allow_http": True}))


def test_a_dataset_on_the_web(tmp_path, web_root):
    with atlas.AtlasDatasetWriter(tmp_path / "root" / "cars", shard_size=1000) as writer:
        writer.extend(example(i) for i in range(ROWS))
    dataset = atlas.AtlasDataset(f"{web_root}/cars", storage_options={"allow_http": True})
    assert same_rows(dataset) and [row["label"] for row in dataset] == list(range(ROWS))
    with pytest.raises(UnsupportedError, match="HTTP has no lists"):
        list(dataset._state.options.store.list())


def test_a_dataset_is_opened_by_its_url(server, url):
    for given in (url, url + "/", url + "/atlas.json"):
        dataset = atlas.AtlasDataset(given, storage_options=server.options)
        assert len(dataset) == ROWS and same_rows(dataset) and dataset.path == url
    assert [row["label"] for row in dataset] == list(range(ROWS))
    order = np.random.default_rng(0).permutation(ROWS)[:256]
    assert dataset.batch(order)["label"].tolist() == order.tolist()
    assert dataset[5:90].batch([3])["label"].tolist() == [8] and dataset.column("label")[:3].tolist() == [0, 1, 2]
    report = atlas.verify(url, storage_options=server.options)
    assert (report.rows, report.damages) == (ROWS, [])
    shard = f"{url}/{dataset.shards[1].path}"
    assert atlas.AtlasDataset(shard, storage_options=server.options)[0]["label"] == 1000


def test_a_loader_reads_it(server, url):
    dataset = atlas.AtlasDataset(url, storage_options=server.options)
    seen = [int(k) for batch in atlas.Loader(dataset, batch_size=100, shuffle=True, seed=3, last_batch="short") for k in batch["label"]]
    assert sorted(seen) == list(range(ROWS)) and seen != sorted(seen)


def test_children_forked_after_it_was_used_read_it(server, url):
    """obstore itself would hang in them."""
    dataset = atlas.AtlasDataset(url, storage_options=server.options)
    assert same_rows(dataset, [0, 2999])
    children = []
    for k in range(6):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                fresh = atlas.AtlasDataset(url, storage_options=server.options)
                code = 0 if same_rows(dataset, range(k, ROWS, 500)) and same_rows(fresh, [7]) else 2
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    assert same_rows(dataset, [1500])


def test_threads_of_a_forked_child_read_at_once(server, url):
    dataset = atlas.AtlasDataset(url, storage_options=server.options)
    assert same_rows(dataset, [0])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            wrong = []
            threads = [threading.Thread(target=lambda k=k: wrong.append(not same_rows(dataset, range(k, ROWS, 101)))) for k in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            code = 0 if wrong == [False] * 8 else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_a_child_whose_helper_was_killed_starts_another(server, url):
    store = ObjectStore(url, server.options)
    assert store.info("atlas.json").size
    child = os.fork()
    if child == 0:
        code = 1
        try:
            from atlas_ds.store.helper import helper

            assert store.info("atlas.json").size
            found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False).stdout.split()
            os.kill(int(found[0]), 9)
            while helper.running:
                pass
            code = 0 if store.info("atlas.json").size else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_a_dataloader_read_it(server, url, method):
    data = pytest.importorskip("torch.utils.data")
    dataset = atlas.AtlasDataset(url, storage_options=server.options)
    assert dataset[0]["label"] == 0
    loader = data.DataLoader(dataset, batch_size=100, num_workers=2, shuffle=True, multiprocessing_context=method)
    assert sorted(int(k) for batch in loader for k in batch["label"]) == list(range(ROWS))


def test_a_secret_is_nowhere(server, url, caplog):
    """Not in a repr, a pickle, a log or an error."""
    caplog.set_level(logging.DEBUG)
    dataset = atlas.AtlasDataset(url, storage_options=server.options)
    store = dataset._state.options.store
    said = [repr(store), repr(store.options), repr(dataset), str(dataset._state.options), repr(vars(store))]
    said += [pickle.dumps(dataset).decode("latin-1"), pickle.dumps(store).decode("latin-1")]
    for options in ({"secret_access_key": s3.SECRET + "x"}, {"endpoint": "http://127.0.0.1:1", "timeout": 0.5}, {"allow_http": False}):
        with pytest.raises(AtlasError) as caught:
            ObjectStore(url, server.options | options).info("atlas.json")
        text = io.StringIO()
        traceback.print_exception(caught.value, file=text)
        said += [text.getvalue(), pickle.dumps(caught.value).decode("latin-1")]
    with pytest.raises(ValueError, match="credentials is refused") as refused:
        ObjectStore(f"s3://{s3.KEY}:{s3.SECRET}@data/cars")
    said += [str(refused.value), caplog.text]
    assert not any(s3.SECRET in one for one in said)


def test_a_pickle_finds_its_own_credentials(server, url):
    """Of a process that this one did not start."""
    dataset = atlas.AtlasDataset(url, storage_options=server.options)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[7]['label'])"
    keys = {"AWS_ACCESS_KEY_ID": s3.KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(dataset), env=os.environ | keys, capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"7\n", 0), done.stderr


def test_errors_say_what_to_do(server, url):
    def error(url, **options):
        with pytest.raises((AtlasError, ValueError, FileNotFoundError)) as caught:
            atlas.AtlasDataset(url, storage_options={name: value for name, value in (server.options | options).items() if value is not None})
        return str(caught.value)

    assert "not an Atlas dataset: atlas.json not found" in error("s3://data/nothing")
    assert "the bucket does not exist" in error("s3://no-such-bucket/cars")
    assert "the key or the secret is wrong" in error(url, secret_access_key="x" * 20)
    assert "without TLS" in error(url, allow_http=None)
    assert "did you mean 'region'" in error(url, regoin="eu-central-1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no answer within 0.5 s" in error(url, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
    with pytest.raises(ValueError, match="is for URLs"):
        atlas.AtlasDataset("/tmp", storage_options={"region": "x"})
    with pytest.raises(UnsupportedError, match=r"no store for ftq:// is known, neither to Atlas nor to fsspec.*\bftp\b"):
        atlas.AtlasDataset("ftq://host/cars")
    with pytest.raises(AtlasError, match="http is not encrypted"):
        atlas.AtlasDataset("http://host/cars")


def test_names_of_other_libraries_are_known(server, url):
    theirs = {"key": s3.KEY, "secret": s3.SECRET, "client_kwargs": {"endpoint_url": server.endpoint, "region_name": s3.REGION}, "allow_http": True}
    assert atlas.AtlasDataset(url, storage_options=theirs)[3]["label"] == 3


def test_urls_are_shown_without_what_opens_doors():
    assert clean("s3://key:secret@bucket/a?token=1#x") == "s3://bucket/a"
    assert clean("abfss://container@account.dfs.core.windows.net/a") == "abfss://container@account.dfs.core.windows.net/a"
    assert split_url("s3://bucket/a//b/") == (("s3", "s3://bucket"), "a/b")
    assert split_url("https://host:81/a%20b/c") == (("http", "https://host:81"), "a b/c")
    for wrong in ("s3:///x", "https://host/a?b=c"):
        with pytest.raises(ValueError, match=r"names no|query"):
            split_url(wrong)


def test_a_status_is_that_of_the_answer_and_not_of_the_path():
    class Told(Exception):
        pass

    said = Told("Generic S3 error: Error performing GET http://h/train/404/416.atlas in 404.2ms - Server returned non-2xx status code: 503 X: <Code>SlowDown</Code>")
    assert status_of(said) == 503 and cause_of(said).endswith("503 X: SlowDown")
    assert status_of(Told("Error performing GET http://h/301/x in 301ms - HTTP error: error sending request")) is None


def test_a_server_that_is_not_there_is_no_change_of_the_dataset(url, server):
    """Whatever digits are in names and offsets."""
    store = ObjectStore(url + "/416", server.options | {"endpoint": "http://127.0.0.1:1", "timeout": 0.5})
    [(_, answer)] = store.read_ranges([Want("416", 41600, 404)])
    assert type(answer) is StoreError and "cannot be read" in str(answer)


def test_a_copy_of_a_store_is_the_store(url, server):
    store = ObjectStore(url, server.options)
    assert copy.deepcopy(store) is copy.copy(store) is store
    inner = ObjectStore("https://host/a%2520b").inside("c d%")
    assert pickle.loads(pickle.dumps(inner)).prefix == inner.prefix == "a%20b/c d%"


def test_wrong_options_are_an_error_at_once(url, server):
    begin = time.monotonic()
    for options in ({"connect_timeout": 5}, {"profile": "no-such-profile", "access_key_id": None}):
        with pytest.raises((AtlasError, ValueError)):
            atlas.AtlasDataset(url, storage_options={name: value for name, value in (server.options | options).items() if value is not None})
    assert time.monotonic() - begin < 20


def test_turns_are_given_to_as_many_as_there_is_room_for():
    async def most():
        turns, under_way, seen = Turns(), 0, 0
        turns._most = 1.0

        async def one():
            nonlocal under_way, seen
            async with turns:
                under_way += 1
                seen = max(seen, under_way)
                await asyncio.sleep(0.001)
                under_way -= 1

        await asyncio.gather(*[one() for _ in range(300)])
        return seen

    assert asyncio.run(most()) > 5


def test_a_store_that_cannot_be_asked_says_nothing_of_its_files(url, server):
    """It is no damage, and no change of the dataset."""
    wrong = server.options | {"secret_access_key": "x" * 20}
    with pytest.raises(StoreError, match="the key or the secret is wrong"):
        atlas.verify(url, storage_options=wrong)
    dataset = pickle.dumps(atlas.AtlasDataset(url, storage_options=server.options))
    with pytest.raises(StoreError):  # nobody here has keys
        pickle.loads(dataset)


def test_one_client_for_a_root(url, server):
    first, again = ObjectStore(url, server.options), ObjectStore(url + "/deeper", server.options)
    assert first.client is again.client is first.inside("a").client
    assert ObjectStore(url, server.options | {"region": "eu-central-1"}).client is not first.client


def test_headers_and_a_proxy_are_not_pickled():
    """They may have a token or a password, whatever they are called."""
    store = ObjectStore("https://host/a", {"headers": {"Authorization": "Bearer CANARY"}, "proxy_url": "http://proxy/CANARY", "user_agent": "me"})
    assert b"CANARY" not in pickle.dumps(store) and pickle.loads(pickle.dumps(store)).options.client == {"user_agent": "me"}


def test_a_password_in_an_endpoint_is_not_pickled():
    store = ObjectStore("s3://bucket/a", {"endpoint": "https://me:PASSWORD@host", "region": "x"})
    assert b"PASSWORD" not in pickle.dumps(store) and pickle.loads(pickle.dumps(store)).options.config == {"region": "x"}


def test_a_token_in_a_url_is_not_shown():
    for shown in ("https://TOKEN@host/a", "s3://TOKEN@bucket/a", "https://u:TOKEN@host/x.tar?sig=TOKEN"):
        with pytest.raises((ValueError, UnsupportedError)) as caught:
            atlas.AtlasDataset(shown)
        assert "TOKEN" not in str(caught.value)
