"""Datasets of torch-atlas-ds, version 1 of this package, which are pickles: only for those who trust where they come from."""
