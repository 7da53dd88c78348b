"""Benchmarks of captionq, which are not installed with it."""
