"""Arrow and what is built on it: Parquet, Arrow's files, Hugging Face datasets. All of it
through pyarrow, an extra."""
