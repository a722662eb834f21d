"""Plain files and folders of files: images, NumPy arrays, CSV, JSON lines, IDX."""
