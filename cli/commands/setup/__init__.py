"""Commands for the installation: configuration, presets, models, the result cache, and the doctor."""
