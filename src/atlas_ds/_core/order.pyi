"""The types of order.pyx, which says what each thing does. Kept by hand; tests/shape/test_package.py compares the names."""

from typing import final

import numpy as np
import numpy.typing as npt

def order_key(*words: int) -> int: ...

@final
class Permutation:
    def __init__(self, n: int, *words: int) -> None: ...
    def take(self, start: int, count: int) -> npt.NDArray[np.int64]: ...
    def find(self, y: int) -> int: ...

@final
class Windows:
    lane_rows: npt.NDArray[np.int64]
    def __init__(
        self,
        chunks: Permutation,
        starts: npt.NDArray[np.int64] | None,
        rows: int,
        rows_per_chunk: int,
        lanes: int,
        window: int,
        stream: int,
        seed: int,
        epoch: int,
    ) -> None: ...
    def deal(self, even: int, turns: npt.NDArray[np.int64], by_length: npt.NDArray[np.int64]) -> None: ...
    def take(self, start: int, count: int, step: int = 1) -> npt.NDArray[np.int64]: ...

@final
class MixOrder:
    def __init__(self, ends: npt.NDArray[np.int64], seed: int, origin: int) -> None: ...
    def take(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
