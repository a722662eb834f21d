"""WebDataset's tars: into Atlas (importing), out of it (exporting), and read where they lie
(in_place)."""
