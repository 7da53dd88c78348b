"""What a program calls: the HTTP API over the jobs."""
