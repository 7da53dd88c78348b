"""Jobs and runs as a person or a program reads them: text, tables, JSON."""
