"""Answers as they grow: server-sent events, jobs and folders that are followed, results of folders."""
