"""Mutated images and requests against a running server: a typed error each, or an answer."""
