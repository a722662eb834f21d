"""WebDataset's tars: into Atlas (importing), out of it (exporting), and read in place
(in_place)."""
