"""Ollama's dialect: `/api/chat` and `/api/generate`, whose streams are lines of JSON, and the list of models."""
