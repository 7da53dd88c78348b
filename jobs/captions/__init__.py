"""A text on its way out: the names of text files, which image owns one, and writing it without harming another file.

Walking for images belongs to `jobs/images`.
"""
