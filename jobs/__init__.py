"""The words of every floor: errors, settings, requests and response formats; below them the store, the queue and the files.

Nothing here knows a model in memory, a route or a terminal.
"""
