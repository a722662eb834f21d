"""Compression formats of other files, read and written. Atlas's own compression is in the C
core."""
