"""The image of the Dockerfile, really built and started: `make image-test`."""
