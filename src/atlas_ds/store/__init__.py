"""Bytes by name: files published whole, spans of memory filled from them. Knows no Atlas format."""
