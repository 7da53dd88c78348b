"""The making of the built-in models: scenes, tokenizer, training, evaluation."""
