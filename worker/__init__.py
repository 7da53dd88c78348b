"""What holds the model: one process that takes jobs from the queue and generates."""
