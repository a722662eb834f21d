"""Tar archives: their members, walked through strictly, and the bytes around members of new
ones. It knows no samples."""
