"""Workers as the other processes treat them: lost ones, drained ones, and those that take no bulk jobs for now.

Their published states: `jobs/queue/worker_state.py`.
"""
