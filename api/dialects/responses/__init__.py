"""OpenAI's Responses: a chat whose answer is a list of items, which can be retrieved and continued."""
