"""Which jobs this worker takes from the lanes, and when they begin.

A job waits for its model's turn, runs in isolation if it killed workers, and is handed back if its picture is not reached here.
"""
