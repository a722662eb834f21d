"""Lets `python -m atlas_ds` be the command `atlas-ds`. Nothing else."""

import sys

from atlas_ds.cli import main

if __name__ == "__main__":
    sys.exit(main())
