"""TIFFs that Pillow does not read: their samples, ranges and photometric interpretations."""
