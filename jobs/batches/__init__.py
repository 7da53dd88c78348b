"""Batches whose requests are the lines of a file: reading, checking and feeding the lines, and rendering the results.

The bodies of the lines and of the answers belong to the API, which hands over functions for them.
"""
