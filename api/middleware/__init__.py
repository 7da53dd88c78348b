"""Middleware around every request: API keys, limits, requests of other sites' pages, the log and the metrics."""
