"""Tiny models of mlx-vlm's families with random weights, and captionq's answers beside those of mlx-vlm's own loop.

A trained model may say the right word in spite of a fault. With random weights one wrong position or one exchanged picture
changes every later token.
"""
