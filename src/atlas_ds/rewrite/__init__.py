"""Datasets made from datasets: in another order, or from what is left of a damaged one. It reads and writes through the rooms below."""
