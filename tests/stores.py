"""A store whose requests take time and fail on demand: what a link to an object store does, without one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed


class SlowStore:
    """Another store, `delay` seconds per request; requests of one call run at the same time.

    requests: every want that was asked for. most: requests that were in flight at once. delays: (name, offset) -> seconds instead.
    failing: (name, offset) -> how often the error is returned; wrong: the same, with damaged bytes instead of an error.
    """

    folder = None

    def __init__(self, inner, delay=0.0):
        self.inner, self.delay, self.url = inner, delay, "slow:" + inner.url
        self.lock = threading.Lock()
        self.requests, self.calls, self.now, self.most = [], 0, 0, 0
        self.delays, self.failing, self.wrong = {}, {}, {}

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def inside(self, prefix):
        return SlowStore(self.inner.inside(prefix), self.delay)

    def _request(self, number, want):
        key = want.name, want.offset
        with self.lock:
            self.requests.append(want)
            self.now += 1
            self.most = max(self.most, self.now)
            fails, wrong = self.failing.get(key, 0), self.wrong.get(key, 0)
            self.failing[key], self.wrong[key] = max(0, fails - 1), max(0, wrong - 1)
        time.sleep(self.delays.get(key, self.delay))
        [(_, answer)] = self.inner.read_ranges([want])
        with self.lock:
            self.now -= 1
        if fails:
            return number, OSError(5, "the link broke", f"{self.url}/{want.name}")
        return number, bytes(memoryview(answer)[::-1]) if wrong else answer

    def read_ranges(self, wants):
        with self.lock:
            self.calls += 1
        with ThreadPoolExecutor(max(1, len(wants))) as pool:
            for done in as_completed([pool.submit(self._request, number, want) for number, want in enumerate(wants)]):
                yield done.result()
