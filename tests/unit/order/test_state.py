"""States: small, checked when they come back, and errors that name both values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from atlas_ds.order import OrderState, Sampler
from atlas_ds.order.state import FIXED, from_dict


class Rows:
    """What an order asks of a dataset."""

    def __init__(self, counts: Any = (1000, 10), fingerprint: str | None = "d" * 64, advice: str | None = None) -> None:
        self._counts = counts
        self.fingerprint = fingerprint
        self.default_shuffle = advice

    def __len__(self) -> int:
        return self._counts[0] if isinstance(self._counts, tuple) else int(self._counts.sum())

    def chunk_rows(self) -> Any:
        return self._counts


def test_the_largest_state_is_small() -> None:
    most = (1 << 64) - 1
    state = OrderState(
        dataset="d" * 64, shuffle="window", seed=most, substream=most, epoch=most, position=2**62, batch=2**63 - 1,
        lanes=1 << 20, window=2**31 - 1, chunk="f" * 16, last_batch="short",
    )  # fmt: skip
    text = json.dumps(state.to_dict())
    assert len(text) < 400
    assert from_dict(json.loads(text)) == state


def test_names_and_values() -> None:
    sampler = Sampler(Rows(), batch_size=4, world_size=2, shuffle="window", seed=5, substream=3, last_batch="pad")
    sampler.set_epoch(2)
    assert sampler.state_dict() == {
        "version": 1, "dataset": "d" * 64, "shuffle": "window", "seed": 5, "substream": 3, "epoch": 2, "position": 0, "batch": 8,
        "lanes": 192, "window": 32, "chunk": 10, "last_batch": "pad",
    }  # fmt: skip
    state = Sampler(10, batch_size=1, shuffle=False).state_dict()
    assert (state["dataset"], state["shuffle"], state["lanes"], state["window"], state["chunk"]) == ("rows:10", False, None, None, None)


def changed(name: str, **options: Any) -> tuple[Sampler, Sampler]:
    base: dict[str, Any] = {"dataset": Rows(), "batch_size": 4, "shuffle": "window", "seed": 5, "substream": 3, "lanes": 8, "window": 4}
    return Sampler(**base), Sampler(**(base | options))


@pytest.mark.parametrize(
    ("name", "options", "theirs", "ours"),
    [
        ("dataset", {"dataset": Rows(fingerprint="e" * 64)}, "'dddd", "'eeee"),
        ("shuffle", {"shuffle": "exact", "lanes": None, "window": None}, "'window'", "'exact'"),
        ("shuffle", {"shuffle": False, "lanes": None, "window": None}, "'window'", "False"),
        ("seed", {"seed": 6}, "5", "6"),
        ("substream", {"substream": 4}, "3", "4"),
        ("lanes", {"lanes": 9}, "8", "9"),
        ("window", {"window": 5}, "4", "5"),
        ("chunk", {"dataset": Rows((1000, 20))}, "10", "20"),
        ("chunk", {"dataset": Rows(np.full(100, 10))}, "10", "'"),
    ],
)
def test_another_order_is_refused(name: str, options: dict[str, Any], theirs: str, ours: str) -> None:
    first, second = changed(name, **options)
    assert name in FIXED
    with pytest.raises(ValueError, match=rf"saved with {name} {theirs}.*this run has {ours}"):
        second.load_state_dict(first.state_dict())
    assert second.state_dict()["position"] == 0


def test_a_value_of_another_type_is_another_value() -> None:
    sampler = Sampler(1000, batch_size=4, shuffle="window", lanes=1)
    for name, value in [("lanes", True), ("window", 32.0), ("chunk", 256.0)]:
        with pytest.raises(ValueError, match=f"saved with {name} {value!r}, this run has"):
            sampler.load_state_dict(sampler.state_dict() | {name: value})


def test_batch_ranks_and_tail_may_change() -> None:
    first = Sampler(1000, batch_size=4, world_size=2)
    next(iter(first))
    second = Sampler(1000, global_batch_size=30, world_size=3, last_batch="pad", rank=1)
    second.load_state_dict(first.state_dict())
    assert len(second) == -(-992 // 30)
    assert second.state_dict()["batch"] == 30 and second.state_dict()["last_batch"] == "pad" and second.state_dict()["position"] == 8


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"version": 2}, ValueError, "a state of version 2; this release reads version 1"),
        ({"seed": -1}, ValueError, r"the state's seed -1 is not in \[0, 2\^64\)"),
        ({"epoch": "3"}, TypeError, "the state's epoch must be an int, not '3'"),
        ({"position": -5}, ValueError, "the state's position -5"),
        ({"position": 1001}, ValueError, "position 1001 is past the 1000 rows"),
        ({"position": 1.5}, TypeError, "the state's position must be an int, not 1.5"),
        ({"position": True}, TypeError, "the state's position must be an int, not True"),
        ({"batch": 0}, ValueError, "the state's batch 0"),
        ({"shuffle": "best"}, ValueError, "shuffle 'best' is not one of"),
        ({"shuffle": 0}, ValueError, "shuffle 0 is not one of"),
        ({"last_batch": "long"}, ValueError, "last_batch 'long' is not one of drop, short, pad"),
        ({"dataset": "x" * 65}, ValueError, "1 to 64 ASCII characters"),
        ({"dataset": 7}, ValueError, "1 to 64 ASCII characters"),
        ({"more": 1}, ValueError, "the state has more, which this version does not know"),
    ],
)
def test_damaged_states_are_refused(change: dict[str, Any], error: type[Exception], says: str) -> None:
    sampler = Sampler(1000, batch_size=4)
    state = sampler.state_dict() | change
    with pytest.raises(error, match=says):
        sampler.load_state_dict(state)


@pytest.mark.parametrize("name", sorted(Sampler(1000, batch_size=4).state_dict()))
def test_a_missing_field_is_named(name: str) -> None:
    sampler = Sampler(1000, batch_size=4)
    state = sampler.state_dict()
    del state[name]
    with pytest.raises(ValueError, match=name):
        sampler.load_state_dict(state)
    with pytest.raises(TypeError, match="a state is a dict, not list"):
        sampler.load_state_dict([])  # type: ignore[arg-type]


def test_fingerprints_are_checked() -> None:
    with pytest.raises(ValueError, match="1 to 64 ASCII characters"):
        Sampler(Rows(fingerprint="ü"), batch_size=1)
    assert Sampler(Rows(fingerprint=None), batch_size=1).state_dict()["dataset"] == "rows:1000"
