"""Other people's compression, read and written. Atlas's own is in the C core."""
