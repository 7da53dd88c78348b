"""What SQLite and Postgres do each in their own way: connections, and the turns of writers."""
