"""Pictures of the page for the docs: a server with the demo model, and a browser that looks at it."""
