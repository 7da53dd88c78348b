"""A model before it is loaded: its config, context, folder, built-in files and remembered batching verdicts.

Loading belongs to the worker.
"""
