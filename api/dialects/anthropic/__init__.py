"""Anthropic's dialect: `/v1/messages`, whose answers are lists of blocks."""
