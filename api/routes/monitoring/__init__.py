"""Routes for those who watch over the server: health checks, metrics, the workers."""
