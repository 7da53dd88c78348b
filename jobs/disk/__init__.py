"""What captionq leaves on the disk for sure. Locks between processes are in `jobs/file_locks.py`."""
