"""ds.raw(): whatever a view does to its examples, the rows as they were written."""

from atlas_ds import AtlasDataset, Media
from support import PNG, same, write


def test_plain_is_what_was_written(tmp_path):
    rows = [{"image": Media(PNG, "image/png"), "n": i} for i in range(5)]
    ds = AtlasDataset(write(tmp_path / "ds", rows), decode="numpy")
    view = ds[3:0:-1].with_format("numpy").map(lambda example: example["n"])
    assert same(list(view.raw()), rows[3:0:-1]) and same(view.raw()[0], rows[3])
    assert list(view) == [3, 2, 1] and view.raw().decode is None
