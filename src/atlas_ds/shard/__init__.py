"""One file: how it is planned, written, opened, verified and repaired. Knows schemas and bytes, not datasets."""

from atlas_ds.shard.verify import verify_shard

__all__ = ["verify_shard"]
