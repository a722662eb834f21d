"""Many shards as one sequence of rows: manifest, writer, dataset, views. It knows the files of one folder, not the order of delivery."""
