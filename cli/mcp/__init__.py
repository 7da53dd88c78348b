"""`captionq mcp`: captions, answers and searches for programs that speak the Model Context Protocol.

Jobs are made by jobs/creation, and run by the worker that cli/runs/processes starts.
"""
