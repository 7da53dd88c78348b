"""Which packages of the locks have no wheel for a Mac."""
