"""Arguments of other libraries that users pass to AtlasDataset, and what to use here. For error messages."""

from __future__ import annotations

from atlas_ds.text import closest, printable

KNOWN = ("path", "columns", "split", "verify", "io", "copy", "memory_limit", "decode", "storage_options", "cache", "cache_limit")
MAP = "use ds.map(function), or Loader(ds, transform_example=function)"
BATCHES = "give it to a Loader: atlas.Loader(ds, batch_size=64, shuffle=True, seed=0)"
REMOTE = "give the URL as path, such as s3://bucket/cars; cache= says where its blocks are kept on a disk"
SPLIT = 'use split="train" or split="test", as the writer named them (ds.splits)'
IN_MEMORY = "leave it out: the system keeps files that were read in memory"
INSTEAD = {
    "transform": MAP,
    "transforms": MAP,
    "target_transform": MAP,
    "preprocess": MAP,
    "loader": 'use decode="pil", "numpy" or "torch" for images',
    "train": SPLIT,
    "subset": SPLIT,
    "name": "one dataset is one folder; give its path",
    "data_dir": "give the folder as path",
    "root": "give the folder as path",
    "local": "give the folder as path",
    "remote": REMOTE,
    "download": REMOTE,
    "streaming": REMOTE,
    "cache_dir": "use cache=, a folder",
    "cache_bytes": "use memory_limit=, or cache_limit= for the cache on a disk",
    "cache_size": "use cache_limit=",
    "keep_in_memory": IN_MEMORY,
    "in_memory": IN_MEMORY,
    "preload": IN_MEMORY,
    "batch_size": BATCHES,
    "shuffle": BATCHES,
    "seed": BATCHES,
    "shuffle_seed": BATCHES,
    "drop_last": BATCHES,
    "num_workers": BATCHES,
    "rank": BATCHES,
    "world_size": BATCHES,
    "features": "use columns=[...], names of the columns to read",
    "fields": "use columns=[...], names of the columns to read",
    "usecols": "use columns=[...], names of the columns to read",
    "format": 'use ds.with_format("torch") or "numpy"',
    "mmap": 'use io="mmap" (the default) or io="pread"',
    "mmap_mode": 'use io="mmap" (the default) or io="pread"; copy=False gives views of the file',
    "mode": "a dataset is opened to be read; atlas.AtlasDatasetWriter(path, append=True) adds rows",
    "rows": "use ds[rows] or ds.take(n)",
    "limit": "use ds.take(n)",
    "num_samples": "use ds.take(n)",
}


def unknown_argument(name: str) -> TypeError:
    """Returns the error for an argument that AtlasDataset does not have."""
    like = closest(name, KNOWN)
    cure = INSTEAD.get(name) or (f"did you mean {' or '.join(f'{one}=' for one in like)}?" if like else f"the arguments are {', '.join(KNOWN)}")
    return TypeError(f"AtlasDataset has no argument {printable(name, 60)!r}: {cure}")
