"""rq and Redis: the lanes, the broker and its files, events of jobs, the state that workers publish.

Entries carry ids; what a job is stands in the store.
"""
