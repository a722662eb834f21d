"""Plain files and folders of them: pictures, NumPy arrays, CSV, JSON lines, IDX."""
