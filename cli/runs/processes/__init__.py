"""The processes of a run and of the server: broker and worker, started, restarted and stopped."""
