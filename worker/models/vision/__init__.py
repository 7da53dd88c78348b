"""Images on their way into a language model: processor, vision tower, columns and embeddings."""
