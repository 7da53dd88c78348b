"""The record of files that jobs write and have written.

The files themselves are the concern of `jobs/captions/`.
"""
