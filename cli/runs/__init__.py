"""The processes behind `caption` and `serve`: the run itself, followed jobs, broker and worker."""
