"""From a request to an outcome: preparation threads, image decoding, resident models.

No module here knows Redis or SQL.
"""
