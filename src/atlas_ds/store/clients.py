"""The client of a root of URLs, by obstore, which only this file imports; and how many requests it has under way."""

from __future__ import annotations

import asyncio
import collections
import itertools
import os
import time
import weakref
from typing import Any, NamedTuple

from atlas_ds.errors import AtlasError, StoreError
from atlas_ds.forks import Lock, in_child
from atlas_ds.store.causes import cause_of
from atlas_ds.store.requests import MAX_REQUESTS
from atlas_ds.store.storage_options import LEFT_OUT, UrlOptions

CONNECT = "5s"
STALL = "20s"  # without a byte
IDLE_PRESIGNED = "2s"  # each presigned file has a client of its own: thousands must not keep a connection each
WHOLE = "1h"  # obstore's own limit for a request, which would cut large ones on a slow link; the budget is ours


class Root(NamedTuple):
    """Where a client begins. family: "s3", "gs", "az" or "http"; url: of the bucket, the container or the host."""

    family: str
    url: str


_numbers = itertools.count()
_kept: list[Any] = []
_clients: weakref.WeakValueDictionary[str, Client] = weakref.WeakValueDictionary()
_lock = Lock()


def client_of(root: Root, options: UrlOptions, shown: str) -> Client:
    """The client of a root with these options: one in a process. shown: how errors name it."""
    how = [sorted(one.items(), key=lambda item: item[0]) for one in (options.config, options.client)]
    key = repr((root, how, options.profile, options.query))
    with _lock.held:
        found = _clients.get(key)
        if found is None:
            found = _clients[key] = Client(root, options, shown)
        return found


class Client:
    """Of a root, made when it is first needed. turns: how many requests may be under way."""

    forks = False

    def __init__(self, root: Root, options: UrlOptions, shown: str) -> None:
        self._root, self._options, self._shown = root, options, shown
        self.number = next(_numbers)  # by which a helper knows it
        self._client: Any = None
        self._lock = Lock()
        self.turns = Turns()
        self.retries = 0
        self.conditional = False  # whether the store was seen to refuse what is not as expected
        in_child(self)

    def after_fork(self) -> None:
        _kept.append(self._client)  # never freed in a child: what obstore's threads had locked stays locked there
        self._client, self.turns = None, Turns()

    @property
    def obstore(self) -> Any:
        try:
            import obstore
        except ImportError as error:
            raise AtlasError(f"{self._shown}: reading URLs needs obstore; install it: pip install 'atlas-ds[remote]'") from error
        return obstore

    def get(self) -> Any:
        """obstore's. Call it first in the thread that wants something: finding credentials may take time."""
        with self._lock.held:
            if self._client is None:
                try:
                    self._client = self._make()
                except AtlasError:
                    raise
                except Exception as error:
                    why = cause_of(error, self._options.query)
                    raise StoreError(f"{self._shown}: cannot be opened: {why}; look at storage_options and at your credentials") from None
            return self._client

    def _make(self) -> Any:
        store, query = self.obstore.store, self._options.query
        if query == LEFT_OUT:
            raise AtlasError(f"{self._shown}: the query of its URL is left out of pickles, since it may open doors: open it again by its URL")
        trusting = self._root.family == "s3" and os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
        client = ({"allow_http": True} if trusting else {}) | {"connect_timeout": CONNECT, "read_timeout": STALL, "timeout": WHOLE} | self._options.client
        if query:
            client.setdefault("pool_idle_timeout", IDLE_PRESIGNED)
        client["default_headers"] = {"Accept-Encoding": "identity"} | dict(client.get("default_headers") or {})
        same: dict[str, Any] = {"client_options": client, "retry_config": {"max_retries": 0}}
        if self._root.family == "http":
            return store.HTTPStore.from_url(self._root.url + (f"?{query}" if query else ""), **same)
        config = dict(self._options.config)
        if self._root.family == "s3" and not config.keys() & {"access_key_id", "skip_signature", "role_arn", "web_identity_token_file"}:
            provider = boto3_provider(self._options.profile)
            if provider is not None:
                same["credential_provider"] = provider
        return store.from_url(self._root.url, config=config, **same)


def boto3_provider(profile: str | None) -> Any:
    """What finds credentials as the AWS tools do (profiles, single sign-on), where boto3 is installed and has some; else None.

    The environment's own keys need no help.
    """
    if profile is None and os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        if profile is None:
            return None
        raise AtlasError(f"storage_options: profile={profile!r} needs boto3; install it: pip install boto3") from error
    session = boto3.Session(profile_name=profile)
    return Boto3CredentialProvider(session) if session.get_credentials() is not None else None


class Turns:
    """`async with`: at most so many at a time; half as many after the server said that it is busy, and slowly more again. Of one event loop."""

    def __init__(self) -> None:
        self._most = float(MAX_REQUESTS)
        self._now = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._slowed = 0.0

    async def __aenter__(self) -> None:
        while self._now >= self._most:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        self._now += 1
        self._wake()  # there may be room for more than one

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._now -= 1
        if kind is None:
            self._most = min(float(MAX_REQUESTS), self._most + 1 / self._most)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._now < self._most:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def slow_down(self) -> None:
        now = time.monotonic()
        if now - self._slowed > 1.0:  # many requests fail at once: they count once
            self._slowed, self._most = now, max(1.0, self._most / 2)
