"""One shard file: planned, written, opened, verified and salvaged. It knows schemas and bytes, not datasets."""

from atlas_ds.shard.verify import verify_shard

__all__ = ["verify_shard"]
