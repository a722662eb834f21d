"""Atlas: compressed, block-indexed datasets for machine learning. Start with AtlasDatasetWriter and AtlasDataset."""

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
    "merge_parts",
    "repair",
    "shuffle",
    "types",
    "verify",
]
