"""No data runs code. Two proofs of one rule:

Bytes that others wrote are never unpickled, unmarshalled, evaluated, compiled or executed, and start no process, except by
bridge/atlas_v1/reader.py:unpickle, and only for trust_pickle=True. What does not count: pickles that this program made itself a moment ago, sent
between its own processes (datasets to DataLoader workers, batches from transform processes) or timed by `atlas-ds bench`; the parsing of
a NumPy header (ast.literal_eval compiles it to a tree and never runs it).

test_py_audit.py is stricter about reading an Atlas dataset, which imports nothing either.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from support import child

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "atlas_ds"
MODULES = {"pickle", "_pickle", "cPickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code", "codeop", "runpy"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
LOADERS = {("np", "load"), ("numpy", "load"), ("torch", "load"), ("yaml", "load"), ("os", "system"), ("os", "popen"), ("importlib", "import_module")}
ALLOWED = {
    ("bridge/atlas_v1/reader.py", "unpickle", "import pickle"): "the one place that reads foreign pickles, for trust_pickle=True",
    ("loader/processes.py", "", "import pickle"): "messages between this program's own processes",
    ("store/helper.py", "", "import pickle"): "messages between a forked child and the process it starts, through sockets of their own",
    ("store/helper_process.py", "", "import pickle"): "the other side of the same",
    ("cli/peers.py", "", "import pickle"): "bench: rows that it has just pickled itself into a folder of its own",
    ("testing.py", "", "import pickle"): "a store that it has just pickled itself",
}


def findings(text):
    """(function, what) for everything in Python source that could run data as code."""
    for function, node in nodes(ast.parse(text), ""):
        if isinstance(node, ast.Import):
            yield from ((function, f"import {alias.name}") for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield function, f"import {node.module}"
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield function, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in LOADERS:
            yield function, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell") and not (isinstance(node.value, ast.Constant) and node.value.value is False):
            yield function, f"{node.arg}="


def nodes(tree, function):
    """Every node with the function it is in; np.load(..., allow_pickle=False) is no finding, so its name is left out."""
    for node in ast.iter_child_nodes(tree):
        yield function, node
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.Call) and any(k.arg == "allow_pickle" and isinstance(k.value, ast.Constant) and k.value.value is False for k in node.keywords):
            for part in [*node.args, *node.keywords]:
                yield inner, part
                yield from nodes(part, inner)
        else:
            yield from nodes(node, inner)


def test_sources_hold_nothing_that_unpickles():
    found = {(path.relative_to(PACKAGE).as_posix(), *what) for path in PACKAGE.rglob("*.py") for what in findings(path.read_text())}
    assert found == set(ALLOWED), f"new: {found - set(ALLOWED)}, gone: {set(ALLOWED) - found}"


def test_unpickle_is_called_once():
    uses = [(p.name, m) for p in PACKAGE.rglob("*.py") for m in re.findall(r"(?<!def )\bunpickle\(", p.read_text())]
    assert uses == [("reader.py", "unpickle(")]


def test_the_core_holds_nothing_that_unpickles():
    """Cython sources are no Python that ast could read: words, outside of comments."""
    word = re.compile(rf"\b({'|'.join(MODULES)})\b|(?<![\w.])({'|'.join(BUILTINS)})\s*\(|\ballow_pickle\b|\b(np|numpy|torch)\.load\b|\bos\.(system|popen)\b")
    files = [*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")]
    assert files
    for path in files:
        lines = [line.split("#")[0] for line in path.read_text().splitlines()]
        assert [line for line in lines if word.search(line)] == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import marshal", "import marshal"), ("from pickle import loads", "import pickle"), ("import os, dill as d", "import dill"),
        ("def f(x):\n  eval(x)", "eval"), ("run = exec", "exec"), ("compile(x, '', 'exec')", "compile"), ("np.load(f)", "np.load"),
        ("np.load(f, allow_pickle=True)", "np.load"), ("np.load(f, allow_pickle=maybe)", "allow_pickle="), ("torch.load(f)", "torch.load"),
        ("yaml.load(f)", "yaml.load"), ("np.save(eval(x), allow_pickle=False)", "eval"), ("subprocess.run(x, shell=True)", "shell="),
    ],
)  # fmt: skip
def test_the_search_finds(text, what):
    assert what in {found for _, found in findings(text)}


@pytest.mark.parametrize("text", ["re.compile('x')", "np.load(f, allow_pickle=False)", "model.eval()", "'eval(x)'", "import json"])
def test_the_search_leaves_alone(text):
    assert list(findings(text)) == []


HOSTILE = """
import gzip, io, json, os, pickle, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
import atlas_ds
from atlas_ds import AtlasDataset, AtlasDatasetWriter, Media, bridge
from atlas_ds.cli import main
from support import PNG
from unit.bridge.streaming import chunk_bytes, shard_bytes, spec, write_litdata, write_mds
from unit.bridge.tars import write_tar
from unit.bridge.v1_writer import NONE, PLAIN, Payload, write_v1
root, trusted = Path(sys.argv[1]), sys.argv[2] == "trusted"
ran = root / "ran"
BAD = pickle.dumps(Payload(ran))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\\n%%BoundingBox: 0 0 9 9\\n%%EndComments\\n"  # only once: Pillow looks for Ghostscript once
TEXT = f"__import__('os').system('touch {ran}')"

def array(object):
    out = io.BytesIO()
    np.save(out, object, allow_pickle=True)
    return out.getvalue()

def folder(path, files):
    path.mkdir()
    for name, data in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(data)
    return path

def file(path, data):
    path.write_bytes(data)
    return path

def parquet(path, bad):
    meta = {b"huggingface": json.dumps({"info": {"features": {"x": {"_type": bad.decode("latin-1")}}}}).encode()}
    schema = pa.schema([pa.field("x", pa.binary())], metadata=meta)
    pq.write_table(pa.table({"x": [bad] * 3}, schema=schema), path)
    return path

def arrow(path, bad):
    meta = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": bad}  # old Arrow unpickled these
    schema = pa.schema([pa.field("x", pa.binary(), metadata=meta)])
    with pa.ipc.new_file(str(path), schema) as writer:
        writer.write_table(pa.table({"x": [bad] * 3}, schema=schema))
    return path

def npz(path, **arrays):
    np.savez(path, **arrays)
    return path

def dataset(path, row):
    with AtlasDatasetWriter(path, workers=0) as writer:
        writer.extend([row] * 3)
    return path

def inputs(at, bad, text, thing):
    at.mkdir()
    eps = b"\\x89PNG\\r\\n\\x1a\\n" + b"%!PS " + bad
    yield "classes", folder(at / "classes", {"cat/1.png": PNG + bad, "dog/1.png": eps})
    yield "samples", folder(at / "samples", {"a.pkl": bad, "a.pickle": bad, "a.json": json.dumps({"__reduce__": text}).encode(), "a.txt": text.encode(), "a.py": text.encode()})
    yield "samples", folder(at / "arrays", {"a.npy": array(thing)})
    lines = json.dumps({"file_name": "1.png", "py/object": text}).encode()
    yield "imagefolder", folder(at / "imagefolder", {"1.png": eps, "metadata.jsonl": lines})
    yield "parquet", parquet(at / "t.parquet", bad)
    yield "csv", file(at / "t.csv", f"a,b\\n1,{text}\\n".encode())
    yield "jsonl", file(at / "t.jsonl", json.dumps({"py/object": text, "b": text}).encode())
    yield "jsonl", file(at / "t.jsonl.gz", gzip.compress(json.dumps({"a": text}).encode()))
    yield "npy", file(at / "a.npy", array(thing))
    yield "npy", file(at / "head.npy", array(np.zeros(3)).replace(b"{'descr'", b"{(1,1):2"))
    yield "npz", npz(at / "a.npz", thing=thing)
    yield "idx", file(at / "a.idx", bytes([0, 0, 8, 1, 0, 0, 0, 3]) + b"abc")
    yield "atlas", dataset(at / "atlas", {"b": bad, "t": text, "o": {"__class__": text, "l": [bad]}, "m": Media(eps, "image/png")})
    yield "atlas", dataset(at / "eps", {"p": Media(EPS if bad is BAD else PNG, "image/x-eps")})
    yield "atlas-v1", write_v1(at / "v1", [{"x": Payload(ran)}] * 9, strategy=NONE)
    yield "atlas-v1", write_v1(at / "v1z", [{"x": Payload(ran)}] * 9, strategy=PLAIN)
    yield "arrow", arrow(at / "t.arrow", bad)
    sized = [len(bad).to_bytes(4, "little") + bad] * 3
    for encoding in ("bytes", "pkl"):
        yield "mds", write_mds(at / f"mds-{encoding}", shard_bytes(sized), column_names=["x"], column_encodings=[encoding], column_sizes=[None])
    for form in ("bytes", "pickle"):
        yield "litdata", write_litdata(at / f"lit-{form}", chunk_bytes(sized), data_format=[form], data_spec=spec("x"))
    yield "webdataset", write_tar(at / "a.tar", [("1.pkl", bad), ("1.pt", bad), ("1.json", json.dumps({"py/object": text}).encode()), ("1.npy", array(thing)), ("1.py", text.encode())])
    yield None, file(at / "stranger.pkl", bad)

def decoded(source, out):
    # tars, with values made of their files
    for field in ("pkl", "pt", "npy", "json"):
        try:
            bridge.import_webdataset(source, out, overwrite=True, decode=True, fields=[field])
            list(bridge.open_tar(source, decode=True, fields=[field]))
        except atlas_ds.errors.AtlasError as error:
            assert field != "json", error

def pictures(out):
    ds = AtlasDataset(out, decode="numpy")
    for i in range(len(ds)):
        try:
            ds[i]
        except atlas_ds.errors.CorruptError as error:
            assert "not a complete image" in str(error)

def use(kind, source, told):
    out = source.with_name(source.name + "-out")
    for how in (None, kind):
        try:
            bridge.convert(source, out, source_format=how, overwrite=True, workers=0, trust_pickle=trusted)
            for options in ({}, {"copy": False}, {"io": "pread"}):
                list(AtlasDataset(out, **options))
            pictures(out)
            assert not atlas_ds.verify(out).damages
            told.append(source.name)
        except atlas_ds.errors.AtlasError as error:
            told.append(f"{source.name}: {type(error).__name__}")
    if kind == "webdataset":
        decoded(source, out)
    main(["convert", str(source), str(out), "--overwrite", "--quiet"])
    main(["head", str(out), "--json"])

good = list(inputs(root / "good", b"plain bytes", "plain text", np.arange(3)))
for kind, source in good:
    if kind != "atlas-v1":
        use(kind, source, [])
hostile = list(inputs(root / "bad", BAD, TEXT, np.array([Payload(ran)] * 3, object)))
assert {kind for kind, _ in hostile} - {None} == set(bridge.FORMATS), "give every reader a hostile input here"
events, told = [], []
def hook(event, args):
    if event == "compile" and args[1] == "<unknown>":  # ast.literal_eval: parsed, not run
        return
    if event.split(".")[0] in ("exec", "compile", "pickle", "subprocess", "marshal", "ctypes", "socket") or event in ("os.system", "os.exec", "os.posix_spawn", "os.fork"):
        events.append([event, repr(args)[:200]])
sys.addaudithook(hook)
for kind, source in hostile:
    use(kind, source, told)
seen = list(events)
print("RESULT" + json.dumps({"events": seen, "told": told, "ran": ran.exists()}))
"""


def outcome(tmp_path, word, code=HOSTILE):
    return json.loads(child(code, tmp_path, word).stdout.rpartition("RESULT")[2])


def test_no_input_runs_anything(tmp_path):
    """Every kind of input, full of pickles and programs: converted, read, verified, or refused; nothing runs."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("zstandard")
    found = outcome(tmp_path, "untrusted")
    assert found["events"] == [] and not found["ran"]
    told = found["told"]
    for name in ("classes", "samples", "t.parquet", "t.csv", "t.jsonl", "t.jsonl.gz", "a.idx", "atlas", "eps", "t.arrow", "mds-bytes", "lit-bytes", "a.tar"):
        assert told.count(name) == 2, (name, told)
    for name in ("v1: AtlasError", "v1z: AtlasError", "a.npy: UnsupportedError", "a.npz: UnsupportedError", "stranger.pkl: UnsupportedError",
                 "mds-pkl: UnsupportedError", "lit-pickle: UnsupportedError"):  # fmt: skip
        assert name in told, (name, told)


def test_the_hook_would_see_it(tmp_path):
    """The test itself: with the flag the payloads run, and are seen."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("zstandard")
    found = outcome(tmp_path, "trusted")
    assert found["ran"] and {event for event, _ in found["events"]} == {"pickle.find_class"}
