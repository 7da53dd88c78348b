"""The commands, a file each: options, help and a call. The work is done in `cli/runs` and `jobs/`."""
