"""What a sample is: types, schemas, inference from examples. Knows no files."""
