"""Attributes that datasets have and tars in place do not, and what to use instead. For error
messages."""

from __future__ import annotations

from types import MappingProxyType

from atlas_ds.dataset import sequence

CONVERT = "atlas.import_webdataset(ds.tars, path) makes a dataset, which has it"
FIELDS = "ds.fields has the names of the fields"
BATCHES = "atlas.Loader(ds, batch_size=64) returns batches; " + CONVERT
VALUES = 'a loop reads a field: [example["cls"] for example in ds]; open_tar(..., fields=["cls"]) reads only that field; ' + CONVERT
FILES = "ds.tars has the files"
IMAGES = 'open_tar(..., decode="torch") or "numpy" decodes images'
FOR = {  # advice for datasets -> advice for tars
    sequence.BATCHES: BATCHES,
    sequence.ARROW: CONVERT,
    sequence.MASK: "ds.select(rows) takes a list of rows or a mask, which a loop over ds can make; " + CONVERT,
    sequence.COLUMNS: 'the fields are chosen with open_tar(..., fields=["jpg", "cls"]); ds.map(function) changes examples',
}
LACKS = MappingProxyType(
    {name: FOR[text] for name, text in sequence.INSTEAD.items() if text in FOR}
    | dict.fromkeys(("column", "unique", "labels", "targets", "classes", "class_to_idx"), VALUES)
    | dict.fromkeys(("features", "columns", "column_names"), FIELDS)
    | dict.fromkeys(("path", "paths", "shards", "urls"), FILES)
    | dict.fromkeys(("with_format", "set_format", "to_tensor"), IMAGES)
    | dict.fromkeys(("stats", "nbytes", "raw", "to_dict", "to_numpy", "to_arrow", "to_parquet"), CONVERT)
    | {
        "batch": BATCHES,
        "sort": "ds.select(rows) takes rows in any order; " + CONVERT,
        "schema": "its fields have no types before they are converted: " + FIELDS + "; " + CONVERT,
        "keys": FIELDS + '; the key of a sample is ds[i]["__key__"]',
        "dtypes": FIELDS + "; " + CONVERT,
        "num_columns": "len(ds.fields), and __key__",
        "shape": "len(ds) and len(ds.fields)",
        "info": "ds.tars and ds.fields",
        "size": "len(ds) is the samples; " + CONVERT,
        "metadata": "tars have none; " + CONVERT,
        "splits": "tars have none: ds.split(0.8, seed=0) makes parts",
        "decode": 'it is an argument of open_tar: decode=True, "pil", "numpy" or "torch"',
        "to_tuple": 'ds.map(lambda example: (example["jpg"], example["cls"]))',
        "rename": "ds.map(function) changes examples",
    }
)
"""A name -> why it does not exist, and what to use."""
