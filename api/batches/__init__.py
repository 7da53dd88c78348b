"""OpenAI's and Anthropic's batches: the endpoints that lines may ask, batches in, results and events out.

Lines are read, fed and ended by `jobs/batches/`.
"""
