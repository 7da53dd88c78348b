"""Options for the question: prompts, presets, templates, and the questions of tables."""
