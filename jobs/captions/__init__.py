"""A text on its way out: the names of text files, the image that owns each, and writing them without harming other files.

Walking for images belongs to `jobs/images`.
"""
