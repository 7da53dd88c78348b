"""A release as one command: `make release VERSION=1.2.0`. It publishes nothing."""
