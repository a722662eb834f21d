"""Benchmarks of Atlas against other dataset formats (see benchmarks/README.md)."""
