"""Threads that encode the blocks of shards."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from atlas_ds import _core


class Encoders:
    """Threads that encode blocks; results come back in the order they were requested for."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, "atlas-encode") if workers > 0 else None
        self._idle: list[_core.Encoder] = []

    def submit(self, block: _core.Block) -> Future[list[_core.Block]]:
        if self._pool is not None:
            return self._pool.submit(self.encode, [block])
        done: Future[list[_core.Block]] = Future()
        done.set_result(self.encode([block]))
        return done

    def encode(self, blocks: list[_core.Block]) -> list[_core.Block]:
        try:
            encoder = self._idle.pop()
        except IndexError:
            encoder = _core.Encoder()
        try:
            _core.encode_all(blocks, encoder)
        finally:
            self._idle.append(encoder)
        return blocks

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
