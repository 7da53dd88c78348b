"""Tiny models of mlx-vlm's families with random weights, and captionq's answers of them beside mlx-vlm's own.

Random weights know nothing, but they are without mercy: where a trained model would say the right word anyway, one wrong position
or one swapped picture changes their every next token.
"""
