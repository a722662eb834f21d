"""Arguments as torch's DataLoader spells them: understood where they mean the same in a Loader, else a TypeError that says what to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict

from atlas_ds.text import closest, printable


class DataLoaderOptions(TypedDict, total=False):
    """What a Loader takes besides its own arguments."""

    num_workers: int
    drop_last: bool
    multiprocessing_context: Any
    persistent_workers: bool
    in_order: bool
    sampler: None
    batch_sampler: None
    generator: None
    worker_init_fn: None
    prefetch_factor: None
    pin_memory_device: str


class Same(NamedTuple):
    """An argument of another name that means the same: its name here, and its value."""

    name: str
    value: Callable[[Any], Any]


def last_batch_of(drop_last: Any) -> str:
    return "drop" if drop_last else "short"


def same(value: Any) -> Any:
    return value


UNDERSTOOD = {
    "num_workers": Same("num_threads", same),
    "drop_last": Same("last_batch", last_batch_of),
    "multiprocessing_context": Same("start_method", same),
}
ORDER = "a Loader makes its order from shuffle=, seed=, rank= and world_size=; for an order of your own: Loader(ds.select(rows), shuffle=False)"
REFUSED = {
    "in_order": "batches always come in order; leave it out",
    "sampler": ORDER,
    "batch_sampler": ORDER,
    "generator": "use seed=, an integer: with it the order is the same on every machine, and a resumed run continues it",
    "worker_init_fn": "nothing has to be prepared in the loader's threads; for random numbers in transforms use seeded=True",
    "prefetch_factor": 'use prefetch=, the bytes that may be ready, such as prefetch="64MiB"',
    "pin_memory_device": "use pin_memory=True, which pins for the current accelerator",
    "num_replicas": 'use world_size=, or rank="auto", world_size="auto"',
    "epoch": "use loader.set_epoch(epoch), or load_state_dict",
    "epochs": "use a loop: one `for batch in loader` is one epoch",
    "num_epochs": "use a loop: one `for batch in loader` is one epoch",
    "device": "use pin_memory=True, and tensor.to(device, non_blocking=True) in the loop",
    "batch_transform": "use transform=, which gets a batch of NumPy columns",
    "weights": "use atlas.Mix([(dataset, weight), ...]), and give that to the Loader",
    "columns": "open the dataset with them: atlas.AtlasDataset(path, columns=[...])",
    "split": "open it: atlas.AtlasDataset(path, split=...)",
    "streaming": "rows are always read as they are needed; leave it out",
    "num_processes": "use transform_processes= for processes, num_threads= for threads",
}
NOTHING: Mapping[str, Any] = {
    "persistent_workers": (True, False), "in_order": (True,), "sampler": (None,), "batch_sampler": (None,), "generator": (None,), "worker_init_fn": (None,),
    "prefetch_factor": (None,), "pin_memory_device": ("", None), "multiprocessing_context": (None,),
}  # fmt: skip
"""Values that ask for nothing that a Loader does not do anyway."""
SAMPLERS = {
    "RandomSampler": "use shuffle=True, seed=0",
    "SequentialSampler": "use shuffle=False",
    "DistributedSampler": 'use rank="auto", world_size="auto"',
    "WeightedRandomSampler": "use atlas.Mix([(part, weight), ...]) for parts that should come more often than others",
    "SubsetRandomSampler": "use Loader(ds.select(rows))",
    "BatchSampler": "use batch_size= and drop_last=",
    "Sampler": "give its arguments (batch_size, seed, rank, ...) to the Loader, which makes the same order",
}


def understood(others: Mapping[str, Any], own: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The arguments that others stand for. own: what was given under the names used here, with its default where nothing was. TypeError for the rest."""
    out: dict[str, Any] = {}
    for name, value in others.items():
        if name in NOTHING and isinstance(value, int | str | None) and value in NOTHING[name]:
            continue
        if name not in UNDERSTOOD:
            raise refused(name, value, known)
        here = UNDERSTOOD[name]
        if own[here.name] is not None:
            raise TypeError(f"Loader({name}=, {here.name}=): both mean the same; pass only {here.name}=")
        if name == "multiprocessing_context" and not isinstance(value, str):
            raise TypeError(f'Loader({name}={printable(repr(value), 80)}): use start_method="forkserver" or "spawn"')
        out[here.name] = here.value(value)
    return out


def refused(name: str, value: Any, known: frozenset[str]) -> TypeError:
    if name in REFUSED:
        kind = SAMPLERS.get(type(value).__name__) if name in ("sampler", "batch_sampler") else None
        return TypeError(f"a Loader has no {name}=: {kind or REFUSED[name]}")
    like = closest(name, [*known, *UNDERSTOOD])
    cure = f"did you mean {' or '.join(f'{one}=' for one in like)}?" if like else f"its arguments are {', '.join(sorted(known))}"
    return TypeError(f"Loader() has no argument {printable(name, 60)!r}; {cure}")
