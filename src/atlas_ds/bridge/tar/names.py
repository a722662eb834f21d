"""How files that are tars are called. What is in them is archive.py's."""

from __future__ import annotations

import re

TAR = re.compile(r"\.(tar(\.(gz|bz2|xz|zst|zstd|lz4))?|tgz|tzst)$")
