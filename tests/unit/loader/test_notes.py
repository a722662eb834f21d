"""An error in a function of the user names the row and, where there is one, the file; it stays the error that it was."""

import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

import atlas_ds as atlas
from atlas_ds import AtlasDataset, Loader
from atlas_ds.errors import CorruptError
from support import write
from unit.loader import parts
from unit.loader.parts import load


@pytest.fixture(scope="module")
def dataset(numbers):
    return AtlasDataset(numbers)


def notes_of(function, kind):
    with pytest.raises(kind) as found:
        function()
    return "\n".join(found.value.__notes__)


def file_of(dataset, row):
    ends = np.cumsum([shard.rows for shard in dataset.shards])
    return dataset.shards[int(np.searchsorted(ends, row, "right"))].path


@pytest.mark.parametrize("options", [{"num_threads": 0}, {"num_threads": 3}, {"transform_processes": 1}], ids=str)
def test_transform_example(dataset, options):
    def note(source, **more):
        return notes_of(lambda: list(load(source, transform_example=parts.fail_at_77, **options, **more)), KeyError)

    assert note(dataset) == f"in transform_example of row 77: {dataset.path}: {file_of(dataset, 77)}"
    assert note(dataset[70:]) == f"in transform_example of row 7: {dataset.path}: {file_of(dataset, 77)}, row 77 of the dataset"
    joined = note(atlas.concat([dataset[:50], dataset[50:]]))
    assert joined == f"in transform_example of row 77: dataset 1 of the concat, row 27: {dataset.path}: {file_of(dataset, 77)}, row 77 of the dataset"
    assert "in transform_example of row 77" in note(list(dataset))


def test_an_error_that_cannot_be_sent_keeps_its_note(dataset):
    note = notes_of(lambda: list(load(dataset, transform_example=parts.fail_oddly_at_77, transform_processes=1)), RuntimeError)
    assert "in transform_example of row 77" in note


def test_seeded(dataset):
    def fail(example, rng):
        return parts.fail_at_77(example)

    assert "in transform_example of row 77:" in notes_of(lambda: list(load(dataset, transform_example=fail, seeded=True)), KeyError)


def test_a_mix(dataset):
    mix = atlas.Mix([(dataset[:50], 1), (dataset[50:], 1)], shuffle=False)
    loader = Loader(mix, batch_size=10, format="numpy", transform_example=parts.fail_at_77)
    assert f"dataset 1 of the concat, row 27: {dataset.path}" in notes_of(lambda: list(loader), KeyError)


def test_transform_and_collate(dataset):
    def fail(batch):
        raise ValueError("no")

    note = notes_of(lambda: list(load(dataset, transform=fail, shuffle=False, batch_size=10)), ValueError)
    assert note == f"in transform of a batch of 10 rows, starting with row 0: {dataset.path}: {file_of(dataset, 0)}"
    note = notes_of(lambda: list(load(dataset[301:], collate_fn=fail, shuffle=False, batch_size=10)), ValueError)
    assert note == f"in collate_fn of 10 rows, starting with row 0: {dataset.path}: {file_of(dataset, 301)}, row 301 of the dataset"


def test_map(dataset):
    mapped = dataset.map(parts.fail_at_77)
    want = f"in map of row 77: {dataset.path}: {file_of(dataset, 77)}"
    ways = [lambda: mapped[77], lambda: mapped[70:][7], lambda: list(mapped), lambda: mapped.__getitems__([3, 77]), lambda: list(load(mapped)), lambda: atlas.concat([mapped, mapped])[77]]
    for way in ways:
        assert notes_of(way, KeyError) == want
    with pytest.raises(KeyError, match="this row has no caption"):
        list(DataLoader(mapped, batch_size=10, num_workers=1))


def test_pictures(tmp_path):
    pytest.importorskip("PIL")
    rows = [{"p": atlas.Media(b"\x89PNG broken", "image/png")}]
    dataset = AtlasDataset(write(tmp_path / "d", rows), decode="numpy")
    for way in (lambda: dataset[0], lambda: list(dataset), lambda: dataset.__getitems__([0])):
        with pytest.raises(CorruptError, match=r"row 0.*column 'p'"):
            way()


def test_an_error_without_room_for_a_note(dataset):
    class Frozen(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    def fail(example):
        raise Frozen("as it was")

    with pytest.raises(Frozen, match="as it was"):
        dataset.map(fail)[0]


def test_notes_are_not_doubled(dataset):
    error = ValueError("the same each time")

    def fail(example):
        raise error

    for _ in range(3):
        with pytest.raises(ValueError, match="the same"):
            dataset.map(fail)[5]
    assert len(error.__notes__) == 1 and pickle.loads(pickle.dumps(error)).__notes__ == error.__notes__


def test_skipped_rows(dataset):
    loader = load(dataset, transform_example=parts.fail_at_77, on_error="skip")
    assert sum(len(batch["i"]) for batch in loader) == 999 and loader.stats().skips == [(77, "KeyError: 'this row has no caption'")]
