"""The built-in models: tiny, real and trained; see MODEL_CARD.md."""
