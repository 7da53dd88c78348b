"""Conditions under which bulk jobs wait: the hours, a low battery, heat, little memory. `bulk_conditions` combines them.

Interactive jobs are taken in any case, and bulk jobs that run are finished.
"""
