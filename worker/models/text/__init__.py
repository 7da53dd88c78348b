"""Text in and out of a model: chat templates, control tokens, lengths of prompts, detokenizing.

Images and embeddings stand beside this room.
"""
