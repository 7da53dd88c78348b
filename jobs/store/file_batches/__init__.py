"""Rows of batches whose requests are the lines of a file.

Their jobs are ordinary jobs; what the lines mean is in `jobs/batches/`.
"""
