"""Answers as they grow: server-sent events, followers of jobs, results of folders."""
