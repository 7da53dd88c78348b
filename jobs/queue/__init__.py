"""rq and Redis: the lanes, the broker and its files, events of jobs, the state that workers publish.

Entries carry ids; the jobs themselves are rows of the store.
"""
