"""The shapes on the wire, in and out."""
