"""What a type checker must refuse: every line that ends in `# wrong`, and no other."""

from pathlib import Path

import torch

import atlas_ds as atlas
from atlas_ds import AtlasDataset, Loader, Mix, Sampler

path = Path("digits")
ds = AtlasDataset(path)

Loader(ds, 8, last_batch="shrot")  # wrong
Loader(ds, 8, shuffle="windows")  # wrong
Loader(ds, 8, format="tensorflow")  # wrong
Loader(ds, 8, on_error="ignore")  # wrong
Loader(ds, 8, start_method="fork")  # wrong
Loader(ds, 8, rank="own")  # wrong
Loader(ds, 8, num_threds=2)  # wrong
Sampler(ds, batch_size=8, last_batch="keep")  # wrong
Mix([(ds, 1)], shuffle="blocks")  # wrong
AtlasDataset(path, io="mmapp")  # wrong
AtlasDataset(path, verify="often")  # wrong
AtlasDataset(path, decode="cv2")  # wrong
AtlasDataset(path, preload=True)  # wrong
ds.with_format("jax")  # wrong
ds.map(lambda example: example.upper())  # wrong
ds.shufle(0)  # wrong
print(ds[0].label)  # wrong
print(ds["label"])  # wrong
atlas.concat(ds, ds)  # wrong
atlas.concat([path])  # wrong
atlas.convert(path, path, on_error="replace")  # wrong
atlas.convert(path, path, missing="ignore")  # wrong
atlas.import_webdataset("a.tar", path, interleaved="join")  # wrong
atlas.import_webdataset("a.tar", path, duplicates="both")  # wrong
atlas.open_tar("a.tar", io="mmapp")  # wrong
atlas.export_parquet(ds, path, compression="zip")  # wrong
wrong: AtlasDataset[int] = ds.map(str)  # wrong
torch.utils.data.DataLoader(path, batch_size=4)  # wrong
