"""Options for what is asked: prompts, presets, templates, and the questions of tables."""
