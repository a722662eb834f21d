"""Many shards, one sequence: manifest, writer, reader, views. Knows files of one folder; delivery order is not its business."""
