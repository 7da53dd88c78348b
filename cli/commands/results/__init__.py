"""Commands for what runs have made: jobs, review, export, undo."""
