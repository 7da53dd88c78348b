"""The words of a caption: its language, its length, openers that are removed, and the text that a file gets.

No file is read or written here.
"""
