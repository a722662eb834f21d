"""Arrays in lists and dicts: what is packed can be unpacked; anything else is refused where it is packed."""

import numpy as np
import pytest

from atlas_ds import errors
from atlas_ds.schema.objects import pack, unpack
from support import write

MISSING = np.array(["a", None], np.dtypes.StringDType(na_object=None))


@pytest.mark.parametrize("array", [np.zeros((1,) * 40), np.zeros(((1 << 30) + 1, 0)), np.full((1,) * 40, "a")])
def test_an_array_that_no_reader_takes_is_refused(array):
    with pytest.raises(errors.SchemaError, match=r"column 'v'.*at most 32 dimensions"):
        pack([array], "v")


def test_the_largest_shapes_come_back():
    assert unpack(pack([np.zeros((1,) * 32)], "v"))[0].shape == (1,) * 32
    assert unpack(pack([np.zeros((1 << 30, 0))], "v"))[0].shape == (1 << 30, 0)


@pytest.mark.parametrize("schema", [None, {"a": "object"}], ids=["inferred", "declared"])
@pytest.mark.parametrize("value", [MISSING, [MISSING], {"k": [MISSING]}], ids=["alone", "list", "dict"])
def test_a_text_that_is_missing_has_a_way_out(tmp_path, schema, value):
    with pytest.raises(errors.SchemaError, match=r"'a.*missing value.*value\.tolist\(\)"):
        write(tmp_path / "d", [{"a": value}], schema=schema)
