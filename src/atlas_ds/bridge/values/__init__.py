"""A value in a file of its own, told by the file's extension: bytes to values and back."""
