"""Writes datasets with LitData's own writer and optimize, reads them with its StreamingDataset, and leaves what that gave in expected.pickle.

Run by test_litdata.py, in a process of its own. boto3, requests and their kin are not there: nothing is fetched, so empty stand-ins do.
Media are asked for as bytes: the layout is what is compared, not a decoder.
"""

import io
import pickle
import shutil
import sys
from pathlib import Path
from unittest import mock

ABSENT = """boto3 botocore botocore.config botocore.credentials botocore.exceptions botocore.session botocore.utils requests requests.adapters
requests.exceptions urllib3 urllib3.util urllib3.util.retry"""
for name in ABSENT.split():
    sys.modules[name] = mock.MagicMock(__path__=[], __spec__=None)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from litdata import Audio, File, Graph, Jpeg, JpegArray, Mesh, Nifti, Pdf, Pil, StreamingDataset, Text, Tiff, TokensLoader, Video, optimize  # noqa: E402
from litdata import Image as LitImage  # noqa: E402
from litdata.streaming.serializers import _SERIALIZERS, JPEGArraySerializer  # noqa: E402
from litdata.streaming.writer import BinaryWriter  # noqa: E402
from PIL import Image  # noqa: E402

ROOT = Path(sys.argv[1])
ROWS = 11


def encoded(i, form):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(i).integers(0, 255, (5, 7, 3), np.uint8)).save(out, form)
    return out.getvalue()


def nested(i):
    """Every tag of a nested value, and what falls back to JSON."""
    values = [
        ["a", "é"], [1, -2], [0.5, float(i)], [True, False], {"k": {"deep": [i, None]}, "none": None, "s": "x", "i": i, "f": 0.25, "b": True},
        [{"q": "?", "n": i, "x": 1.5, "ok": True, "none": None}, {"q": "!", "n": -1, "x": 0.0, "ok": False, "none": None}], [], [1, "mixed", None], [[1], [2, 3]],
    ]  # fmt: skip
    return values[i % len(values)]


def rich(i):
    return {
        "int": i * 1_000_003 - 7, "float": i / 7, "bool": i % 2 == 0, "str": "é" * i, "bytes": bytes(range(i)), "text": Text(text=f"text {i}"),
        "flat": np.arange(i, dtype=np.uint16), "grid": np.arange(2 * i, dtype=np.float64).reshape(2, i), "complex": np.full(2, 1j, np.complex64),
        "torch1": torch.arange(i), "torch2": torch.full((2, i + 1), i, dtype=torch.float16), "torch0": torch.tensor(i), "flag": torch.tensor([True, False]),
        "jpeg": Jpeg(bytes=encoded(i, "JPEG"), max_quality=None), "png": LitImage(bytes=encoded(i, "PNG")), "jpegs": JpegArray([encoded(k, "JPEG") for k in range(1 + i % 3)]),
        "pil": Pil(array=np.full((3, 4 + i % 2, 3), i, np.uint8)), "grey": Pil(array=np.full((3, 4), i, np.uint8)), "tiff": Tiff(bytes=encoded(i, "TIFF")),
        "file": File(bytes=b"file %d" % i), "video": Video(bytes=b"\0\0\0\x18ftypmp42" + bytes(i)), "audio": Audio(bytes=b"fLaC" + bytes(i)),
        "nifti": Nifti(bytes=b"nifti" + bytes(i)), "mesh": Mesh(path=mesh_file(i)), "pdf": Pdf(bytes=b"%PDF-1.4" + bytes(i)), "json": nested(i),
        "box": {"x": i, "inner": {"name": f"n{i}"}},
    }  # fmt: skip


def mesh_file(i):
    path = ROOT / f"{i}.ply"
    path.write_bytes(b"ply" + bytes(i))
    return path


def row(i):
    """A row of a kind that LitData keeps as an Arrow table: some keys missing, some None."""
    out = {"n": i, "x": i / 3, "s": f"s{i}", "b": b"x" * i, "ok": i % 2 == 0, "list": [i] * (i % 3), "box": {"a": i, "words": ["p"] * (i % 2)}}
    out["maybe"] = None if i % 3 == 0 else i
    return out if i < 8 else out | {"late": f"late {i}"}


class Raw:
    """A serializer that gives the bytes as they are."""

    def setup(self, metadata):
        pass

    def deserialize(self, data):
        return bytes(data)

    def can_serialize(self, data):
        return False


RAW = {name: Raw() for name in ("jpeg", "image", "tiff", "tifffile", "video", "audio", "nifti", "mesh", "pdf")} | {"jpeg_array": JPEGArraySerializer()}
RAW["jpeg_array"]._jpeg_serializer = RAW["jpeg"]


def plain(value):
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Image.Image):
        return np.asarray(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if isinstance(value, list | tuple) else value


def write(name, rows, **options):
    writer = BinaryWriter(str(ROOT / name), **{"chunk_size": 4} | options)
    for i, item in enumerate(rows):
        writer[i] = item
    writer.done()
    writer.merge()


def read(name, **options):
    """By a copy of the folder, since their reader unpacks into it."""
    shutil.copytree(ROOT / name, ROOT / "read" / name)
    dataset = StreamingDataset(str(ROOT / "read" / name), serializers=dict(RAW), **options)
    return [plain(dataset[i]) for i in range(len(dataset))]


def optimized(i):
    return {"n": i, "vector": np.arange(i, dtype=np.int32)}


def main():
    known = {"str", "text", "bool", "int", "float", "video", "audio", "image", "nifti", "mesh", "pdf", "graph", "tifffile", "file", "pil", "jpeg", "jpeg_array"}
    known |= {"bytes", "no_header_numpy", "numpy", "no_header_tensor", "tensor", "json", "pickle"}
    assert set(_SERIALIZERS) == known, f"serializers that this test does not write: {set(_SERIALIZERS) ^ known}"
    expected = {}
    write("every", [rich(i) for i in range(ROWS)])
    for level in ("batch", "sample", "chunk"):
        write(f"every-{level}", [rich(i) for i in range(ROWS)], compression="zstd:2", compression_level=level, compression_batch_size=3 if level == "batch" else None)
    write("rows", [row(i) for i in range(ROWS)])
    write("rows-zstd", [row(i) for i in range(ROWS)], compression="zstd")
    write("pairs", [(i, np.arange(i)) for i in range(ROWS)])
    write("single", [f"word {i}" for i in range(ROWS)])
    write("tree", [{"t": torch.ones(2, 2), "pair": (i, "x"), "deep": {"pair": (i / 2, {"y": i})}} for i in range(ROWS)])
    write("tokens", [torch.arange(i, i + 20, dtype=torch.int32) for i in range(ROWS)], chunk_size=None, chunk_bytes=500, item_loader=TokensLoader())
    write("pickled", [{"n": 1, "danger": {1, 2}}])
    write("graph", [{"n": 1, "graph": Graph(x=torch.ones(2, 2), edge_index=torch.ones(2, 3, dtype=torch.int64))}])
    for split in ("train", "val"):
        write(f"splits/{split}", [{"n": i, "v": np.arange(3)} for i in range(5)])
    optimize(optimized, inputs=list(range(ROWS)), output_dir=str(ROOT / "optimized"), chunk_size=3, num_workers=2, verbose=False)
    for name in ("every", "every-batch", "every-sample", "every-chunk", "rows", "rows-zstd", "pairs", "single", "tree", "splits/train", "splits/val", "optimized"):
        expected[name] = read(name)
    expected["tokens"] = read("tokens", item_loader=TokensLoader(block_size=20))
    (ROOT / "expected.pickle").write_bytes(pickle.dumps(expected))


if __name__ == "__main__":
    main()
