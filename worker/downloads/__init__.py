"""Downloads that admins ask for over HTTP, each in a process of its own: the model goes on meanwhile.

The wishes and the reports: `jobs/queue/downloads/`. The files: `worker/models/download.py`.
"""
