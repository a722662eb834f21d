"""What a converted dataset has and tars in place have not: what to use instead. For error messages."""

from __future__ import annotations

from types import MappingProxyType

CONVERT = "atlas.import_webdataset(ds.tars, path) makes a dataset, which has it"
FIELDS = "ds.fields has the names of the fields"
VALUES = 'a loop reads a field: [example["cls"] for example in ds]; open_tar(..., fields=["cls"]) reads nothing else; '
BATCHES = "atlas.Loader(ds, batch_size=64) gives batches; "
LACKS = MappingProxyType(
    {
        "batch": BATCHES + CONVERT,
        "iter": BATCHES + CONVERT,
        "batched": BATCHES + CONVERT,
        "batches": BATCHES + CONVERT,
        "column": VALUES + CONVERT,
        "unique": VALUES + CONVERT,
        "labels": VALUES + CONVERT,
        "targets": VALUES + CONVERT,
        "filter": "ds.select(rows) takes a list of rows or a mask, which a loop over ds makes; " + CONVERT,
        "where": "ds.select(rows) takes a list of rows or a mask, which a loop over ds makes; " + CONVERT,
        "sort": "ds.select(rows) takes rows in any order; " + CONVERT,
        "schema": "its fields have no types before they are converted: " + FIELDS + "; " + CONVERT,
        "features": FIELDS,
        "columns": FIELDS,
        "column_names": FIELDS,
        "keys": FIELDS + '; the key of a sample is ds[i]["__key__"]',
        "dtypes": FIELDS + "; " + CONVERT,
        "num_columns": "len(ds.fields), and __key__",
        "shape": "len(ds) and len(ds.fields)",
        "info": "ds.tars and ds.fields",
        "stats": CONVERT,
        "size": "len(ds) is the samples; " + CONVERT,
        "nbytes": CONVERT,
        "path": "ds.tars has the files",
        "paths": "ds.tars has the files",
        "shards": "ds.tars has the files",
        "urls": "ds.tars has the files",
        "metadata": "tars have none; " + CONVERT,
        "splits": "tars have none: ds.split(0.8, seed=0) makes parts",
        "classes": VALUES + CONVERT,
        "class_to_idx": VALUES + CONVERT,
        "with_format": 'open_tar(..., decode="torch") or "numpy" decodes images',
        "set_format": 'open_tar(..., decode="torch") or "numpy" decodes images',
        "to_tensor": 'open_tar(..., decode="torch") decodes images',
        "decode": 'it is an argument of open_tar: decode=True, "pil", "numpy" or "torch"',
        "to_tuple": 'ds.map(lambda example: (example["jpg"], example["cls"]))',
        "rename": "ds.map(function) changes examples",
        "plain": CONVERT,
        "to_dict": CONVERT,
        "to_numpy": CONVERT,
        "to_arrow": CONVERT,
        "to_parquet": CONVERT,
        "to_pandas": CONVERT,
        "to_polars": CONVERT,
    }
)
"""A name -> why it is not there, and what to use."""
