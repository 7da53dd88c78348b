"""What a job is, where it waits and where its result lives."""
