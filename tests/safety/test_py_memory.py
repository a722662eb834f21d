"""Nothing grows: neither memory nor file descriptors, over a million reads, thousands of opens, and errors."""

from support import child, rich_rows, write

GROWTH = """
import gc, os, sys
import numpy as np
from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors
from support import fd_count, rich_row
path, what = sys.argv[1], sys.argv[2]

def memory():
    gc.collect()
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))

def reads():
    dataset = AtlasDataset(path, columns=["id", "text", "grid", "wave", "note", "raw", "step"])
    count = len(dataset)
    def run(n):
        for i in range(n):
            dataset[i % count]
    return run, 50_000, 1_000_000

def batches():
    dataset = AtlasDataset(path)
    order = np.random.default_rng(0).integers(0, len(dataset), 64)
    def run(n):
        for _ in range(n):
            dataset.batch(order)
    return run, 200, 1500

def views():
    dataset = AtlasDataset(path, copy=False)
    def run(n):
        for i in range(n):
            row = dataset[i % 40]
            row["big"], row["raw"], row["photo"].data
    return run, 2000, 60_000

def opens():
    def run(n):
        for i in range(n):
            dataset = AtlasDataset(path, io="pread" if i % 2 else "mmap")
            dataset[i % 40]
    return run, 200, 2000

def refusals():
    bad = path + "/atlas.json"
    def run(n):
        for _ in range(n):
            for key in (10**6, "x"):
                try:
                    AtlasDataset(bad) if key == "x" else dataset[key]
                except (IndexError, errors.AtlasError):
                    pass
    dataset = AtlasDataset(path)
    return run, 500, 5000

def writes():
    row = rich_row(3)
    schema = AtlasDataset(path).schema
    def run(n):
        for k in range(n):
            writer = AtlasDatasetWriter(f"{path}-out{os.getpid()}", overwrite=True, workers=k % 3, shard_size=100, schema=schema)
            for _ in range(150):
                writer.add_example(row)
                try:
                    writer.add_example({"id": 1})
                except errors.SchemaError:
                    pass
            writer.abort()
    return run, 10, 60

run, warm, count = globals()[what]()
run(warm)
before, files = memory(), fd_count()
run(count)
grown = memory() - before
assert grown < 5 * 1024, f"{grown} KB more"
assert fd_count() == files, (files, fd_count())
"""


def grows(tmp_path, what):
    path = write(tmp_path / "d", rich_rows(60), shard_size=25)
    child(GROWTH, path, what, timeout=300)


def test_a_million_reads(tmp_path):
    grows(tmp_path, "reads")


def test_batches(tmp_path):
    grows(tmp_path, "batches")


def test_read_only_views(tmp_path):
    grows(tmp_path, "views")


def test_two_thousand_opens(tmp_path):
    grows(tmp_path, "opens")


def test_refusals(tmp_path):
    grows(tmp_path, "refusals")


def test_aborted_writers(tmp_path):
    grows(tmp_path, "writes")
