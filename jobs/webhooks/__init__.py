"""Webhooks: signed messages and their delivery.

Their rows are in the store.
"""
