"""From a body to queued jobs. Rules that the command line shares are in `jobs/creation`."""
