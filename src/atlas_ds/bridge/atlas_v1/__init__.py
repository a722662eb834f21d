"""Datasets of torch-atlas-ds, version 1 of this package. They are pickles: only for users who
trust their origin."""
