"""OpenAI's batches: the endpoints that lines may ask, batches on their way in, results and events on their way out.

Lines are read, fed and ended by `jobs/batches/`.
"""
