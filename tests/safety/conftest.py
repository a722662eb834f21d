"""Puts `tests/` on the import path, so that `reference` is found however pytest was started. No fixtures here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
