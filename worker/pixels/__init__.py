"""From an image's bytes to RGB pixels: upright, sRGB, on white, within the budget of pixels, in this process or beside it.

Checking and opening files belongs to `jobs/images`. No module here knows a model.
"""
