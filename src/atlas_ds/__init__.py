"""Atlas: compressed, block-indexed datasets for machine learning. Start with AtlasDatasetWriter and AtlasDataset."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from atlas_ds import _core as _core  # the first: what it imports may then import parts of it
from atlas_ds import errors, types
from atlas_ds.dataset.concat import concat
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.download import download
from atlas_ds.dataset.parts import merge_parts
from atlas_ds.dataset.verify import verify
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.loader.collate import collate
from atlas_ds.loader.loader import Loader
from atlas_ds.loader.mix import Mix
from atlas_ds.order import Sampler
from atlas_ds.rewrite.repair import repair
from atlas_ds.rewrite.shuffle import shuffle
from atlas_ds.schema.media import Media
from atlas_ds.schema.ragged import Ragged
from atlas_ds.schema.schema import Schema
from atlas_ds.text import closest

if TYPE_CHECKING:
    from atlas_ds.bridge.arrow.exporting import export_parquet
    from atlas_ds.bridge.arrow.huggingface import import_huggingface, to_huggingface
    from atlas_ds.bridge.conversion import convert, import_atlas_v1
    from atlas_ds.bridge.webdataset.exporting import export_webdataset
    from atlas_ds.bridge.webdataset.importing import import_webdataset
    from atlas_ds.bridge.webdataset.in_place import open_tar

__version__ = "2.0.0"

_LAZY = {  # names of the bridge, which is imported when one of them is asked for
    "convert": "atlas_ds.bridge.conversion",
    "export_parquet": "atlas_ds.bridge.arrow.exporting",
    "export_webdataset": "atlas_ds.bridge.webdataset.exporting",
    "import_atlas_v1": "atlas_ds.bridge.conversion",
    "import_huggingface": "atlas_ds.bridge.arrow.huggingface",
    "import_webdataset": "atlas_ds.bridge.webdataset.importing",
    "open_tar": "atlas_ds.bridge.webdataset.in_place",
    "to_huggingface": "atlas_ds.bridge.arrow.huggingface",
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
    "collate",
    "concat",
    "convert",
    "download",
    "errors",
    "export_parquet",
    "export_webdataset",
    "import_atlas_v1",
    "import_huggingface",
    "import_webdataset",
    "merge_parts",
    "open_tar",
    "repair",
    "shuffle",
    "to_huggingface",
    "types",
    "verify",
]


_INSTEAD = {  # names that users of other libraries try
    "open": "AtlasDataset(path)", "load": "AtlasDataset(path)", "load_dataset": "AtlasDataset(path)", "load_from_disk": "AtlasDataset(path)",
    "Dataset": "AtlasDataset", "Reader": "AtlasDataset", "Writer": "AtlasDatasetWriter", "DataLoader": "Loader", "concatenate_datasets": "concat",
    "interleave_datasets": "Mix",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        like = closest(name, __all__, 1) if name[:1] != "_" else []
        cure = f"; use {_INSTEAD[name]}" if name in _INSTEAD else f"; did you mean {like[0]!r}?" if like else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{cure}", name=name)
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
