"""Folders of files: which format a folder has (rules.py), and the readers that need both tables
and files."""
