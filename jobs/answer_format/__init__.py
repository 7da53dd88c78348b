"""The form of an answer: JSON by a schema, a regular expression, or words of a vocabulary, and the grammars for them."""
