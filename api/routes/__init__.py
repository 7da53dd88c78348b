"""The routes, a file each. A route reads its input, calls the core and shapes the answer."""
