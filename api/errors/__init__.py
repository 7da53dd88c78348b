"""Errors on the wire: OpenAI's shape for every route and every status. Nothing private of the server stands in them."""
