"""Whether a model's sequences can be batched: checked against the library's own loop when a model is loaded.

The engine knows only the verdict.
"""
