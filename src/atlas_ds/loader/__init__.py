"""Delivers batches to training: reads ahead in threads, transforms, collates, mixes datasets, saves its position."""
