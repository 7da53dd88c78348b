"""An hour of mixed load without faults: what grows, and how long answers take at its beginning and at its end."""
