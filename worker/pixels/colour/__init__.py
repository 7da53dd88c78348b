"""Colours: from the space that a file states to sRGB."""
