"""Models beside each other: their speed, their memory, and how near their texts come to references."""
