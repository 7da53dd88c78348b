"""Files that survive a power failure, names that replace no file, and folders. Locks: `jobs/file_locks.py`."""
