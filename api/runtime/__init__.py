"""The objects that a running API holds: the event hub, the model catalogue, connections."""
