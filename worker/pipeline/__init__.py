"""From a request to an outcome: preparation threads, image decoding, resident models.

Nothing here knows Redis or SQL.
"""
