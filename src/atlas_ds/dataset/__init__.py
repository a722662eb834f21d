"""Many shards, one sequence: manifest, writer, reader, views. Knows files of one folder; delivery order is not its business."""

from atlas_ds.dataset.check import RepairReport, Report, repair, verify

__all__ = ["RepairReport", "Report", "repair", "verify"]
