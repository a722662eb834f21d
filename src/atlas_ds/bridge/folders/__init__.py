"""Folders of files: what a folder is (rules.py), and the readers that need tables as well as files."""
