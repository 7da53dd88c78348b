"""Continuous batching: schedule, prefill, decode, collect; with the quarantine and the batching check.

Nothing here knows requests, files or Redis.
"""
