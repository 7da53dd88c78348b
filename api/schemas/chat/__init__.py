"""The chat completion on the wire: its messages, parameters, tools and answers."""
