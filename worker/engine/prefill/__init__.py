"""Prefill: groups of prompts, computed a chunk of columns at a time, after the beginnings that are in the prefix cache."""
