"""Formats of images: the decoder of each, what a damaged or unusual file needs before it, and the words of a refusal.

Pixels are decoded in `worker/pixels/`.
"""
