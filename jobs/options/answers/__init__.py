"""Options for the answer: its words, its language and length, and what happens to one that looks wrong."""
