"""One token for each sequence of the batch, by the sequence's own rules; grammars among them."""
