"""Rows of webhooks and the times of their retries.

Messages and their delivery live in `jobs/webhooks/`.
"""
