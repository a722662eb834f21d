"""Lists of very many names, on a real S3."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest

from atlas_ds.store.object import ObjectStore
from servers import proxy

ENDINGS = (".x", "/a b+c%20#?&=.txt", "/é日本.bin", "/deep/er", "0")
NAMES = sorted(f"part-{number:03}{ending}" for number in range(500) for ending in ENDINGS) + [f"z{number:03}" for number in range(500)]


@pytest.fixture(scope="module")
def listed(server):
    client = ObjectStore("s3://data/many", server.options).client.get()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: obstore.put(client, f"many/{name}", b"1", use_multipart=False), NAMES))
    return "s3://data/many"


def store_of(server, link, listed, **options):
    return ObjectStore(listed, server.options | {"endpoint": link.endpoint} | options)


def test_each_page_has_a_budget_of_its_own(server, link, listed):
    link.change = proxy.stalled(1.0)
    found = [file.name for file in store_of(server, link, listed, timeout=2.5).list()]
    assert len(link.requests) >= 3, "a page has at most 1,000 names: all of them take longer than one may"
    assert found == sorted(NAMES)


@pytest.mark.parametrize("change", [proxy.status(500), proxy.cut, proxy.reset], ids=["500", "cut", "reset"])
def test_a_list_that_breaks_off_goes_on(server, link, listed, change):
    """Each second answer is lost."""
    link.change = lambda request, answer: change(request, answer) if len(link.requests) % 2 == 0 else answer
    assert [file.name for file in store_of(server, link, listed).list()] == sorted(NAMES)


def test_entries_leave_out_nothing(server, link, listed):
    wanted = {"".join(name.partition("/")[:2]) for name in NAMES}
    assert sorted(store_of(server, link, listed).entries()) == sorted(wanted)
