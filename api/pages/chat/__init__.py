"""A conversation with a model about pictures: its page, its questions, and the same request as code to copy."""
