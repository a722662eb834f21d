"""The shards of MosaicML Streaming (MDS) and LitData, read by their published formats, without
their packages."""
