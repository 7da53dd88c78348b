"""Webhooks: signed messages and their delivery.

Their rows stand in the store.
"""
