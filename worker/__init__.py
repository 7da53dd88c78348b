"""The process that holds the model: one for a data folder, from its lock to its last log line."""
