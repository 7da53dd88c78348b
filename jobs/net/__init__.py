"""Which addresses may be contacted, and how: checked, pinned, timed and bounded.

What is done with an answer belongs to the callers.
"""
