"""mlx-vlm and mlx-lm behind one face: loading, templates, inputs, vision tower, caches and detokenizing.

No module here knows of other sequences.
"""
