"""New rows: their ids, their insertion, their counts, and the texts that they share."""
