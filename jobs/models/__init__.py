"""A model before it is loaded: its config, context, place, built-in files and remembered batching verdicts.

Loading belongs to the worker.
"""
