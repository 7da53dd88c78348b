"""Unmodified clients, and the recorded requests of programs that cannot be installed here."""
