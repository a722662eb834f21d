"""atlas.Mix: several datasets in exact proportions, as something a Loader or Sampler takes. Which row is when: order/mix_rows.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Never, SupportsIndex

from atlas_ds import _core
from atlas_ds.dataset.concat import Concat
from atlas_ds.dataset.map_style import MapStyle
from atlas_ds.dataset.show import html_of
from atlas_ds.order import keys
from atlas_ds.order.epoch import ChunksOf, OrderSource, source_of
from atlas_ds.order.mix_rows import Parts, segments_of
from atlas_ds.order.options import Shuffle
from atlas_ds.text import closest, printable

FORM = "atlas.Mix([(big, 3), (small, 1)]): pairs of a dataset and a weight, an integer"
INSTEAD = {
    "weights": FORM,
    "probabilities": f"{FORM}; 7 and 3 for 0.7 and 0.3",
    "datasets": FORM,
    "stopping_strategy": "each dataset starts again after its last row; length= sets the rows of an epoch",
    "batch_size": "give it to the Loader: atlas.Loader(mix, batch_size=64)",
}
"""Arguments that users of other libraries try -> what to use here."""


def check_arguments(parts: Any, others: Mapping[str, Any]) -> None:
    """TypeError that says what to write where a Mix was given something else than pairs."""
    for name in others:
        like = closest(name, ("parts", "seed", "shuffle", "length"))
        raise TypeError(f"Mix has no argument {printable(name, 60)!r}: {INSTEAD.get(name) or (f'did you mean {like[0]}=?' if like else FORM)}")
    if not isinstance(parts, list | tuple):
        raise TypeError(f"Mix: expected a list of pairs, not {type(parts).__name__}; give {FORM}")
    if not parts:
        raise ValueError("Mix([]): give at least one (dataset, weight)")
    for number, part in enumerate(parts):
        if not isinstance(part, list | tuple) or len(part) != 2:
            raise TypeError(f"Mix: part {number} is not a pair of a dataset and a weight; give {FORM}")
        if not hasattr(part[1], "__index__"):
            raise TypeError(f"Mix: the weight of part {number} is {printable(repr(part[1]), 60)}; give integers: 7 and 3 for 0.7 and 0.3")


class Mix(MapStyle[Any]):
    """Several datasets in exact proportions, for `Loader(mix, ...)` and `Sampler(mix, ...)`.

        mix = atlas.Mix([(web, 5), (books, 3)], seed=0)
        for batch in atlas.Loader(mix, batch_size=256): ...

    In every `sum(weights)` positions, counted from the beginning, dataset i has exactly
    `weights[i]` rows, at places that depend on the seed; docs/order.md specifies which. Each
    dataset is read in its own shuffled order, and begins its next epoch after its last row. A
    resumed run continues at the same row of each. The same dataset twice gets two orders.
    `len(mix)` is the rows of an epoch. See docs/guide/train.md#several-datasets.

    Parameters
    ----------
    parts
        Pairs of a dataset and a weight. Weights are integers from 0 that add up to at most
        65,536. The datasets must have the same columns, as for `concat`.
    seed
        Of the mix and of the orders of its datasets.
    shuffle
        Of each dataset: True (what suits it), "exact", "window", or False (as it is stored).
    length
        Rows of an epoch. None: as many as all datasets have together.

    Raises
    ------
    ValueError
        A dataset is empty, or the weights do not add up to 1 to 65,536.

    Attributes
    ----------
    datasets
        The datasets.
    all
        The datasets one after another; the order is made of its row numbers.
    seed
        The seed that was given.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Any, SupportsIndex]],
        *,
        seed: SupportsIndex = 0,
        shuffle: Shuffle = True,
        length: SupportsIndex | None = None,
        **others: Never,
    ) -> None:
        check_arguments(parts, others)
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

    def __repr__(self) -> str:
        return f"Mix(rows={len(self)} in an epoch, of {len(self.datasets)} datasets with weights {', '.join(map(str, self.weights[:12]))})"

    def _repr_html_(self) -> str:
        """The first rows of `all`, the datasets one after another."""
        return html_of(self.all, repr(self))

    def __dir__(self) -> list[str]:
        """What is public."""
        return sorted([name for name in dir(type(self)) if name[0] != "_"] + ["all", "datasets", "seed"])

    def __len__(self) -> int:
        """Rows of an epoch."""
        return self._parts.length

    @property
    def weights(self) -> tuple[int, ...]:
        """As they were given; `Loader.reweight` changes them for a run."""
        return self.segments[0][1]

    def order_source(self) -> OrderSource:
        """Returns the source from which a Sampler makes the order of a mix."""
        names = "|".join([*(source.fingerprint for source in self._parts.sources), str(self._parts.shuffle), str(len(self))])
        name = f"mix:{_core.hash64(names.encode()):016x}"
        return OrderSource(len(self), name, ChunksOf(self, len(self)), "mix", make=self._parts.order, seed=self.seed, mix=self.segments)

    def batch(self, rows: Any, columns: Sequence[str] | None = None) -> Any:
        """Reads columns of some rows of `all`.

        Parameters
        ----------
        rows
            Row r of a dataset has the number r plus the rows of the datasets before it.
        columns
            Names of the columns to read; None: all.
        """
        return self.all.batch(rows, columns)

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        """Examples of some rows of `all`: what torch's DataLoader asks for."""
        return self.all.__getitems__(rows)

    def _place_of(self, row: int) -> str:
        return self.all._place_of(row)

    def __getitem__(self, row: int) -> Any:
        return self.all[row]
