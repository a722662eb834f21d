"""A value in a file of its own, by the file's extension: from bytes to values and back."""
