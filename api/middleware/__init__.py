"""Around every request: keys, limits, other sites, the log and the metrics."""
