"""An image and its bytes: sources, opening, walking folders, blobs, uploads and zips.

Decoding to pixels belongs to the worker.
"""
