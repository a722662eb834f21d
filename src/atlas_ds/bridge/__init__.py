"""Other people's formats: told apart by `detect`, turned into Atlas datasets by `convert`. One file per format."""

from atlas_ds.bridge.conversion import Converted, convert
from atlas_ds.bridge.detect import READERS, detect, open_source
from atlas_ds.bridge.arrow_export import export_parquet, to_arrow
from atlas_ds.bridge.hf import import_huggingface, to_huggingface
from atlas_ds.bridge.source import Source

__all__ = [
    "READERS",
    "Converted",
    "Source",
    "convert",
    "detect",
    "export_parquet",
    "import_huggingface",
    "open_source",
    "to_arrow",
    "to_huggingface",
]
