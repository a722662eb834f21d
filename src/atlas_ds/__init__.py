"""Atlas: compressed, block-indexed datasets for machine learning. Start with AtlasDatasetWriter and AtlasDataset."""

from importlib import import_module

from atlas_ds import errors, types
from atlas_ds.dataset.check import repair, verify
from atlas_ds.dataset.concat import concat
from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.dataset.writer import AtlasDatasetWriter, merge_parts
from atlas_ds.loader.loader import Loader
from atlas_ds.loader.mix import Mix
from atlas_ds.loader.shuffle import shuffle
from atlas_ds.order import Sampler
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.values import Media, Ragged

__version__ = "2.0.0"

_LAZY = {  # what is seldom needed is imported when it is first asked for
    "import_webdataset": "atlas_ds.bridge.webdataset",
    "open_tar": "atlas_ds.bridge.tar_dataset",
}
__all__ = [
    "AtlasDataset",
    "AtlasDatasetWriter",
    "Loader",
    "Media",
    "Mix",
    "Ragged",
    "Sampler",
    "Schema",
    "concat",
    "errors",
    "import_webdataset",
    "merge_parts",
    "open_tar",
    "repair",
    "shuffle",
    "types",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
