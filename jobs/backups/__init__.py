"""Backups of a data folder in one file: rows, blobs and the configuration file.

The queue is not part of a backup: it is made from the rows again.
"""
