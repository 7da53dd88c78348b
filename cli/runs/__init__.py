"""The processes behind `caption` and `serve`: the run itself, the jobs it follows, its broker and worker."""
