"""Writes datasets with MosaicML's own MDSWriter, reads them with its StreamingDataset, and leaves what that gave in expected.pickle.

Run by test_mds.py, in a process of its own. Only streaming.base is imported: the rest of the package wants torchvision, and its data loader asks
transformers for two classes that no local reader uses.
"""

import importlib.util
import io
import pickle
import shutil
import sys
import types
from decimal import Decimal
from pathlib import Path

import numpy as np
from PIL import Image


def module(name, **names):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(names)


module("streaming", __path__=list(importlib.util.find_spec("streaming").submodule_search_locations))
module("transformers", __path__=[])
module("transformers.feature_extraction_utils", BatchFeature=type("BatchFeature", (), {}))
module("transformers.tokenization_utils_base", BatchEncoding=type("BatchEncoding", (), {}))

from streaming.base import MDSWriter, StreamingDataset  # noqa: E402
from streaming.base.format.mds.encodings import get_mds_encodings  # noqa: E402
from streaming.base.util import merge_index  # noqa: E402

ROOT = Path(sys.argv[1])
ROWS = 23


def picture(i, mode="RGB"):
    rng = np.random.default_rng(i)
    shape = (5 + i % 3, 7) if mode == "L" else (5 + i % 3, 7, {"RGB": 3, "RGBA": 4}[mode])
    return Image.fromarray(rng.integers(0, 255, shape, np.uint8), mode)


def encoded(i, form):
    out = io.BytesIO()
    picture(i).save(out, form)
    return out.getvalue()


def opened(i, form):
    return Image.open(io.BytesIO(encoded(i, form)))


NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
ENCODINGS = {
    "int": lambda i: i * 1_000_003 - 7,
    "bytes": lambda i: bytes(range(i)),
    "str": lambda i: "é" * i,
    "str_int": lambda i: (i - 9) * 10**16,
    "str_float": lambda i: i / 7,
    "str_decimal": lambda i: Decimal(i) / Decimal(8),
    "json": lambda i: (None, [i, "x", None, 1.5], {"a": {"b": [i]}}, "text", i)[i % 5],
    "ndarray": lambda i: np.arange(2 * i + 2, dtype=np.int16).reshape(2, i + 1) - 3,
    "ndarray:float32": lambda i: np.arange(300 if i == 5 else i + 1, dtype=np.float32),
    "ndarray:uint16:2,3": lambda i: np.full((2, 3), i, np.uint16),
    "pil": lambda i: picture(i, ("L", "RGB", "RGBA")[i % 3]),
    "jpeg": lambda i: opened(i, "JPEG"),
    "png": lambda i: opened(i, "PNG"),
    "jpeg_array": lambda i: [encoded(i + k, "JPEG") for k in range(1 + i % 3)],
    "jpegarray": lambda i: [encoded(i + k, "JPEG") for k in range(1 + i % 2)],
    "list[pil]": lambda i: [picture(i + k) for k in range(i % 3)],
    "list[jpeg]": lambda i: [opened(i + k, "JPEG") for k in range(i % 3)],
    "list[png]": lambda i: [opened(i + k, "PNG") for k in range(i % 3)],
    **{name: lambda i, name=name: np.dtype(name).type((i * 5) % 120) for name in NUMBERS},
}


def plain(value):
    """Pictures as arrays, so that the other side needs nothing of this process."""
    if isinstance(value, Image.Image):
        return np.asarray(value)
    return [plain(item) for item in value] if isinstance(value, list) else value


def write(name, columns, rows, **options):
    with MDSWriter(out=str(ROOT / name), columns=columns, **options) as writer:
        for row in rows:
            writer.write(row)


def read(name):
    """By a copy of the folder, since their reader unpacks into it."""
    shutil.copytree(ROOT / name, ROOT / "read" / name)
    dataset = StreamingDataset(local=str(ROOT / "read" / name), shuffle=False, batch_size=1)
    return [{key: plain(value) for key, value in dataset[i].items()} for i in range(len(dataset))]


def main():
    missing = {name for name in get_mds_encodings() if name not in ENCODINGS} - {"pkl"}
    assert not missing, f"encodings that this test does not write: {missing}"
    expected = {}
    every = {f"c{k:02d}_{name.split(':')[0].strip(']').replace('[', '_')}": name for k, name in enumerate(ENCODINGS)}
    write("every", every, [{key: ENCODINGS[name](i) for key, name in every.items()} for i in range(ROWS)], size_limit=20_000, hashes=["sha1", "xxh64"])
    expected["every"] = read("every")
    small = {"n": "int", "s": "str"}
    for number, name in enumerate(("zstd:3", "gz:1", "bz2:9", "br:5", "snappy", "zstd")):
        rows = [{"n": i, "s": f"text {i % 7} " * (i % 11)} for i in range(100)]
        write(f"packed{number}", small, rows, compression=name, size_limit=700, hashes=["md5", "xxh32", "xxh3_64"][: number % 4])
        expected[f"packed{number}"] = read(f"packed{number}")
    for split in ("train", "val"):
        write(f"splits/{split}", small, [{"n": i, "s": split} for i in range(5)])
        expected[f"splits/{split}"] = read(f"splits/{split}")
    for part in ("0", "1"):
        write(f"merged/{part}", small, [{"n": 100 * int(part) + i, "s": part} for i in range(5)])
    merge_index(str(ROOT / "merged"), keep_local=True)
    expected["merged"] = read("merged")
    write("pickled", {"n": "int", "danger": "pkl"}, [{"n": 1, "danger": {1, 2}}])
    (ROOT / "expected.pickle").write_bytes(pickle.dumps(expected))


if __name__ == "__main__":
    main()
