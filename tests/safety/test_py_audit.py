"""Opening and reading run no code from data: an audit hook sees no exec, compile, pickle, process or socket,
and no import at all: one that another thread is in the middle of would hang a forked child.
"""

import json

import pytest

from support import child, rich_rows, write

AUDIT = """
import sys, json, os
import atlas_ds, numpy, PIL.Image, PIL.PngImagePlugin
numpy.random.default_rng  # split(seed=) needs it; NumPy imports it when first used
"x".encode("utf-16-be")  # rfc8785 sorts names by it, and Python imports the codec when it is first used
path, options = sys.argv[1], json.loads(sys.argv[2])
events = []
def hook(event, args):
    if event == "open":
        events.append([event, str(args[0])])
    elif event in ("import",):
        events.append([event, args[0]])
    elif event.split(".")[0] in ("exec", "compile", "pickle", "subprocess", "socket", "ctypes", "marshal", "shutil", "urllib", "tempfile") or event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "os.link"):
        events.append([event, repr(args)[:200]])
sys.addaudithook(hook)
dataset = atlas_ds.AtlasDataset(path, **options)
rows = list(dataset)
for i in range(-len(dataset), len(dataset)):
    dataset[i]
dataset.batch(slice(None)); dataset.batch([0, 3], columns=["text", "meta"]); dataset.column("photo"); dataset[[3, 1]]; dataset[::2].split([0.5, 0.5], seed=1)
rows[0]["photo"].data; rows[0]["meta"]; repr(dataset); dataset.stats(); str(dataset.schema)
seen = list(events)
print(json.dumps(seen))
"""
QUIET = {"exec", "compile", "pickle", "subprocess", "socket", "ctypes", "marshal"}


@pytest.mark.parametrize("options", [{}, {"io": "pread"}, {"copy": False}], ids=str)
def test_reading_runs_nothing(tmp_path, options):
    path = write(tmp_path / "d", rich_rows(40), shard_size=15)
    events = json.loads(child(AUDIT, path, json.dumps(options)).stdout)
    opened = [name for event, name in events if event == "open"]
    assert opened and all(name.startswith(str(path)) for name in opened), opened
    assert [event for event in events if event[0] != "open"] == []


def test_the_hook_would_see_it(tmp_path):
    """The test itself: the same child, made to do something strange, is caught."""
    path = write(tmp_path / "d", rich_rows(5))
    for strange, event in (("import wave", "import"), ("exec('1')", "exec"), ("import pickle; pickle.loads(pickle.dumps(len))", "pickle.find_class"), ("os.system('true')", "os.system")):
        events = json.loads(child(AUDIT.replace("seen = ", f"{strange}\nseen = "), path, "{}").stdout)
        assert event in {name for name, _ in events}


def test_objects_that_look_like_pickles_stay_bytes(tmp_path):
    """A pickle inside bytes or an object is data."""
    import pickle

    from atlas_ds import AtlasDataset

    evil = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    path = write(tmp_path / "d", [{"b": evil, "o": [evil, {"__class__": "os.system"}]}] * 3)
    assert AtlasDataset(path)[1] == {"b": evil, "o": [evil, {"__class__": "os.system"}]} and not (tmp_path / "ran").exists() and pickle


def test_names_in_the_data_do_not_become_paths(tmp_path):
    """Columns called like paths, attributes or formats are only names."""
    from atlas_ds import AtlasDataset

    row = {"../../x": 1, "__class__": 2, "{0.__init__}": "a", "a.b": 3, "": 4, "%s": 5}
    path = write(tmp_path / "d", [row] * 3)
    assert AtlasDataset(path)[2] == row and AtlasDataset(path, columns=["__class__", ""])[0] == {"__class__": 2, "": 4}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]
