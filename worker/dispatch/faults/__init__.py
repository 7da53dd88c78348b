"""The worker while something that it needs is at fault: the database, a disk, the engine itself.

Its results wait in memory. Faults of jobs, such as a bad image, are in `outcomes/`.
"""
