"""Dialects: the same conversation in the words of OpenAI, Ollama and Anthropic.

A dialect translates a body into the one chat request, and an answer into its own objects. It decides nothing.
"""
