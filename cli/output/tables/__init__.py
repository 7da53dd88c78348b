"""Tables on the terminal, a file a table: cut at the terminal's width, and in a pipe a line a row with tabs."""
