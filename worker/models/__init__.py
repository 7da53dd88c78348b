"""mlx-vlm and mlx-lm behind one face: loading, templates, inputs, vision tower, caches and detokenizing.

Nothing here knows other sequences.
"""
