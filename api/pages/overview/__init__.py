"""The overview: runs, lanes and workers, live. Pages of one run are outside of this room."""
