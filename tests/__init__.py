"""The tests: named as sentences, on the real model, SQLite and Valkey."""
