"""Other people's formats: told apart by `detect`, turned into Atlas datasets by `convert`. One file per format."""

from atlas_ds.bridge.conversion import Converted, convert, import_atlas_v1
from atlas_ds.bridge.detect import READERS, detect, open_source
from atlas_ds.bridge.source import Source

__all__ = ["READERS", "Converted", "Source", "convert", "detect", "import_atlas_v1", "open_source"]
