"""Other people's formats: told apart by `detect`, turned into Atlas datasets by `convert`; and back, by `export_webdataset`. One file per format."""

from atlas_ds.bridge.arrow_export import export_parquet, to_arrow
from atlas_ds.bridge.conversion import Converted, convert, import_atlas_v1
from atlas_ds.bridge.detect import FORMATS, READERS, TARS, detect, open_source
from atlas_ds.bridge.export import Exported, export_webdataset
from atlas_ds.bridge.hf import import_huggingface, to_huggingface
from atlas_ds.bridge.source import Source
from atlas_ds.bridge.tar_dataset import TarDataset, open_tar
from atlas_ds.bridge.webdataset import Imported, import_webdataset

__all__ = [
    "FORMATS",
    "READERS",
    "TARS",
    "Converted",
    "Exported",
    "Imported",
    "Source",
    "TarDataset",
    "convert",
    "detect",
    "export_parquet",
    "export_webdataset",
    "import_atlas_v1",
    "import_huggingface",
    "import_webdataset",
    "open_source",
    "open_tar",
    "to_arrow",
    "to_huggingface",
]
