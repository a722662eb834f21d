"""Arguments as DataLoader and others spell them: understood, or a TypeError that names the argument to use."""

import numpy as np
import pytest

from atlas_ds import AtlasDataset, Loader, Mix, Sampler
from atlas_ds.loader.argument_names import NOTHING, REFUSED, UNDERSTOOD
from support import write


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return AtlasDataset(write(tmp_path_factory.mktemp("spellings") / "d", [{"x": i} for i in range(50)]))


def seen(loader):
    return [batch["x"].tolist() for batch in loader]


def made(ds, *arguments, **options):
    return Loader(ds, *arguments, **{"format": "numpy", "seed": 4} | options)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"num_workers": 0}, {"num_threads": 0}), ({"num_workers": 3}, {"num_threads": 3}), ({"drop_last": True}, {"last_batch": "drop"}),
        ({"drop_last": False}, {"last_batch": "short"}), ({"multiprocessing_context": "spawn"}, {"start_method": "spawn"}),
        ({"persistent_workers": True, "sampler": None, "batch_sampler": None, "generator": None, "worker_init_fn": None, "prefetch_factor": None}, {}),
        ({"pin_memory_device": "", "in_order": True, "collate_fn": None, "multiprocessing_context": None, "pin_memory": False}, {}),
    ],
)  # fmt: skip
def test_understood(ds, theirs, ours):
    one, other = made(ds, 8, **theirs), made(ds, batch_size=8, **ours)
    assert (one._config.threads, one._config.start_method) == (other._config.threads, other._config.start_method)
    assert len(one) == len(other) and seen(one) == seen(other)


def test_collate_fn(ds):
    loader = made(ds, 8, collate_fn=lambda examples: np.array([example["x"] for example in examples]), shuffle=False, drop_last=False)
    assert [batch.tolist() for batch in loader][-1] == [48, 49]


@pytest.mark.parametrize(("theirs", "ours"), [("num_workers", "num_threads"), ("drop_last", "last_batch"), ("multiprocessing_context", "start_method")])
def test_both_names(ds, theirs, ours):
    values = {"num_threads": 1, "last_batch": "drop", "start_method": "spawn", "num_workers": 1, "drop_last": True, "multiprocessing_context": "spawn"}
    with pytest.raises(TypeError, match=f"{theirs}=, {ours}="):
        made(ds, 8, **{theirs: values[theirs], ours: values[ours]})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(ds, name):
    with pytest.raises(TypeError, match=f"a Loader has no {name}=: ") as caught:
        made(ds, 8, **{name: object()})
    assert REFUSED[name] in str(caught.value)


def test_samplers_say_which_argument(ds):
    data = pytest.importorskip("torch.utils.data")
    for sampler, words in (
        (data.RandomSampler(ds), "shuffle=True"), (data.SequentialSampler(ds), "shuffle=False"), (data.WeightedRandomSampler([1.0], 1), "atlas.Mix"),
        (Sampler(ds, batch_size=2), "give its arguments"), ([3, 1], "ds.select"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"no sampler=: .*{words}"):
            made(ds, 8, sampler=sampler)
    with pytest.raises(TypeError, match="batch_size= and drop_last="):
        made(ds, batch_sampler=data.BatchSampler(range(4), 2, False))


def test_every_argument_of_data_loader(ds):
    """None is a surprise: each is an argument here, understood, or refused with words."""
    data = pytest.importorskip("torch.utils.data")
    import inspect

    theirs = set(inspect.signature(data.DataLoader.__init__).parameters) - {"self"}
    ours = set(inspect.signature(Loader.__init__).parameters)
    assert theirs <= ours | set(UNDERSTOOD) | set(REFUSED) | set(NOTHING)


def test_unknown_names(ds):
    for name, words in (("bach_size", "did you mean batch_size="), ("shufle", "did you mean shuffle="), ("colate", "collate_fn="), ("nothing_like_it", "its arguments are batch_size")):
        with pytest.raises(TypeError, match=f"no argument '{name}'.*{words}"):
            made(ds, 8, **{name: 1})
    for options, words in (({"in_order": False}, "always come in order"), ({"multiprocessing_context": object()}, "start_method="), ({"persistent_workers": 7}, "no argument")):
        with pytest.raises(TypeError, match=words):
            made(ds, 8, **options)
    with pytest.raises(ValueError, match=r"math\.inf"):
        made(ds, 8, timeout=0)


def test_what_is_no_dataset(ds):
    for wrong, words in (([ds, ds], "atlas.concat"), ({"x": [1]}, "not dict"), (iter([1]), "len"), (None, "NoneType"), (AtlasDataset, "the class AtlasDataset")):
        with pytest.raises(TypeError, match=words):
            made(wrong, 8)


def test_what_is_no_function(ds):
    for name in ("transform", "transform_example", "collate_fn"):
        with pytest.raises(TypeError, match=f"{name}='x': give a function"):
            made(ds, 8, **{name: "x"})


def test_mixes(ds):
    for arguments, options, error, words in (
        ((ds,), {}, TypeError, "not AtlasDataset"), (([ds, ds],), {}, TypeError, "part 0 is not a pair"), (([(ds, 0.5), (ds, 0.5)],), {}, TypeError, "7 and 3 for 0.7 and 0.3"),
        (([ds],), {"weights": [1]}, TypeError, "no argument 'weights'"), (([ds],), {"probabilities": [1]}, TypeError, "7 and 3"), (([(ds, 1)],), {"sed": 1}, TypeError, "did you mean seed="),
        (([],), {}, ValueError, "at least one"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            Mix(*arguments, **options)
