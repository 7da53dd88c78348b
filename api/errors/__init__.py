"""Errors on the wire: OpenAI's shape for every status, or the shape of the dialect that was called.

Nothing private of the server stands in them.
"""
