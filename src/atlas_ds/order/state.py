"""The position of a run in its order: a few numbers, small enough for a checkpoint, validated when they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

from atlas_ds.order import keys
from atlas_ds.order.options import LastBatch
from atlas_ds.order.partition import check_last_batch

VERSION: Final = 1
MAX_NAME: Final = 64  # characters of a dataset's name: keeps the state below 400 bytes
SHUFFLES: Final = ("exact", "window", "mix", False)
FIXED: Final = ("dataset", "shuffle", "seed", "substream", "lanes", "window", "chunk")
"""These define an order: a run that differs in one of them cannot load the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """An order and the number of its positions that were consumed. Its JSON is below 400 bytes.

    dataset: fingerprint. position: of the next row, counted over all ranks. batch: the global batch. lanes, window,
    chunk: of the window order, otherwise None; chunk is the rows per chunk, or a hash of all chunk sizes if they differ.
    """

    version: int = VERSION
    dataset: str
    shuffle: Literal["exact", "window", "mix", False]
    seed: int
    substream: int
    epoch: int
    position: int
    batch: int
    lanes: int | None
    window: int | None
    chunk: int | str | None
    last_batch: LastBatch
    mix: tuple[tuple[int, tuple[int, ...]], ...] | None = None
    """of a mix: the positions (of the run, not of an epoch) at which weights take effect, and the weights"""

    def to_dict(self) -> dict[str, Any]:
        """Strings, ints, False and None: ready for json.dumps."""
        state = asdict(self)
        if self.mix is None:
            del state["mix"]
        else:
            state["mix"] = [[origin, list(weights)] for origin, weights in self.mix]
        return state

    def at(self, position: int) -> OrderState:
        return replace(self, position=position)

    def at_epoch(self, epoch: int) -> OrderState:
        return replace(self, epoch=keys.word("epoch", epoch), position=0)


def from_dict(state: Mapping[str, Any]) -> OrderState:
    """The inverse of `to_dict`. Raises TypeError or ValueError that names what is wrong."""
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a dict, not {type(state).__name__}")
    version = state.get("version")
    if version != VERSION:
        raise ValueError(f"a state of version {version!r}; this release reads version {VERSION}")
    names = [field.name for field in fields(OrderState)]
    if missing := [name for name in names if name not in state and name != "mix"]:
        raise ValueError(f"the state has no {', '.join(missing)}")
    if unknown := sorted(set(state) - set(names), key=str):
        raise ValueError(f"the state has {', '.join(map(str, unknown))}, which this version does not know")
    mix = state.get("mix")
    found = OrderState(**{**state, "mix": None if mix is None else tuple((origin, tuple(weights)) for origin, weights in mix)})
    check_name(found.dataset)
    if not (found.shuffle is False or found.shuffle in ("exact", "window", "mix")):
        raise ValueError(f"the state's shuffle {found.shuffle!r} is not one of {SHUFFLES}")
    for name in ("seed", "substream", "epoch"):
        keys.word(f"the state's {name}", getattr(found, name))
    if (found.shuffle == "mix") != (found.mix is not None):
        raise ValueError("a state has mix (its weights) if its shuffle is 'mix', and only then")
    keys.count("the state's position", found.position, 0)
    keys.count("the state's batch", found.batch)
    check_last_batch(found.last_batch)
    return found


def check_name(dataset: object) -> str:
    if not isinstance(dataset, str) or not dataset.isascii() or not 0 < len(dataset) <= MAX_NAME:
        raise ValueError(f"a dataset's fingerprint is 1 to {MAX_NAME} ASCII characters, not {dataset!r}")
    return dataset


def check_same(state: OrderState, own: OrderState, rows: int) -> None:
    """ValueError that names both values if state is not a place in own's order of so many rows."""
    for name in FIXED:
        theirs, ours = getattr(state, name), getattr(own, name)
        if theirs != ours or type(theirs) is not type(ours):
            raise ValueError(f"the state was saved with {name} {theirs!r}, this run has {ours!r}: so its order differs")
    if state.position > rows:
        raise ValueError(f"the state's position {state.position} is past the {rows} rows")
