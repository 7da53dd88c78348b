"""Which addresses may be contacted, and how: checked, pinned, timed and bounded.

The callers decide how to use an answer.
"""
