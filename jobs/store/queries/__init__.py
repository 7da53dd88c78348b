"""Queries: each sees one consistent view, and takes no lock that a writer would wait for.

Changes are made by `jobs/store/store.py`.
"""
