"""The end of a job: checks of its answer, its files, its row and its events.

Transient errors are retried by `worker/dispatch/retries.py`.
"""
