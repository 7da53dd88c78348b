"""Formats of images: the decoder of each, the mending of damaged and unusual files before it, and the words of a refusal.

Pixels are decoded in `worker/pixels/`.
"""
