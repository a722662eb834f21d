"""Bytes by name: files that are published atomically, and spans of memory that are filled from them. It knows no Atlas format."""
