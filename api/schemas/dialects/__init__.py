"""The bodies of the dialects: requests and answers as clients of Ollama, Anthropic and OpenAI Responses know them."""
