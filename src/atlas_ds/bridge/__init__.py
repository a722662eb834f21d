"""Other formats: `detect` recognizes them, `convert` turns them into Atlas datasets, and the
functions called export_ or to_ write them. One folder per family of formats. A reader returns a
Source (source.py); what all readers share is in conversion.py and parallel_parts.py."""

from atlas_ds.bridge.arrow.exporting import export_parquet, to_arrow
from atlas_ds.bridge.arrow.huggingface import import_huggingface, to_huggingface
from atlas_ds.bridge.conversion import Converted, convert, import_atlas_v1, import_tars
from atlas_ds.bridge.detect import FORMATS, TARS, Choice, choose, detect, open_source
from atlas_ds.bridge.source import ReadOptions, Source
from atlas_ds.bridge.webdataset.exporting import Exported, export_webdataset
from atlas_ds.bridge.webdataset.importing import Imported, import_webdataset
from atlas_ds.bridge.webdataset.in_place import TarDataset, open_tar

__all__ = [
    "FORMATS",
    "TARS",
    "Choice",
    "Converted",
    "Exported",
    "Imported",
    "ReadOptions",
    "Source",
    "TarDataset",
    "choose",
    "convert",
    "detect",
    "export_parquet",
    "export_webdataset",
    "import_atlas_v1",
    "import_huggingface",
    "import_tars",
    "import_webdataset",
    "open_source",
    "open_tar",
    "to_arrow",
    "to_huggingface",
]
