"""Configuration: settings from environment variables, and the user's configuration file."""
