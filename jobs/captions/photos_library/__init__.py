"""Captions of a Photos library's pictures: their text files outside of the library, and what Photos itself is told.

How a library is read is in `jobs/images/photos_library/`.
"""
