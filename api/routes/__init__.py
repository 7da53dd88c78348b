"""The routes, one file for each resource. A route reads its input, calls the core and shapes the answer."""
