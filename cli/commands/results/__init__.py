"""Commands for the results of runs: jobs, review, export, undo."""
