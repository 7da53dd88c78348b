"""From a request to an outcome: preparation threads, resident models.

No module here knows Redis or SQL.
"""
