"""atlas.Mix: several datasets in exact proportions, as something a Loader or Sampler takes. Which row is when: order/mixed.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

from atlas_ds import _core
from atlas_ds.dataset.concat import Concat
from atlas_ds.order import keys
from atlas_ds.order.mixed import Parts, segments_of
from atlas_ds.order.plan import ChunksOf, Source, source_of


class Mix:
    """Datasets mixed by whole weights, for `Loader(mix, ...)` or `Sampler(mix, ...)`.

        mix = atlas.Mix([(web, 5), (books, 3)], seed=0)
        for batch in atlas.Loader(mix, batch_size=256): ...

    In every T = sum(weights) positions, counted from the beginning, dataset i has exactly weights[i] rows, at places that depend on the
    seed. Each dataset is read in its own shuffled order, and begins its next epoch when it is through. A resumed run goes on at
    the same row of each. The same dataset twice gets two orders.

    parts: (dataset, weight) pairs; weights are ints >= 0 that add up to at most 65,536. The datasets must have the same columns, as for `concat`.
    shuffle: True (what suits each dataset), "exact", "window" or False (as they are stored). length: rows of an epoch of the mix; by
    default as many as all datasets have together. all: the datasets one after another, by whose row numbers the order speaks. Weights
    are changed by `Loader.reweight`, and a state remembers when.
    """

    def __init__(
        self, parts: Sequence[tuple[Any, SupportsIndex]], *, seed: SupportsIndex = 0, shuffle: bool | str = True, length: SupportsIndex | None = None
    ) -> None:
        if not parts:
            raise ValueError("Mix([]): give at least one (dataset, weight)")
        self.datasets = tuple(dataset for dataset, _ in parts)
        self.seed = keys.word("seed", seed)
        self.segments = segments_of([weight for _, weight in parts])
        sources = tuple(map(source_of, self.datasets))
        for number, source in enumerate(sources):
            if source.rows == 0:
                raise ValueError(f"dataset {number} of the mix is empty")
        count = sum(source.rows for source in sources) if length is None else keys.count("length", length)
        self._parts = Parts(sources, shuffle, count)
        self.all = Concat(self.datasets, None)

    def __len__(self) -> int:
        """Rows of an epoch."""
        return self._parts.length

    @property
    def weights(self) -> tuple[int, ...]:
        """As they were given."""
        return self.segments[0][1]

    def order_source(self) -> Source:
        """What Sampler asks: a source that makes its own order."""
        names = "|".join([*(source.fingerprint for source in self._parts.sources), str(self._parts.shuffle), str(len(self))])
        name = f"mix:{_core.hash64(names.encode()):016x}"
        return Source(len(self), name, ChunksOf(self, len(self)), "mix", make=self._parts.order, seed=self.seed, mix=self.segments)

    def batch(self, rows: Any, columns: Sequence[str] | None = None) -> Any:
        """Columns of some rows of `all`: row r of a dataset comes after the rows of the datasets before it."""
        return self.all.batch(rows, columns)

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        """Examples of some rows of `all`: what torch's DataLoader asks for."""
        return self.all.__getitems__(rows)

    def _place_of(self, row: int) -> str:
        return self.all._place_of(row)

    def __getitem__(self, row: int) -> Any:
        return self.all[row]
