"""Outputs other than the text file: tables, JSON files, XMP sidecars, and captions inside image files.

Text files are written by `jobs/captions/text_files.py`.
"""
