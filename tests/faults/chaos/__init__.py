"""Real processes under random faults, while clients go on."""
