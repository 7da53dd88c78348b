"""How the built-in models were made: scenes, tokenizer, training, evaluation."""
