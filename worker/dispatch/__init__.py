"""The rq side of the worker: jobs are admitted and leased, their outcomes recorded, their events published.

Nothing here knows mlx.
"""
