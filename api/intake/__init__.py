"""From a body to queued jobs. Rules that the command line shares stand in `jobs/creation`."""
